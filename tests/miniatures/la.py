"""LA as the challenge publishes it: a folder a patient with the image and the mask (0 and 255) as NRRD."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_h5, save_nrrd

PATIENTS = ("06SR5RBREL16DQ6M8LWS", "0RZDK210BSMWAA6467LU", "1D7CUD1955YZPGK8XHJX", "UPT6DX9IQY9JAZ7HJKA7")


def make(raw: Path) -> None:
    """Four patients."""
    for seed, patient in enumerate(PATIENTS):
        image, label = boxes((5, 20, 17), seed, (1,))
        save_nrrd(raw / "Training Set" / patient / "lgemri.nrrd", (image * 50).astype(np.uint8))
        save_nrrd(raw / "Training Set" / patient / "laendo.nrrd", (label * 255).astype(np.uint8))


def make_h5(raw: Path) -> None:
    """The same as the community's crops: z-normalised, (x, y, z), without spacing."""
    for seed, patient in enumerate(PATIENTS):
        image, label = boxes((5, 20, 17), seed, (1,))
        normalised = ((image - image.mean()) / image.std()).astype(np.float32)
        path = raw / "2018LA_Seg_Training Set" / patient / "mri_norm2.h5"
        save_h5(path, normalised.transpose(), label.astype(np.uint8).transpose())


MINIATURE = Miniature(
    make=make,
    cases=PATIENTS,
    victim=PATIENTS[1],
    image=f"Training Set/{PATIENTS[1]}/lgemri.nrrd",
    mask=f"Training Set/{PATIENTS[1]}/laendo.nrrd",
    duplicate=f"again/{PATIENTS[1]}/lgemri.nrrd",
)
