"""NIH Pancreas-CT: contrast-enhanced abdominal CT as DICOM, the pancreas as NIfTI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.dicom import read_series
from contrastseg.data.files.placement import LARGEST_SHIFT, shift
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.readers.layouts import find, map_values, pairs, read_label_volume, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError

_PATIENT = re.compile(r"(?:.*/)?(?P<case>PANCREAS_\d{4})/.*\.dcm")
_WITHDRAWN = ("PANCREAS_0025", "PANCREAS_0070")  # crops of the scan of patient 2
_PARENT = "PANCREAS_0002"


def discover(raw: Path | None, options: DatasetOptions, faults: Faults) -> list[RawCase]:
    """List the patients: the slices of each, then the label."""
    raw = require_folder(raw, "pancreas_ct")
    slices: dict[str, list[Path]] = {}
    for path in sorted(raw.rglob("*.dcm")):
        match = _PATIENT.fullmatch(path.relative_to(raw).as_posix())
        if match and not path.name.startswith("._"):
            slices.setdefault(match["case"], []).append(path)
    labels = find(raw, r"label(?P<case>\d{4})\.nii(\.gz)?", faults, "PANCREAS_")
    for case in _WITHDRAWN:
        slices.pop(case, None)
        labels.pop(case, None)  # still among the published labels
    # A series stands for its first slice where one file is to be named.
    files_of = pairs({case: files[0] for case, files in slices.items()}, labels, faults)
    require_cases(files_of, faults, raw, "Pancreas-CT/PANCREAS_0001/.../1-001.dcm and label0001.nii.gz")
    return [
        RawCase(case, case.removeprefix("PANCREAS_"), None, (*slices[case], label))
        for case, (_, label) in files_of.items()
    ]


def load(raw: RawCase, options: DatasetOptions) -> NativeCase:
    """Read one patient."""
    series, file = read_series(raw.files[:-1], raw.case), raw.files[-1]
    label, notes = _on_grid(file, raw.case, series.affine)
    if label.shape != series.array.shape:
        raise DataError(
            f"the image has shape {series.array.shape}, its label {label.shape}",
            case=raw.case,
            file=file,
            remedy="restore the published series and label",
        )
    if raw.case == _PARENT:
        notes = (*notes, "cases 25 and 70, crops of this scan, are left out")
    mapped = map_values(label, {1: 1}, raw.case, file)
    return NativeCase(series.array[None], mapped, series.spacing, "mm", series.affine, notes)


def _on_grid(path: Path, case: str, affine: list[list[float]]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The label with its axes in the order and direction of the CT's.

    The labels' arrays run along columns, rows and rising slices of the DICOM files: public converters
    (OrganSegRSTN_PyTorch's nii2npy.py and dicom2npy.py) only swap the first two axes; the flip in y that others
    (deedsBCV's README) tell of is due to dcm2niix, which turns the image. The headers say so too (nnU-Net's
    Task062_NIHPancreas.py goes by their directions). So directions are taken from the header where it has any, and the
    DICOM order is taken where it has none; positions are compared and noted, as not every header's need be right.
    """
    import nibabel
    from nibabel import orientations

    array, _, own = read_label_volume(path, case)
    with wrap_read_errors(path, case):
        header: Any = nibabel.load(path).header
        oriented = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    if not oriented:
        return array, ("the label's header has no orientation: taken in the order of the DICOM files",)
    there, here = (orientations.io_orientation(np.asarray(matrix)) for matrix in (affine, own))
    transform = orientations.ornt_transform(here, there)
    turned = orientations.apply_orientation(array.transpose(), transform)
    moved = np.asarray(own) @ orientations.inv_ornt_aff(transform, array.shape[::-1])
    away = shift(affine, moved.tolist(), turned.shape[::-1])
    notes = () if away <= LARGEST_SHIFT else ("the label's header has another position than the CT's",)
    return np.ascontiguousarray(turned.transpose()), notes


SPEC = DatasetSpec(
    name="pancreas_ct",
    title="Pancreas-CT",
    modality="contrast-enhanced abdominal CT",
    spatial_dims=3,
    classes=("background", "pancreas"),
    channels=("ct",),
    native_format="nifti",
    licence="CC BY 3.0, with the data usage policy of TCIA",
    citation="Roth et al., Data From Pancreas-CT, The Cancer Imaging Archive, 2016, doi 10.7937/K9/TCIA.2016.tNB1kqBU",
    discover=discover,
    load=load,
    preparation=PreparationSettings(intensity="window", window=(-125, 275), spacing=(1, 1, 1)),
    splits=("pancreas_ct_62_18", "pancreas_ct_62_20"),
    folder_names=("Pancreas-CT", "pancreas_ct", "NIH-Pancreas"),
    traps=(
        "Cases 25 and 70 are crops of the scan of case 2 and were withdrawn; they are left out even where they lie "
        "there. Older splits name them.",
        "dcm2niix turns images over in y: after such a conversion the label arrays look flipped, beside the DICOM "
        "files they are not.",
        "Papers crop around the label, which a test image would not have: whole scans are prepared here.",
    ),
)
