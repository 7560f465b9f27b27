"""ISIC 2016 as the challenge publishes it: four folders, JPEG images (one of them grey), PNG masks."""

from __future__ import annotations

from pathlib import Path

from tests.miniatures import Miniature
from tests.miniatures._files import save_photo, skin

PARTS = {"Training": ("ISIC_0000000", "ISIC_0000001", "ISIC_0000002", "ISIC_0000004"), "Test": ("ISIC_0000003",)}


def make(raw: Path) -> None:
    """Four training images and a test image, of different sizes; the masks are 0/255."""
    seed = 0
    for part, cases in PARTS.items():
        for case in cases:
            seed += 1
            image, mask = skin((30 + seed, 40 - seed), seed)
            if case == "ISIC_0000002":
                image = image[..., 0]
            save_photo(raw / f"ISBI2016_ISIC_Part1_{part}_Data" / f"{case}.jpg", image)
            save_photo(raw / f"ISBI2016_ISIC_Part1_{part}_GroundTruth" / f"{case}_Segmentation.png", mask)


MINIATURE = Miniature(
    make=make,
    cases=tuple(case for cases in PARTS.values() for case in cases),
    victim="ISIC_0000001",
    image="ISBI2016_ISIC_Part1_Training_Data/ISIC_0000001.jpg",
    mask="ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000001_Segmentation.png",
    duplicate="ISBI2016_ISIC_Part1_Training_Data/ISIC_0000001.png",
    split={"name": "official"},
)
