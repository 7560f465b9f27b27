"""PDDCA: a folder a patient, a file a structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.miniatures import Miniature
from tests.miniatures._files import boxes, save_nrrd

PATIENTS = ("0522c0001", "0522c0002", "0522c0667", "0522c0746")
STRUCTURES = (
    "BrainStem",
    "Chiasm",
    "Mandible",
    "OpticNerve_L",
    "OpticNerve_R",
    "Parotid_L",
    "Parotid_R",
    "Submandibular_L",
    "Submandibular_R",
)


def make(raw: Path) -> None:
    """Four patients with all nine structures."""
    for seed, patient in enumerate(PATIENTS):
        image, label = boxes((4, 30, 28), seed, range(1, 10))
        save_nrrd(raw / patient / "img.nrrd", (image * 90 - 500).astype(np.int16))
        for value, name in enumerate(STRUCTURES, start=1):
            save_nrrd(raw / patient / "structures" / f"{name}.nrrd", (label == value).astype(np.uint8))
        (raw / patient / "landmarks.fcsv").write_text("# five bony landmarks\n")


MINIATURE = Miniature(
    make=make,
    cases=PATIENTS,
    victim="0522c0002",
    image="0522c0002/img.nrrd",
    mask="0522c0002/structures/Mandible.nrrd",
    duplicate="again/0522c0002/img.nrrd",
)
