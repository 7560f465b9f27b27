"""AbdomenCT-1K: images in three parts, masks in one folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti

CASES = {"Case_00001": 1, "Case_00007": 1, "Case_00402": 2, "Case_00900": 3}


def make(raw: Path) -> None:
    """Four cases."""
    for seed, (case, part) in enumerate(CASES.items()):
        image, label = boxes((5, 20, 22), seed, range(1, 5))
        folder = f"AbdomenCT-1K-ImagePart{part}"
        save_nifti(raw / folder / folder / f"{case}_0000.nii.gz", (image * 90 - 500).astype(np.int16))
        save_nifti(raw / "Mask" / f"{case}.nii.gz", label.astype(np.uint8))


MINIATURE = Miniature(
    make=make,
    cases=tuple(CASES),
    victim="Case_00007",
    image="AbdomenCT-1K-ImagePart1/AbdomenCT-1K-ImagePart1/Case_00007_0000.nii.gz",
    mask="Mask/Case_00007.nii.gz",
    duplicate="AbdomenCT-1K-ImagePart2/Case_00007_0000.nii.gz",
)
