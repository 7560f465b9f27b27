"""ISIC 2017 as the challenge publishes it: three parts, super-pixels and tables beside the images."""

from __future__ import annotations

from pathlib import Path

from tests.miniatures import Miniature
from tests.miniatures._files import save_photo, skin

PARTS = {
    "Training": ("ISIC_0000000", "ISIC_0000001", "ISIC_0000002"),
    "Validation": ("ISIC_0001769",),
    "Test_v2": ("ISIC_0012086", "ISIC_0012092"),
}


def make(raw: Path) -> None:
    """Six images of different sizes; archives unpacked into folders of their own."""
    seed = 0
    for part, cases in PARTS.items():
        images, masks = f"ISIC-2017_{part}_Data", f"ISIC-2017_{part}_Part1_GroundTruth"
        for case in cases:
            seed += 1
            image, mask = skin((30 + seed, 40 - seed), seed)
            save_photo(raw / images / images / f"{case}.jpg", image)
            save_photo(raw / images / images / f"{case}_superpixels.png", image)
            save_photo(raw / masks / masks / f"{case}_segmentation.png", mask)
        (raw / images / images / f"{images}_metadata.csv").write_text("image_id,age_approximate,sex\n")


MINIATURE = Miniature(
    make=make,
    cases=tuple(case for cases in PARTS.values() for case in cases),
    victim="ISIC_0000002",
    image="ISIC-2017_Training_Data/ISIC-2017_Training_Data/ISIC_0000002.jpg",
    mask="ISIC-2017_Training_Part1_GroundTruth/ISIC-2017_Training_Part1_GroundTruth/ISIC_0000002_segmentation.png",
    duplicate="ISIC-2017_Training_Data/ISIC_0000002.jpg",
    split={"name": "official"},
)
