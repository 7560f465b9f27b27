"""A user's own data in nnU-Net's layout: its ``dataset.json`` says what there is to say, so that it needs no code.

Read are versions 1 and 2 of the layout: ``imagesTr/<case>_0000.nii.gz`` (one file a channel, or one file of all),
``labelsTr/<case>.nii.gz``, and ``imagesTs`` where ``labelsTs`` lies beside it. Images of ``imagesTr`` without a label
are unlabelled material, and so are those of ``imagesUn``, a folder of ours. ``patients.csv`` (case, patient) is ours
too: it says which cases show the same person. Without it a case is a patient.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import read_label, read_photo
from contrastseg.data.files.tiff import TIFF_SUFFIXES, is_tiff, read_spacing, read_tiff, read_tiff_grid, read_tiff_label
from contrastseg.data.files.volumes import read_grid
from contrastseg.data.readers.layouts import map_values, read_volume, require_cases
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec, NativeCase, Part, RawCase, parse_options
from contrastseg.data.registry.described import kept_description, missing_folder
from contrastseg.data.registry.nnunet_description import (
    DESCRIPTION,
    VOLUMES,
    Description,
    read_description,
    shows_volumes,
)
from contrastseg.data.registry.nnunet_files import UNLABELLED, CaseFiles, labelled_part, named_by_files, unlabelled_part
from contrastseg.data.registry.patients import read_patients
from contrastseg.data.settings import PreparationSettings, SplitSettings
from contrastseg.errors import DataError

NAME = "nnunet"
PATIENTS = "patients.csv"
_PARTS: tuple[tuple[Part, str, str], ...] = (("train", "imagesTr", "labelsTr"), ("test", "imagesTs", "labelsTs"))
# What nnU-Net calls its rules, as far as one of ours does the same to a case by itself.
_RULES: Mapping[str, Literal["none", "minmax", "uint8"]] = {
    "nonorm": "none",
    "rescale_to_0_1": "minmax",
    "rgb_to_0_1": "uint8",
}


class NnunetOptions(DatasetOptions):
    """Options of a data set in nnU-Net's layout. They are no part of the rule of preparation.

    Attributes:
        path: The folder that holds ``dataset.json``, relative to the working directory. Data that was moved is not
            prepared again.
        unlabelled: ``use`` takes the images of ``imagesTr`` without a label, and all images of ``imagesUn``, as
            unlabelled material: methods train on them that use unlabelled images, and they are never scored.
            ``require_labels`` makes an image of ``imagesTr`` without a label a fault and leaves ``imagesUn`` out.
    """

    path: str = Field(exclude=True)
    unlabelled: Literal["use", "require_labels"] = Field("use", exclude=True)


def spec_of(options: Mapping[str, Any] | DatasetOptions | None) -> DatasetSpec:
    """The data set in the folder that the options name.

    Raises:
        UnavailableDataError: The folder is not there.
        DataError: The options name no folder, or its ``dataset.json`` cannot be used.
    """
    if not isinstance(options, DatasetOptions) and "path" not in dict(options or {}):
        raise DataError(
            "data in nnU-Net's layout is named by its folder",
            remedy="write `nnunet: path/to/DatasetXXX` in the suite, or the option `path`",
        )
    folder = Path(parse_options(NAME, NnunetOptions, options).path).expanduser()
    there = folder if folder.is_dir() else kept_description(folder)
    if there is None:
        raise missing_folder(folder)
    said = read_description(there)
    tested = (there / "labelsTs").is_dir()
    photos = not shows_volumes(there, said)
    return DatasetSpec(
        name=NAME,
        title=said.title,
        modality=", ".join(said.channels),
        spatial_dims=2 if photos else 3,
        classes=said.classes,
        channels=said.channels,
        native_format="png" if photos else "nifti",
        licence=said.licence,
        citation=said.citation,
        discover=discover,
        load=load,
        grid=None if photos else grid,
        options=NnunetOptions,
        preparation=_preparation(said, photos),
        folder=folder,
        ignore=said.ignore is not None,
        split=SplitSettings(name="official") if tested else SplitSettings(),
        splits=("official",) if tested else (),
        traps=_traps(there, said, photos),
    )


def _preparation(described: Description, photos: bool) -> PreparationSettings:
    asked = {_RULES.get(name.lower(), "zscore") for name in described.normalisations}
    intensity = asked.pop() if len(asked) == 1 else "zscore"
    return PreparationSettings(intensity=intensity, slice_axis=None if photos else "largest_spacing")


def _traps(folder: Path, described: Description, photos: bool) -> tuple[str, ...]:
    """What is done otherwise than nnU-Net would, for the user to decide."""
    traps = []
    rules = {name.lower() for name in described.normalisations}
    if "ct" in rules:
        traps.append(
            "CT is normalised by the mean and deviation of each case; nnU-Net takes percentiles of the foreground of "
            "all cases. Set `preparation: {intensity: window, window: [low, high]}` to the tissue of interest."
        )
    if len(rules & {*_RULES, "ct"}) and len(rules) > 1:
        traps.append("The channels ask for different rules of intensity; all of them get the mean and deviation rule.")
    if not photos:
        traps.append(
            "Nothing is resampled unless `preparation: {spacing: [z, y, x]}` says so; nnU-Net resamples to the median."
        )
    unlabelled = folder / "imagesTs"
    if unlabelled.is_dir() and any(unlabelled.iterdir()) and not (folder / "labelsTs").is_dir():
        traps.append("imagesTs has no labelsTs: nothing can be scored there, so it is left out.")
    return tuple(traps)


def discover(raw: Path | None, options: NnunetOptions, faults: Faults) -> list[RawCase]:
    """List the cases of ``imagesTr`` and ``imagesUn``, and of ``imagesTs`` where it has labels."""
    folder = Path(options.path).expanduser() if raw is None else raw
    described = read_description(folder)
    material = options.unlabelled == "use"
    parts = [(part, folder / images, folder / labels) for part, images, labels in _PARTS]
    bare = folder / UNLABELLED
    if material and bare.is_dir() and not any(path.is_dir() for path in parts[0][1:]):
        parts = parts[1:]  # images for others to pre-train on
    parts = [(part, images, labels) for part, images, labels in parts if part == "train" or labels.is_dir()]
    several = any(part == "test" for part, _, _ in parts)
    by_name: dict[str, RawCase] = {}
    whole = False

    def add(place: Path, cases: Mapping[str, CaseFiles], part: Part | None) -> None:
        for case, files in cases.items():
            if case in by_name:
                faults.add(
                    "the case is there twice, also as "
                    f"{by_name[case].files[0].parent.name}/{by_name[case].files[0].name}",
                    case=case,
                    file=files.channels[0],
                    remedy=f"keep one of them, or rename the one in {place.name} if it is another image",
                )
                continue
            labelled = files.label is not None
            every = (
                *files.channels,
                *_spacing_file(place, case, described),
                folder / DESCRIPTION,
                *((files.label,) if files.label is not None else ()),
            )
            kept = part if several and labelled else None
            by_name[case] = RawCase(case, case, None, every, part=kept, labelled=labelled)

    for part, images, labels in parts:
        before = len(faults.found)
        cases, style = labelled_part(images, labels, described, faults, bare=material and part == "train")
        if part == "train":
            whole = style
            _check_count(folder, described, cases, faults, sound=len(faults.found) == before)
        add(images, cases, part)
    if material and bare.is_dir():
        add(bare, unlabelled_part(bare, described, faults, whole=whole), None)
    elif bare.is_dir():
        faults.pass_over(bare, "the suite says `unlabelled: require_labels`")
    _note_entries(folder, several, faults)
    require_cases(by_name, faults, folder, f"imagesTr/case_0000{described.ending} and labelsTr/case{described.ending}")
    return _with_patients(folder, by_name, described, faults)


def _spacing_file(images: Path, case: str, described: Description) -> tuple[Path, ...]:
    """The file beside a TIFF volume that says its spacing, as nnU-Net has it."""
    file = images / f"{case}.json"
    return (file,) if described.ending in TIFF_SUFFIXES and file.is_file() else ()


def _note_entries(folder: Path, tested: bool, faults: Faults) -> None:
    """Note what else lies in the folder; a link that leads nowhere hides what somebody put here."""
    parts = {"imagesTr", "labelsTr", UNLABELLED, *(("imagesTs", "labelsTs") if tested else ())}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_symlink() and not path.exists():
            faults.add("the link leads nowhere", file=path, remedy="restore what it points at, or remove the link")
        elif path.name == "imagesTs" and not tested:
            faults.pass_over(path, "imagesTs has no labelsTs, so nothing can be scored there")
        elif path.name not in {DESCRIPTION, PATIENTS, *parts} and path not in faults.passed_over:
            near = difflib.get_close_matches(path.name.casefold(), sorted(map(str.casefold, parts)), 1, 0.8)
            meant = [part for part in parts if [part.casefold()] == near]
            hint = f"; did you mean {meant[0]}?" if meant and not (folder / meant[0]).exists() else ""
            faults.pass_over(path, f"no part of nnU-Net's layout{hint}")


def _check_count(
    folder: Path, described: Description, cases: Mapping[str, CaseFiles], faults: Faults, *, sound: bool
) -> None:
    """Compare numTraining with the cases that have labels, as nnU-Net counts, or with all images of ``imagesTr``."""
    labelled = sum(files.label is not None for files in cases.values())
    if sound and described.cases not in (None, labelled, len(cases)):
        bare = f", and {len(cases) - labelled} without" if labelled < len(cases) else ""
        faults.add(
            f"numTraining is {described.cases}, imagesTr holds {labelled} cases with a label{bare}",
            file=folder / DESCRIPTION,
            remedy=f'restore what is missing, or write `"numTraining": {labelled}`',
        )


def _with_patients(
    folder: Path, by_name: Mapping[str, RawCase], described: Description, faults: Faults
) -> list[RawCase]:
    """The cases with the patients of the user's table, if there is one."""
    table = folder / PATIENTS
    if not table.is_file():
        return list(by_name.values())
    patients: dict[str, str] = {}
    with faults.collect():
        patients = read_patients(table, by_name, faults, named_by_files(folder, described))
    cases = [dataclasses.replace(raw, patient=patients.get(case, case)) for case, raw in by_name.items()]
    parts: dict[str, set[str | None]] = {}
    for raw in cases:
        if raw.labelled:
            parts.setdefault(raw.patient, set()).add(raw.part)
    for patient, of in sorted(parts.items()):
        if len(of) > 1:
            faults.add(
                "the patient is both in imagesTr and in imagesTs",
                case=patient,
                file=table,
                remedy="move all images of the patient into one of the two, with their labels",
            )
    return cases


