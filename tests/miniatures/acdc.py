"""ACDC as the challenge publishes it: a folder a patient, two labelled frames, Info.cfg, and the 4-D sequence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti

PATIENTS = [("training", f"patient{number:03d}") for number in range(1, 7)] + [("testing", "patient101")]


def make(raw: Path) -> None:
    """Six patients of the training part, one of the testing part; frame numbers differ between patients."""
    for seed, (part, patient) in enumerate(PATIENTS):
        folder = raw / "database" / part / patient
        frames = (1, 8 + seed)
        for phase, frame in enumerate(frames):
            image, label = boxes((4 + seed % 3, 20, 17), 10 * seed + phase)
            save_nifti(folder / f"{patient}_frame{frame:02d}.nii.gz", image)
            save_nifti(folder / f"{patient}_frame{frame:02d}_gt.nii.gz", label.astype(np.uint8))
        (folder / "Info.cfg").write_text(f"ED: {frames[0]}\nES: {frames[1]}\nGroup: DCM\nNbFrame: 30\n")
        save_nifti(folder / f"{patient}_4d.nii.gz", np.zeros((2, 2, 2, 2), dtype=np.uint8))


MINIATURE = Miniature(
    make=make,
    cases=tuple(f"{patient}_frame{f:02d}" for n, (_, patient) in enumerate(PATIENTS[:6]) for f in (1, 8 + n)),
    victim="patient002_frame01",
    image="database/training/patient002/patient002_frame01.nii.gz",
    mask="database/training/patient002/patient002_frame01_gt.nii.gz",
    duplicate="database/training/again/patient002_frame01.nii.gz",
)
