"""Pancreas-CT: DICOM slices in folders of long names, their order reversed by name, and NIfTI labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nifti, save_slice

NUMBERS = (1, 2, 3, 25, 82)
SLICES = 6
POSITION = (-180.5, -160.25, -42.0)
SPACING = (1.25, 0.8, 0.7)
LABELS = "TCIA_pancreas_labels-02-05-2017"
# Columns run to the patient's left, rows to the back: as DICOM has it, in nibabel's world.
AFFINE = np.array(
    [
        [-SPACING[2], 0, 0, -POSITION[0]],
        [0, -SPACING[1], 0, -POSITION[1]],
        [0, 0, SPACING[0], POSITION[2]],
        [0, 0, 0, 1],
    ]
)


def folder(number: int) -> str:
    """Where the slices of a patient lie."""
    return f"Pancreas-CT/PANCREAS_{number:04d}/11-24-2015-PANCREAS{number:04d}-Pancreas-18957/Pancreas-99667"


def make(raw: Path) -> None:
    """Four patients, and of those withdrawn 25 whole and the label of 70."""
    for number in NUMBERS:
        image, label = boxes((SLICES, 20, 17), number, (1,))
        for index, pixels in enumerate(image * 60 - 100):
            path = raw / folder(number) / f"1-{SLICES - index:03d}.dcm"
            position = (*POSITION[:2], POSITION[2] + SPACING[0] * index)
            save_slice(path, np.rint(pixels), position, spacing=SPACING[1:], series=number)
        save_nifti(raw / LABELS / f"label{number:04d}.nii.gz", label.astype(np.uint8), AFFINE)
    save_nifti(raw / LABELS / "label0070.nii.gz", np.zeros((2, 2, 2), dtype=np.uint8))
    (raw / "Pancreas-CT" / "LICENSE").write_text("terms\n")


MINIATURE = Miniature(
    make=make,
    cases=tuple(f"PANCREAS_{number:04d}" for number in NUMBERS if number != 25),
    victim="PANCREAS_0003",
    image=f"{folder(3)}/1-003.dcm",
    mask=f"{LABELS}/label0003.nii.gz",
    preparation={"size": [24, 24], "spacing": None},
    bound_by_affine=False,
)
