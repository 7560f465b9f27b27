"""Montgomery as published: X-rays upright and lying, some PNGs in colours or with a palette, two masks each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.miniatures import Miniature
from tests.miniatures._files import save_photo, skin

CASES = tuple(f"MCUCXR_{number:04d}_{int(number > 5)}" for number in range(1, 10))
SPLIT = {"fractions": {"train": 5 / 9, "val": 0, "test": 4 / 9}}


def make(raw: Path) -> None:
    """Nine images, five normal; the first is RGB, the second has a palette, masks are of one bit."""
    root = raw / "MontgomerySet"
    for seed, case in enumerate(CASES):
        shape = (40, 33) if seed % 2 else (33, 40)
        image, mask = skin(shape, seed)
        path = root / "CXR_png" / f"{case}.png"
        save_photo(path, np.repeat(image[..., :1], 3, axis=2) if seed == 0 else image[..., 0])
        if seed == 1:
            with Image.open(path) as opened:
                opened.convert("P").save(path)
        for side, part in (("left", np.s_[:, shape[1] // 2 :]), ("right", np.s_[:, : shape[1] // 2])):
            half = np.zeros(shape, dtype=bool)
            half[part] = mask[part] > 0
            target = root / "ManualMask" / f"{side}Mask" / f"{case}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(half).save(target)
        reading = root / "ClinicalReadings" / f"{case}.txt"
        reading.parent.mkdir(exist_ok=True)
        reading.write_text("Patient's Sex: F\n")


MINIATURE = Miniature(
    make=make,
    cases=CASES,
    victim="MCUCXR_0003_0",
    image="MontgomerySet/CXR_png/MCUCXR_0003_0.png",
    mask="MontgomerySet/ManualMask/leftMask/MCUCXR_0003_0.png",
    duplicate="MontgomerySet/CXR_png/MCUCXR_0003_0.jpg",
    split=SPLIT,
)
