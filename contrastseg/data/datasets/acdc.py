"""ACDC: cine MR of the heart, end diastole and end systole, in the official NIfTI and in the community's h5 layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import as_label, read_h5
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.readers.layouts import read_volume, require_cases, require_folder
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, RawCase
from contrastseg.errors import DataError

_FRAME = re.compile(r"(?P<patient>patient\d{3})_frame(?P<frame>\d{2})(?P<mask>_gt)?\.nii(\.gz)?")
_VOLUME = re.compile(r"(?P<patient>patient\d{3})_(?P<frame>frame\d{2})\.h5")
_SLICE = re.compile(r"(?P<patient>patient\d{3})_(?P<frame>frame\d{2})_slice_(?P<number>\d+)\.h5")
_PHASES = ("ED", "ES")
_TRAINING_PATIENTS = 100  # 101 to 150 are the challenge's test part


class AcdcOptions(DatasetOptions):
    """Options of ACDC.

    Attributes:
        layout: Which of the two layouts to read; ``auto`` takes the official one where both lie in the folder.
        part: The challenge's part; the literature's splits divide the 100 training patients.
        phases: Which frames; in the h5 layout ED is frame01 and ES frame02.
    """

    layout: Literal["auto", "nifti", "h5"] = "auto"
    part: Literal["training", "testing", "all"] = "training"
    phases: tuple[Literal["ED", "ES"], ...] = ("ED", "ES")


def discover(raw: Path | None, options: AcdcOptions, faults: Faults) -> list[RawCase]:
    """List the cases below `raw`, whichever layout it holds."""
    raw = require_folder(raw, "acdc")
    cases: list[RawCase] = []
    if options.layout in ("auto", "nifti"):
        cases = _discover_nifti(raw, options, faults)
    if options.layout == "h5" or (options.layout == "auto" and not cases and not faults.found):
        cases = _discover_h5(raw, options, faults)
    require_cases(cases, faults, raw, "patient001/patient001_frame01.nii.gz or data/patient001_frame01.h5")
    return cases


def _wanted(patient: str, options: AcdcOptions) -> bool:
    part = "training" if int(patient.removeprefix("patient")) <= _TRAINING_PATIENTS else "testing"
    return options.part in (part, "all")


def _discover_nifti(raw: Path, options: AcdcOptions, faults: Faults) -> list[RawCase]:
    images, masks = _nifti_files(raw, options, faults)
    cases = []
    for patient in sorted({patient for patient, _ in {*images, *masks}}):
        frames = sorted({frame for owner, frame in {*images, *masks} if owner == patient})
        info = (images.get((patient, frames[0])) or masks[patient, frames[0]]).parent / "Info.cfg"
        phases: dict[str, str] = {}
        with faults.collect():
            phases = _phases(info, patient)
        _require_frames(patient, frames, phases, options, info, faults)
        for frame in frames:
            image, mask = images.get((patient, frame)), masks.get((patient, frame))
            if case := _nifti_case(patient, frame, image, mask, phases, options, faults):
                cases.append(case)
    return cases


_Files = dict[tuple[str, str], Path]
"""Files by (patient, frame)."""


def _nifti_files(raw: Path, options: AcdcOptions, faults: Faults) -> tuple[_Files, _Files]:
    """The images and the masks of the wanted part."""
    images: _Files = {}
    masks: _Files = {}
    for path in sorted(raw.rglob("patient*_frame*.nii*")):
        match = _FRAME.fullmatch(path.name)
        if match is None or not _wanted(match["patient"], options):
            continue
        files, key = (masks if match["mask"] else images), (match["patient"], match["frame"])
        if key in files:
            faults.add(
                f"the case is there twice, also as {files[key]}",
                case=match[0].split(".")[0],
                file=path,
                remedy="keep one",
            )
        files.setdefault(key, path)
    return images, masks


def _require_frames(
    patient: str, frames: list[str], phases: dict[str, str], options: AcdcOptions, info: Path, faults: Faults
) -> None:
    """Note the wanted phases whose frame Info.cfg names and the folder lacks, where it names all frames there are."""
    if not phases.keys() >= set(frames):
        return
    for frame, phase in phases.items():
        if phase in options.phases and frame not in frames:
            faults.add(
                f"the frame of {phase} is missing, {frame} by Info.cfg",
                case=patient,
                file=info,
                remedy=f"restore {patient}_frame{frame}.nii.gz and its mask, or leave {phase} out of `phases`",
            )


def _nifti_case(
    patient: str,
    frame: str,
    image: Path | None,
    mask: Path | None,
    phases: dict[str, str],
    options: AcdcOptions,
    faults: Faults,
) -> RawCase | None:
    """The case of a frame; None where it is not wanted, its phase is unknown, or a fault was noted."""
    case = f"{patient}_frame{frame}"
    if mask is None:
        faults.add("the image has no mask", case=case, file=image, remedy=f"restore {case}_gt.nii.gz")
    elif image is None:
        faults.add("the mask has no image", case=case, file=mask, remedy=f"restore {case}.nii.gz")
    elif phases and frame not in phases:
        faults.add("neither ED nor ES by Info.cfg", case=case, file=image, remedy="restore the patient's files")
    elif phases and phases[frame] in options.phases:
        return RawCase(case, patient, phases[frame], (image, mask), {"layout": "nifti"})
    return None


def _phases(path: Path, patient: str) -> dict[str, str]:
    """Frame number (two digits) to phase, from a patient's Info.cfg."""
    with wrap_read_errors(path, patient):
        text = path.read_text(encoding="utf-8")
    matches = {phase: re.search(rf"^{phase}\s*:\s*(\d+)\s*$", text, re.MULTILINE) for phase in _PHASES}
    if missing := [phase for phase, match in matches.items() if match is None]:
        raise DataError(
            f"Info.cfg does not name the frame of {' and '.join(missing)}",
            case=patient,
            file=path,
            remedy="restore the published Info.cfg",
        )
    return {f"{int(match[1]):02d}": phase for phase, match in matches.items() if match is not None}


