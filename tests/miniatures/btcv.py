"""BTCV: images and labels in folders of their own, and a testing part without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti

NUMBERS = (1, 5, 22, 40)
TRAINING = "RawData/Training"


def make(raw: Path) -> None:
    """Four labelled cases with thirteen organs, one of the testing part."""
    for number in NUMBERS:
        image, label = boxes((4, 36, 34), number, range(1, 14))
        save_nifti(raw / TRAINING / "img" / f"img{number:04d}.nii.gz", (image * 60 - 300).astype(np.int16))
        save_nifti(raw / TRAINING / "label" / f"label{number:04d}.nii.gz", label.astype(np.uint8))
    save_nifti(raw / "RawData" / "Testing" / "img" / "img0061.nii.gz", np.zeros((2, 2, 2), dtype=np.int16))


MINIATURE = Miniature(
    make=make,
    cases=tuple(f"img{number:04d}" for number in NUMBERS),
    victim="img0005",
    image=f"{TRAINING}/img/img0005.nii.gz",
    mask=f"{TRAINING}/label/label0005.nii.gz",
    duplicate=f"{TRAINING}/img/img0005.nii",
)
