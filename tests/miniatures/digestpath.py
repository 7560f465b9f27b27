"""DigestPath as distributed: JPEGs in two folders, names with spaces, JPEG masks beside the positive ones."""

from __future__ import annotations

from pathlib import Path

from tests.miniatures import Miniature
from tests.miniatures._files import save_photo, skin

# Two images of one slide, another slide of the patient, other naming schemes; the numbers are made up.
POSITIVE = (
    "2019_00001_1-2_2019-02-20 10_00_00-lv1-100-200-41-36",
    "2019_00001_1-2_2019-02-20 10_00_00-lv1-900-200-30-34",
    "2019_00001_1-3_2019-02-20 11_00_00-lv1-100-200-38-33",
    "2018_00002_2019-02-21 09_30_00-lv1-5-6-40-32",
)
NEGATIVE = ("D201900000003_2019-06-10 09_22_49-lv1-10-20-36-36", "18-00004A")
NAMES = tuple(name.replace(" ", "_") for name in POSITIVE + NEGATIVE)


def make(raw: Path) -> None:
    """Four positive and two negative images of different sizes."""
    for seed, name in enumerate(POSITIVE + NEGATIVE):
        image, mask = skin((32 + seed, 40 - seed), seed)
        folder = raw / ("tissue-train-pos-v1" if name in POSITIVE else "tissue-train-neg")
        save_photo(folder / f"{name}.jpg", image)
        if name in POSITIVE:
            save_photo(folder / f"{name}_mask.jpg", mask)


MINIATURE = Miniature(
    make=make,
    cases=NAMES,
    victim=NAMES[1],
    image=f"tissue-train-pos-v1/{POSITIVE[1]}.jpg",
    mask=f"tissue-train-pos-v1/{POSITIVE[1]}_mask.jpg",
    duplicate=f"tissue-train-neg/{POSITIVE[1]}.jpg",
)