def _discover_h5(raw: Path, options: AcdcOptions, faults: Faults) -> list[RawCase]:
    files = _h5_files(raw, options, faults)
    _check_lists(raw, files, faults)
    cases = (_h5_case(case, numbered, faults) for case, numbered in sorted(files.items()))
    return [case for case in cases if case is not None]


def _h5_files(raw: Path, options: AcdcOptions, faults: Faults) -> dict[str, dict[int, Path]]:
    """The files of each case of the wanted part and phases, by slice; number 0 is the whole volume."""
    phases = {f"frame{number:02d}": phase for number, phase in enumerate(_PHASES, start=1)}
    files: dict[str, dict[int, Path]] = {}
    for path in sorted(raw.rglob("patient*.h5")):
        match = _SLICE.fullmatch(path.name) or _VOLUME.fullmatch(path.name)
        if match is None or not _wanted(match["patient"], options):
            continue
        case, number = f"{match['patient']}_{match['frame']}", int(match.groupdict().get("number") or 0)
        if match["frame"] not in phases:
            faults.add("frames of this layout are 01 and 02", case=case, file=path, remedy="restore the published name")
        elif number in files.setdefault(case, {}):
            other = files[case][number]
            faults.add(f"the case is there twice, also as {other}", case=case, file=path, remedy="keep one")
        elif phases[match["frame"]] in options.phases:
            files[case][number] = path
    return files


def _h5_case(case: str, files: dict[int, Path], faults: Faults) -> RawCase | None:
    """The case of a volume's file, or of all its slices; None where there is no file, or a gap was noted."""
    patient, frame = case.split("_")
    slices = [files[number] for number in sorted(files) if number]
    if 0 in files:
        return RawCase(case, patient, frame, (files[0],), {"layout": "h5"})
    if gaps := sorted(set(range(1, max(files, default=0) + 1)) - set(files)):
        faults.add(f"slices {gaps} are missing", case=case, file=slices[0].parent, remedy="restore the slice files")
        return None
    return RawCase(case, patient, frame, tuple(slices), {"layout": "h5"}) if slices else None


def _check_lists(raw: Path, files: dict[str, dict[int, Path]], faults: Faults) -> None:
    """Slices that the folder's own list names must be there: a gap at a volume's end shows nowhere else."""
    for path in sorted(raw.glob("*_slices.list")):
        for line in path.read_text(encoding="utf-8").split():
            match = _SLICE.fullmatch(f"{line}.h5")
            if match is None:
                continue
            case, number = f"{match['patient']}_{match['frame']}", int(match["number"])
            present = files.get(case)
            if present and 0 not in present and number not in present:
                faults.add(
                    f"{path.name} names slice {number}, which is missing",
                    case=case,
                    file=path,
                    remedy=f"restore {line}.h5",
                )


def load(raw: RawCase, options: AcdcOptions) -> NativeCase:
    """Read one frame in either layout."""
    if raw.details["layout"] == "nifti":
        return read_volume(raw.files[:1], raw.files[1], raw.case)
    return _load_h5(raw)


def _load_h5(raw: RawCase) -> NativeCase:
    images, labels = zip(*(read_h5(path, raw.case) for path in raw.files), strict=True)
    if len(raw.files) == 1 and images[0].ndim == 3:
        image, label = images[0], labels[0]
    else:
        shapes = {array.shape for array in (*images, *labels)}
        if len(shapes) != 1:
            raise DataError(
                f"slices of different shapes: {sorted(shapes)}",
                case=raw.case,
                file=raw.files[0].parent,
                remedy="restore the slice files",
            )
        image, label = np.stack(images), np.stack(labels)
    note = "community h5 layout: no spacing stored, distances are in voxels"
    return NativeCase(image[None], as_label(label, raw.case, raw.files[0]), None, "voxel", None, (note,))


SPEC = DatasetSpec(
    name="acdc",
    title="ACDC",
    modality="cardiac cine MR",
    spatial_dims=3,
    classes=("background", "RV", "myocardium", "LV"),
    channels=("mr",),
    native_format="nifti",
    licence="CC BY-NC-SA 4.0",
    citation="Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi-structures Segmentation and "
    "Diagnosis: Is the Problem Solved?, IEEE TMI 37(11), 2018, doi 10.1109/TMI.2018.2837502",
    discover=discover,
    load=load,
    options=AcdcOptions,
    folder_names=("ACDC", "acdc"),
    splits=("acdc_70_10_20", "acdc_70_10_tuning", "acdc_70_30", "acdc_chaitanya_78_2_20"),
    registration=(
        "register at https://humanheart-project.creatis.insa-lyon.fr and accept the terms (CC BY-NC-SA 4.0)",
        "download the ACDC challenge data and unpack it",
        "put the folder with patient001, patient002, ... (or training/ and testing/) at $CONTRASTSEG_DATA/ACDC",
    ),
    traps=(
        "The community's h5 form is read too: data/slices/patient001_frame01_slice_1.h5 for training,"
        " data/patient081_frame01.h5 for testing, and the lists beside them. It stores no spacing: distances are in"
        " voxels there, in millimetres in the official form.",
        "In a copy of the community's h5 form, patient074 and patient076 hold the same images. Both are training"
        " patients of 70/10/20; a random split may train on one and test on the other.",
    ),
)