def _says_spacing(path: Path) -> bool:
    return path.suffix == ".json" and path.name != DESCRIPTION


def grid(raw: RawCase, options: NnunetOptions) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Read shape and spacing of a volume's first channel."""
    if is_tiff(raw.files[0]):
        return read_tiff_grid(raw.files[0], next((path for path in raw.files if _says_spacing(path)), None))
    return read_grid(raw.files[0], raw.case)


def load(raw: RawCase, options: NnunetOptions) -> NativeCase:
    """Read one case; the ignore label becomes 255."""
    *images, description = raw.files[:-1] if raw.labelled else raw.files
    label = raw.files[-1] if raw.labelled else None
    described = read_description(description.parent)
    if described.ending in VOLUMES:
        return read_volume(images, label, raw.case, described.values)
    spacing = read_spacing(next((path for path in images if _says_spacing(path)), None))
    images = [path for path in images if not _says_spacing(path)]
    read = read_tiff if described.ending in TIFF_SUFFIXES else read_photo
    photos = [read(path, raw.case) for path in images]
    for path, photo in zip(images, photos, strict=True):
        if photo.shape[1:] != photos[0].shape[1:] or (len(photos) > 1 and len(photo) != 1):
            raise DataError(
                f"the channels do not fit together: {images[0].name} is {photos[0].shape}, {path.name} {photo.shape}",
                case=raw.case,
                file=path,
                remedy="give greyscale images of one size",
            )
    image = np.concatenate(photos)
    if len(image) != len(described.channels):
        raise DataError(
            f"the image has {len(image)} channels, dataset.json declares {len(described.channels)}",
            case=raw.case,
            file=images[0],
            remedy="convert the image, or name every channel in channel_names (red, green, blue)",
        )
    values = None
    if label is not None:
        values = map_values(_label(label, raw.case), described.values, raw.case, label)
    if image.ndim == 3:
        return NativeCase(image, values, None, "pixel")
    affine = None if spacing is None else np.diag([*spacing[::-1], 1.0]).tolist()
    return NativeCase(image, values, spacing, "voxel" if spacing is None else "mm", affine)


def _label(path: Path, case: str) -> np.ndarray:
    """A label that is no volume of a medical format: a photograph's, or a TIFF volume's."""
    return read_tiff_label(path, case) if is_tiff(path) else read_label(path, case)[0]
