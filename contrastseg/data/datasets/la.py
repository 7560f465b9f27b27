"""LA: left atria in LGE-MR, of the Atrial Segmentation Challenge 2018, as the community's h5 crops or as NRRD."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import as_label, read_h5
from contrastseg.data.files.itk import read_itk
from contrastseg.data.readers.layouts import find, map_values, pairs, require_cases, require_folder, same_grid
from contrastseg.data.readers.mask_values import coding_of, plain_coding
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase


class LaOptions(DatasetOptions):
    """Options of LA.

    Attributes:
        layout: Which of the two layouts to read; ``auto`` takes h5, what papers compare on, where both lie there.
    """

    layout: Literal["auto", "h5", "nrrd"] = "auto"


def discover(raw: Path | None, options: LaOptions, faults: Faults) -> list[RawCase]:
    """List the cases, named by their folders, whichever layout they have."""
    raw = require_folder(raw, "la")
    files: dict[str, tuple[Path, ...]] = {}
    if options.layout in ("auto", "h5"):
        crops = find(raw, r"(?P<case>[^/]+)/mri_norm2\.h5", faults)
        files = {case: (path,) for case, path in crops.items()}
    if options.layout == "nrrd" or (options.layout == "auto" and not files):
        images, masks = (find(raw, rf"(?P<case>[^/]+)/{name}\.nrrd", faults) for name in ("lgemri", "laendo"))
        files = dict(pairs(images, masks, faults).items())
    require_cases(files, faults, raw, "<patient>/mri_norm2.h5, or <patient>/lgemri.nrrd and <patient>/laendo.nrrd")
    return [RawCase(case, case, None, paths) for case, paths in files.items()]


def load(raw: RawCase, options: LaOptions) -> NativeCase:
    """Read one case in either layout."""
    if len(raw.files) == 1:
        image, label = (np.ascontiguousarray(array.transpose()) for array in read_h5(raw.files[0], raw.case))
        note = "community h5 crops: no spacing stored, distances are in voxels"
        values = as_label(label, raw.case, raw.files[0])
        coding = coding_of(raw) or plain_coding(values, raw.case, raw.files[0])
        mask = coding.apply(values, raw.case, raw.files[0])
        return NativeCase(image[None], mask, None, "voxel", None, (note,))
    image, spacing, affine = read_itk(raw.files[0], raw.case)
    mask, _, mask_affine = read_itk(raw.files[1], raw.case)
    same_grid(image.shape, affine, mask.shape, mask_affine, raw.case, raw.files[1])
    return NativeCase(image[None], map_values(mask, {255: 1}, raw.case, raw.files[1]), spacing, "mm", affine)


def crop_masks(raw: RawCase, options: LaOptions) -> Iterator[tuple[Path, np.ndarray]]:
    """The label of an h5 crop, of 0 and 1 or of 0 and 255; those of NRRD have published values."""
    if len(raw.files) == 1:
        yield raw.files[0], as_label(read_h5(raw.files[0], raw.case)[1], raw.case, raw.files[0])


SPEC = DatasetSpec(
    name="la",
    title="LA",
    modality="late gadolinium-enhanced MR of the left atrium",
    spatial_dims=3,
    classes=("background", "left atrium"),
    channels=("mr",),
    native_format="nifti",
    licence="terms of the challenge",
    citation="Xiong et al., A global benchmark of algorithms for segmenting the left atrium from late "
    "gadolinium-enhanced cardiac magnetic resonance imaging, Medical Image Analysis 67, 101832, 2021, "
    "doi 10.1016/j.media.2020.101832",
    discover=discover,
    load=load,
    undeclared_masks=crop_masks,
    options=LaOptions,
    folder_names=("LA", "la"),
    splits=("la_64_16_tuning", "la_80_20"),
    registration=(
        "register at https://www.cardiacatlas.org/atriaseg2018-challenge/atria-seg-data/ and accept the terms",
        "download the 100 training cases (lgemri.nrrd and laendo.nrrd in a folder each), or take the h5 crops "
        "(mri_norm2.h5) that papers on semi-supervised learning use",
        "put the folder that holds the patients' folders at $CONTRASTSEG_DATA/LA",
    ),
    traps=(
        "The h5 crops were cut around the label with unseeded random margins: crops of one's own are other images, and "
        "on uncropped volumes the task is harder.",
        "The h5 crops hold no spacing: surface distances are in voxels (the site gives 0.625 mm in all directions "
        "for the original images).",
        "The h5 arrays are stored as (x, y, z); they are read as (z, y, x).",
        "The usual split has no validation part: choosing a checkpoint by its test score is not held out.",
    ),
)
