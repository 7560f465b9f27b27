"""DigestPath 2019, tissue segmentation: malignant lesions in H&E images of colonoscopy tissue."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import Field

from contrastseg.data.faults import Faults
from contrastseg.data.files.photographs import open_photo
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.readers.layouts import (
    below,
    by_case,
    load_photo,
    pairs,
    photo_masks,
    read_photo_rgb,
    require_cases,
    require_folder,
)
from contrastseg.data.readers.mask_values import Coding, coding_of, with_coding
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError

_NAME = re.compile(r"(?P<case>.+?)(?P<mask>_mask)?\.(?i:jpe?g|png)")
# <accession>[_<block>-<slide>]_<date> <time>-lv<level>-<x>-<y>-<width>-<height>
_ORIGIN = re.compile(r"(?P<patient>.+?)(_\d+-\d+)?_\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d-lv\d.*")


class DigestpathOptions(DatasetOptions):
    """Options of DigestPath.

    Attributes:
        tile: Cut images into a grid of even tiles of at most this many pixels a side, each a case of its patient;
            None keeps them whole, for the preparation to reduce.
    """

    tile: int | None = Field(None, ge=8)


def discover(raw: Path | None, options: DigestpathOptions, faults: Faults) -> list[RawCase]:
    """List the images, or their tiles: positive ones with their masks, negative ones have none."""
    raw = require_folder(raw, "digestpath")
    positive, negative = below(raw, "tissue-train-pos-v1", "tissue-train-pos"), below(raw, "tissue-train-neg")
    images = by_case(positive + negative, lambda path: _case(path, mask=False), faults)
    masks = by_case(positive + negative, lambda path: _case(path, mask=True), faults)
    negatives = set(negative)
    files: dict[str, tuple[Path, ...]] = {
        case: (path,) for case, path in images.items() if path in negatives and case not in masks
    }
    with_mask = {case: path for case, path in images.items() if case not in files}
    for case, pair in pairs(with_mask, masks, faults).items():
        if pair[0] in negatives:
            faults.add("a negative image has a mask", case=case, file=pair[1], remedy="remove it: none is published")
        files[case] = pair
    positives = {_patient(case) for case, paths in files.items() if len(paths) == 2}
    cases = [
        raw_case
        for case in sorted(files)
        # Patients are split, so that one with a lesion in any image is a positive one.
        for raw_case in _cases(
            case, files[case], "positive" if _patient(case) in positives else "negative", options.tile, faults
        )
    ]
    require_cases(cases, faults, raw, "tissue-train-pos-v1/<name>.jpg and <name>_mask.jpg")
    return cases


def _case(path: Path, *, mask: bool) -> str | None:
    """The case of an image's or a mask's name, None of other files; published names hold spaces."""
    match = _NAME.fullmatch(path.name)
    return match["case"].replace(" ", "_") if match and bool(match["mask"]) == mask else None


def _patient(case: str) -> str:
    origin = _ORIGIN.fullmatch(case)
    return origin["patient"] if origin else case


def _cases(case: str, files: tuple[Path, ...], stratum: str, tile: int | None, faults: Faults) -> Iterator[RawCase]:
    patient = _patient(case)
    if tile is None:
        yield RawCase(case, patient, None, files, stratum=stratum)
        return
    rows, columns = [0], [0]
    with faults.collect(), wrap_read_errors(files[0], case), open_photo(files[0]) as image:
        rows, columns = _cuts(image.height, tile), _cuts(image.width, tile)
    for row, (top, bottom) in enumerate(itertools.pairwise(rows)):
        for column, (left, right) in enumerate(itertools.pairwise(columns)):
            name = f"r{row:02d}c{column:02d}"
            yield RawCase(f"{case}_{name}", patient, name, files, {"box": (top, bottom, left, right)}, stratum=stratum)


def _cuts(size: int, tile: int) -> list[int]:
    """Where tiles begin and end: all of one size up to a pixel, none larger than `tile`, every pixel in one."""
    count = math.ceil(size / tile)
    return [number * size // count for number in range(count + 1)]


def load(raw: RawCase, options: DigestpathOptions) -> NativeCase:
    """Read one image, or cut one tile; without a mask the label is all background."""
    if options.tile is None:
        return _read(raw)
    stamps = tuple((path, path.stat().st_mtime_ns) for path in raw.files)
    image, label = _read_for_tiles(stamps, coding_of(raw))
    top, bottom, left, right = raw.details["box"]
    tile = (slice(top, bottom), slice(left, right))
    return dataclasses.replace(image, image=image.image[:, *tile], label=label[tile])


def _read(raw: RawCase) -> NativeCase:
    if len(raw.files) == 2:
        return load_photo(raw, None)
    image = read_photo_rgb(raw.files[0], raw.case)
    return NativeCase(image, np.zeros(image.shape[1:], dtype=np.uint8), None, "pixel")


@functools.lru_cache(maxsize=1)
def _read_for_tiles(stamps: tuple[tuple[Path, int], ...], coding: Coding | None) -> tuple[NativeCase, np.ndarray]:
    """An image with its label; its tiles come one after the other, so that it is decoded once."""
    files = tuple(path for path, _ in stamps)
    case = str(_case(files[0], mask=False))
    raw = RawCase(case, case, None, files)
    whole = _read(raw if coding is None else with_coding(raw, coding))
    assert whole.label is not None
    if whole.label.shape != whole.image.shape[1:]:
        raise DataError(
            f"the image has shape {whole.image.shape[1:]}, its mask {whole.label.shape}",
            case=case,
            file=files[-1],
            remedy="restore the published mask",
        )
    return whole, whole.label


SPEC = DatasetSpec(
    name="digestpath",
    title="DigestPath",
    modality="H&E histology of colonoscopy tissue",
    spatial_dims=2,
    classes=("background", "lesion"),
    channels=("red", "green", "blue"),
    native_format="png",
    licence="by agreement with the organisers of the challenge",
    citation="Da et al., DigestPath: A benchmark dataset with challenge review for the pathological detection and "
    "segmentation of digestive-system, Medical Image Analysis 80, 2022, doi 10.1016/j.media.2022.102485",
    discover=discover,
    load=load,
    undeclared_masks=photo_masks,
    options=DigestpathOptions,
    # No published size is common to its users: about a fifth of an image's side, or one tile of 1024.
    preparation=PreparationSettings(intensity="uint8", size=(1024, 1024)),
    folder_names=("DigestPath", "DigestPath2019", "Colonoscopy_tissue_segment_dataset", "digestpath"),
    registration=(
        "register at https://digestpath2019.grand-challenge.org, join the challenge and sign its agreement",
        "download tissue-train-pos-v1.zip and tissue-train-neg.zip of the colonoscopy tissue segmentation task",
        "unpack both at $CONTRASTSEG_DATA/DigestPath",
    ),
    traps=(
        "The challenge's test part is hidden: published numbers come from unlisted splits of the public 250 positive "
        "and 410 negative images.",
        "Several images are cut from one slide. The patient is read from the accession number that a name begins with; "
        "where a name has none, the image counts as a patient of its own.",
        "Masks are JPEG: greys are thresholded at 127.",
        "Papers differ in whether they use the negative images, whose label is all background.",
        "With `tile`, every tile is a case of its own in the scores: Dice of a tile is not Dice of an image.",
    ),
)
