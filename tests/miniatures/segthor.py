"""SegTHOR: a folder a patient, all labels called GT."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti

PATIENTS = tuple(f"Patient_{number:02d}" for number in (1, 2, 15, 40))


def make(raw: Path) -> None:
    """Four labelled patients and a test scan."""
    for seed, patient in enumerate(PATIENTS):
        image, label = boxes((5, 20, 22), seed, range(1, 5))
        save_nifti(raw / "train" / patient / f"{patient}.nii.gz", (image * 90 - 500).astype(np.int16))
        save_nifti(raw / "train" / patient / "GT.nii.gz", label.astype(np.uint8))
    save_nifti(raw / "test" / "Patient_41.nii.gz", np.zeros((2, 2, 2), dtype=np.int16))


MINIATURE = Miniature(
    make=make,
    cases=PATIENTS,
    victim="Patient_02",
    image="train/Patient_02/Patient_02.nii.gz",
    mask="train/Patient_02/GT.nii.gz",
    duplicate="train/Patient_02/Patient_02.nii",
)
