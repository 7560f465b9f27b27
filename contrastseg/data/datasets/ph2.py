"""PH2: dermoscopy of skin lesions from one hospital; the literature trains on ISIC 2016 and tests here."""

from __future__ import annotations

import re
from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import by_case, load_photo, pairs, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, RawCase
from contrastseg.data.settings import PreparationSettings, SplitSettings

_IMAGE = re.compile(r"(?P<case>IMD\d{3})_Dermoscopic_Image/(?P=case)\.(?i:bmp)")
_MASK = re.compile(r"(?P<case>IMD\d{3})_lesion/(?P=case)_lesion\.(?i:bmp)")


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the pairs of bitmaps; JPEG copies of them and the folders of colour regions (``_roi``) are not read."""
    raw = require_folder(raw, "ph2")
    bitmaps = [path for path in raw.rglob("IMD*") if path.is_file()]
    images = by_case(bitmaps, lambda path: _case(path, _IMAGE), faults)
    masks = by_case(bitmaps, lambda path: _case(path, _MASK), faults)
    cases = [RawCase(case, case, None, files, part="test") for case, files in pairs(images, masks, faults).items()]
    require_cases(cases, faults, raw, "PH2 Dataset images/IMD003/IMD003_Dermoscopic_Image/IMD003.bmp")
    return cases


def _case(path: Path, pattern: re.Pattern[str]) -> str | None:
    match = pattern.fullmatch(f"{path.parent.name}/{path.name}")
    return match["case"] if match else None


SPEC = DatasetSpec(
    name="ph2",
    title="PH2",
    modality="dermoscopy",
    spatial_dims=2,
    classes=("background", "lesion"),
    channels=("red", "green", "blue"),
    native_format="png",
    licence="free for research and benchmarking",
    citation="Mendonça et al., PH2 - A dermoscopic image database for research and benchmarking, EMBC 2013, "
    "doi 10.1109/EMBC.2013.6610779",
    discover=discover,
    load=load_photo,
    preparation=PreparationSettings(intensity="uint8", size=(384, 512)),
    folder_names=("PH2Dataset", "PH2", "ph2"),
    split=SplitSettings(name="official"),
    splits=("official",),
    traps=(
        "All 200 images are for testing: a network comes from another data set (isic2016 in the literature), which "
        "must be prepared with the same size.",
        "Images are called 768×560, but their sizes differ by some pixels.",
        "Some folders hold lossy JPEG copies of the masks beside the bitmaps: only bitmaps are read.",
        "The patient is not published: every image counts as a patient of its own.",
    ),
)
