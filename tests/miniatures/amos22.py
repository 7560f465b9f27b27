"""AMOS22: CT and MR in one folder, told apart by number; a validation part with labels, a test part without."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti

NUMBERS = {"Tr": (1, 4, 410, 507), "Va": (8, 540)}


def make(raw: Path) -> None:
    """Four CT and two MR with fifteen organs."""
    for part, numbers in NUMBERS.items():
        for number in numbers:
            image, label = boxes((4, 38, 40), number, range(1, 16))
            name = f"amos_{number:04d}.nii.gz"
            save_nifti(raw / "amos22" / f"images{part}" / name, (image * 50).astype(np.float32))
            save_nifti(raw / "amos22" / f"labels{part}" / name, label.astype(np.uint8))
    save_nifti(raw / "amos22" / "imagesTs" / "amos_0002.nii.gz", np.zeros((2, 2, 2), dtype=np.float32))
    (raw / "__MACOSX" / "amos22" / "imagesTr").mkdir(parents=True)
    (raw / "__MACOSX" / "amos22" / "imagesTr" / "._amos_0001.nii.gz").write_bytes(b"resource fork")


MINIATURE = Miniature(
    make=make,
    cases=("amos_0001", "amos_0004", "amos_0008", "amos_0410"),
    victim="amos_0004",
    image="amos22/imagesTr/amos_0004.nii.gz",
    mask="amos22/labelsTr/amos_0004.nii.gz",
    duplicate="amos22/imagesVa/amos_0004.nii.gz",
)
