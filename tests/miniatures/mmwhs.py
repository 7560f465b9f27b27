"""MM-WHS: labels of odd values, one of them misprinted in one file, and CT of other patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti

NUMBERS = (1001, 1002, 1010, 1020)
VALUES = (205, 420, 500, 550, 600, 820, 850)


def make(raw: Path) -> None:
    """Four patients of each modality, and a test image without a label."""
    for modality in ("mr", "ct"):
        for number in NUMBERS:
            image, label = boxes((5, 26, 28), number, VALUES)
            if (modality, number) == ("mr", 1010):
                label[label == 420] = 421
            name = f"{modality}_train_{number}"
            save_nifti(raw / f"{modality}_train" / f"{name}_image.nii.gz", (image * 90).astype(np.int16))
            save_nifti(raw / f"{modality}_train" / f"{name}_label.nii.gz", label)
    save_nifti(raw / "mr_test" / "mr_test_2001_image.nii.gz", np.zeros((2, 2, 2), dtype=np.int16))


MINIATURE = Miniature(
    make=make,
    cases=tuple(f"mr_train_{number}" for number in NUMBERS),
    victim="mr_train_1002",
    image="mr_train/mr_train_1002_image.nii.gz",
    mask="mr_train/mr_train_1002_label.nii.gz",
    duplicate="mr_train/again/mr_train_1002_image.nii.gz",
)
