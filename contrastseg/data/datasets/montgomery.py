"""Montgomery County chest X-rays: both lungs as one structure."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import below, photo_masks, photos, read_photo_grey, require_cases, require_folder
from contrastseg.data.readers.mask_values import coding_of
from contrastseg.data.readers.photo_mask_files import read_binary_mask
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import Fractions, PreparationSettings, SplitSettings
from contrastseg.errors import DataError

_NAME = re.compile(r"(?P<case>MCUCXR_\d{4}_[01])\.(?i:png|jpe?g|bmp)")
_STRATA = {"0": "normal", "1": "tuberculosis"}


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the images with the masks of both lungs; copies without ``ManualMask`` have one merged mask in ``masks``."""
    raw = require_folder(raw, "montgomery")
    images = photos(below(raw, "CXR_png"), _NAME, faults)
    sides = {side: photos(below(raw, f"ManualMask/{side}Mask"), _NAME, faults) for side in ("left", "right")}
    if not any(sides.values()):
        sides = {"merged": photos(below(raw, "masks"), _NAME, faults)}
    cases = []
    for case in sorted(set(images).union(*sides.values())):
        masks = [masks_by_case[case] for masks_by_case in sides.values() if case in masks_by_case]
        missing = [side for side, masks_by_case in sides.items() if case not in masks_by_case]
        if case not in images:
            faults.add("the mask has no image", case=case, file=masks[0], remedy="restore the published image")
        elif missing:
            reason = f"the image has no mask: {' and '.join(missing)} missing"
            faults.add(reason, case=case, file=images[case], remedy="restore the published masks")
        else:
            patient, suffix = case.rsplit("_", 1)
            cases.append(RawCase(case, patient, None, (images[case], *masks), stratum=_STRATA[suffix]))
    require_cases(cases, faults, raw, "MontgomerySet/CXR_png/MCUCXR_0001_0.png")
    return cases


def load(raw: RawCase, options: DatasetOptions) -> NativeCase:
    """Read one image and the union of its masks."""
    image = read_photo_grey(raw.files[0], raw.case)
    label = np.zeros(image.shape[1:], dtype=np.uint8)
    notes: set[str] = set()
    for path in raw.files[1:]:
        mask, remarks = read_binary_mask(path, raw.case, coding_of(raw))
        if mask.shape != label.shape:
            raise DataError(
                f"the image has shape {label.shape}, its mask {mask.shape}",
                case=raw.case,
                file=path,
                remedy="restore the published mask",
            )
        notes.update(remarks, ["left and right mask overlap"] if np.any(label & mask) else [])
        label |= mask
    return NativeCase(image, label, None, "pixel", None, tuple(sorted(notes)))


SPEC = DatasetSpec(
    name="montgomery",
    title="Montgomery",
    modality="chest X-ray",
    spatial_dims=2,
    classes=("background", "lung"),
    channels=("x-ray",),
    native_format="png",
    licence="open; terms of the U.S. National Library of Medicine",
    citation="Jaeger et al., Two public chest X-ray datasets for computer-aided screening of pulmonary diseases, "
    "Quantitative Imaging in Medicine and Surgery 4(6), 2014, doi 10.3978/j.issn.2223-4292.2014.11.20",
    discover=discover,
    load=load,
    undeclared_masks=photo_masks,
    preparation=PreparationSettings(intensity="uint8", size=(512, 512)),
    folder_names=("Montgomery", "MontgomerySet", "NLM-MontgomeryCXRSet", "montgomery"),
    # All 138 images give 80 and 58.
    split=SplitSettings(fractions=Fractions(train=80 / 138, val=0, test=58 / 138)),
    traps=(
        "An official split is missing. ET-Net's 80 training and 58 test images were never listed. 80 and 58 are also "
        "the numbers of normal and of tuberculous images. Random splits are therefore not comparable with its numbers.",
        "Left and right lung are two files; both count as one class here.",
        "Resized copies have masks with interpolated greys: the threshold is 127, and distances in pixels are theirs, "
        "not those of the published images.",
    ),
)
