"""PH2 as published: a folder an image, bitmaps, masks of one bit, JPEG copies and colour regions in some folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.miniatures import Miniature
from tests.miniatures._files import save_photo, skin

CASES = ("IMD002", "IMD003", "IMD417")


def make(raw: Path) -> None:
    """Three images; IMD003 has JPEG copies, IMD417 two regions."""
    for seed, case in enumerate(CASES):
        image, mask = skin((30 + seed, 40), seed)
        folder = raw / "PH2 Dataset images" / case
        save_photo(folder / f"{case}_Dermoscopic_Image" / f"{case}.bmp", image)
        lesion = folder / f"{case}_lesion" / f"{case}_lesion.bmp"
        lesion.parent.mkdir()
        Image.fromarray(mask > 0).save(lesion)
        if case == "IMD003":
            save_photo(lesion.with_suffix(".jpg"), mask)
            save_photo(folder / f"{case}_Dermoscopic_Image" / f"{case}.jpg", image)
        if case == "IMD417":
            for number in (1, 2):
                save_photo(folder / f"{case}_roi" / f"{case}_R{number}_Label{number}.bmp", np.zeros_like(mask))
    (raw / "PH2_dataset.txt").write_text("|| Name ||\n")


MINIATURE = Miniature(
    make=make,
    cases=CASES,
    victim="IMD003",
    image="PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp",
    mask="PH2 Dataset images/IMD003/IMD003_lesion/IMD003_lesion.bmp",
    duplicate="copy/IMD003_Dermoscopic_Image/IMD003.bmp",
    split={"name": "official"},
)
