"""ISIC 2017: dermoscopy of skin lesions with official training, validation and test parts."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import load_photo, photos_in_parts, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, Part, RawCase
from contrastseg.data.settings import PreparationSettings, SplitSettings

_IMAGE = re.compile(r"(?P<case>ISIC_\d{7})\.(?i:jpe?g|png|bmp)")
_MASK = re.compile(r"(?P<case>ISIC_\d{7})_(?i:segmentation\.(jpe?g|png|bmp))")
_SUPERPIXELS = re.compile(r"ISIC_\d{7}_superpixels\.png")
_NAMES: dict[Part, str] = {"train": "Training", "val": "Validation", "test": "Test_v2"}
_PARTS: dict[Part, tuple[tuple[str, ...], tuple[str, ...]]] = {
    part: ((f"ISIC-2017_{name}_Data",), (f"ISIC-2017_{name}_Part1_GroundTruth",)) for part, name in _NAMES.items()
}


class Isic2017Options(DatasetOptions):
    """Options of ISIC 2017.

    Attributes:
        unlabelled: Keep images without a mask as unlabelled cases, such as a copy of the images alone; otherwise a
            missing mask is a fault.
    """

    unlabelled: bool = Field(False)


def discover(raw: Path | None, options: Isic2017Options, faults: Faults) -> list[RawCase]:
    """List the pairs of image and mask of the three parts; super-pixels beside the images belong to another task."""
    raw = require_folder(raw, "isic2017")
    cases = photos_in_parts(raw, _PARTS, _IMAGE, _MASK, faults, _SUPERPIXELS, unlabelled=options.unlabelled)
    require_cases(cases, faults, raw, "ISIC-2017_Training_Data/ISIC_0000000.jpg")
    return cases


SPEC = DatasetSpec(
    name="isic2017",
    title="ISIC 2017",
    modality="dermoscopy",
    spatial_dims=2,
    classes=("background", "lesion"),
    channels=("red", "green", "blue"),
    native_format="png",
    licence="CC-0",
    citation="Codella et al., Skin Lesion Analysis Toward Melanoma Detection: A Challenge at the 2017 International "
    "Symposium on Biomedical Imaging (ISBI), Hosted by the International Skin Imaging Collaboration (ISIC), ISBI 2018, "
    "doi 10.1109/ISBI.2018.8363547",
    discover=discover,
    load=load_photo,
    options=Isic2017Options,
    preparation=PreparationSettings(intensity="uint8", size=(384, 512)),
    folder_names=("ISIC2017", "isic2017"),
    split=SplitSettings(name="official"),
    splits=("official",),
    traps=(
        "Images of ISIC 2016 are among the training images: do not train on the one and test on the other. Duplicates "
        "within and between the ISIC sets are counted in Cassidy et al., Medical Image Analysis 75, 2022, "
        "doi 10.1016/j.media.2021.102305.",
        "Super-pixel PNGs lie beside the JPEGs: a loader that takes every image file doubles the data set.",
        "The patient is not published: every image counts as a patient of its own.",
        "Images have up to 6000×4000 pixels: scores at the reduced size are not those of the challenge.",
    ),
)
