"""ISIC 2016: dermoscopy of skin lesions, in the challenge's folders and as redistributed with JPEG masks."""

from __future__ import annotations

import re
from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import load_photo, photos_in_parts, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, Part, RawCase
from contrastseg.data.settings import PreparationSettings, SplitSettings

_IMAGE = re.compile(r"(?P<case>ISIC_\d{7})\.(?i:jpe?g|png|bmp)")
_MASK = re.compile(r"(?P<case>ISIC_\d{7})_(?i:segmentation\.(jpe?g|png|bmp))")
_FOLDER = "ISBI2016_ISIC_Part1"
# Redistributed copies call the challenge's test part "val".
_PARTS: dict[Part, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": ((f"{_FOLDER}_Training_Data", "train/img"), (f"{_FOLDER}_Training_GroundTruth", "train/mask_jpg")),
    "test": ((f"{_FOLDER}_Test_Data", "val/img"), (f"{_FOLDER}_Test_GroundTruth", "val/mask_jpg")),
}


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the pairs of image and mask of both parts."""
    raw = require_folder(raw, "isic2016")
    cases = photos_in_parts(raw, _PARTS, _IMAGE, _MASK, faults)
    require_cases(cases, faults, raw, "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg")
    return cases


SPEC = DatasetSpec(
    name="isic2016",
    title="ISIC 2016",
    modality="dermoscopy",
    spatial_dims=2,
    classes=("background", "lesion"),
    channels=("red", "green", "blue"),
    native_format="png",
    licence="CC-0",
    citation="Gutman et al., Skin Lesion Analysis toward Melanoma Detection: A Challenge at the International "
    "Symposium on Biomedical Imaging (ISBI) 2016, hosted by the International Skin Imaging Collaboration (ISIC), 2016, "
    "arXiv 1605.01397",
    discover=discover,
    load=load_photo,
    preparation=PreparationSettings(intensity="uint8", size=(512, 512)),
    folder_names=("ISIC2016", "isic2016"),
    split=SplitSettings(name="official"),
    splits=("official",),
    traps=(
        "An official validation part is missing: choosing a checkpoint on the 379 test images gives too good numbers.",
        "Copies with JPEG masks hold greys near 0 and 255: a threshold above 0, as in released code, adds a fringe to "
        "every lesion; the threshold here is 127.",
        "Images of ISIC 2016 are among those of ISIC 2017: do not train on the one and test on the other.",
        "The patient is not published: every image counts as a patient of its own.",
        "The literature resizes to 512×512 here, but to 512×384 (width × height) when it tests on PH2: "
        "give both the same size.",
    ),
)
