"""CHAOS: DICOM slices with a PNG mask each; MR in two phases of T1 and T2, CT of other patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_photo, save_slice

PATIENTS = (1, 2, 13, 39)
SLICES = 5
VALUES = (63, 126, 189, 252)


def make(raw: Path) -> None:
    """Four patients with MR, four with CT, whose slices are numbered from the top down."""
    for number in PATIENTS:
        patient = raw / "Train_Sets" / "MR" / str(number)
        t1_image, t1_label = boxes((SLICES, 20, 18), number, VALUES)
        t2_image, t2_label = boxes((SLICES, 22, 18), 100 + number, VALUES)
        for index in range(SLICES):
            place = (-90.0, -80.0, 7.5 * index)
            for phase, offset in (("OutPhase", 1), ("InPhase", 2)):
                path = patient / "T1DUAL" / "DICOM_anon" / phase / f"IMG-0004-{2 * index + offset:05d}.dcm"
                save_slice(path, np.rint(100 * offset * t1_image[index]), place, series=10 * number + index)
            save_photo(patient / "T1DUAL" / "Ground" / f"IMG-0004-{2 * index + 2:05d}.png", t1_label[index])
            name = f"IMG-0001-{index + 1:05d}"
            path = patient / "T2SPIR" / "DICOM_anon" / f"{name}.dcm"
            save_slice(path, np.rint(100 * t2_image[index]), place, series=20 * number + index)
            save_photo(patient / "T2SPIR" / "Ground" / f"{name}.png", t2_label[index])
        patient = raw / "Train_Sets" / "CT" / str(number)
        image, label = boxes((SLICES, 20, 18), 200 + number, (255,))
        for index in range(SLICES):
            place = (-90.0, -80.0, -3.0 * index)
            path = patient / "DICOM_anon" / f"i{index:04d},0000b.dcm"
            save_slice(path, np.rint(100 * image[index]), place, series=number)
            save_photo(patient / "Ground" / f"liver_GT_{index:03d}.png", label[index])


MINIATURE = Miniature(
    make=make,
    cases=tuple(f"MR{number:02d}" for number in PATIENTS),
    victim="MR02",
    image="Train_Sets/MR/2/T2SPIR/DICOM_anon/IMG-0001-00003.dcm",
    mask="Train_Sets/MR/2/T2SPIR/Ground/IMG-0001-00003.png",
)
