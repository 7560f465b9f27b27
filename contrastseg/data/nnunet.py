"""A user's own data in nnU-Net's layout: its ``dataset.json`` says what there is to say, so that it needs no code.

Read are versions 1 and 2 of the layout: ``imagesTr/<case>_0000.nii.gz`` (one file a channel, or one file of all),
``labelsTr/<case>.nii.gz``, and ``imagesTs`` where ``labelsTs`` lies beside it. ``patients.csv`` (case, patient) is
ours: it says which cases show the same person. Without it a case is a patient.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from contrastseg.data.faults import Faults
from contrastseg.data.formats import PHOTO_SUFFIXES, read_label, read_photo, reading
from contrastseg.data.layouts import by_case, map_values, pairs, read_volume, require_cases
from contrastseg.data.nnunet_description import DESCRIPTION, VOLUMES, Description, read_description
from contrastseg.data.settings import PreparationSettings, SplitSettings
from contrastseg.data.specs import DatasetOptions, DatasetSpec, NativeCase, Part, RawCase, parse_options
from contrastseg.errors import DataError, UnavailableDataError
from contrastseg.files import OTHER_IMAGES

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
    """Options of a data set in nnU-Net's layout.

    Attributes:
        path: The folder that holds ``dataset.json``, relative to the working directory. It is no part of the rule of
            preparation: data that was moved is not prepared again.
    """

    path: str = Field(exclude=True)


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
    if not folder.is_dir():
        raise UnavailableDataError(
            "the folder is not on this machine",
            file=folder.resolve(),
            remedy="correct the path; a relative one starts at the working directory",
        )
    described = read_description(folder)
    tested = (folder / "labelsTs").is_dir()
    photos = described.ending in PHOTO_SUFFIXES
    return DatasetSpec(
        name=NAME,
        title=described.title,
        modality=", ".join(described.channels),
        spatial_dims=2 if photos else 3,
        classes=described.classes,
        channels=described.channels,
        native_format="png" if photos else "nifti",
        licence=described.licence,
        citation=described.citation,
        discover=discover,
        load=load,
        options=NnunetOptions,
        preparation=_preparation(described),
        folder=folder,
        ignore=described.ignore is not None,
        split=SplitSettings(name="official") if tested else SplitSettings(),
        splits=("official",) if tested else (),
        traps=_traps(folder, described),
    )


def _preparation(described: Description) -> PreparationSettings:
    asked = {_RULES.get(name.lower(), "zscore") for name in described.normalisations}
    return PreparationSettings(intensity=asked.pop() if len(asked) == 1 else "zscore")


def _traps(folder: Path, described: Description) -> tuple[str, ...]:
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
    if described.ending in VOLUMES:
        traps.append(
            "Nothing is resampled unless `preparation: {spacing: [z, y, x]}` says so; nnU-Net resamples to the median."
        )
    unlabelled = folder / "imagesTs"
    if unlabelled.is_dir() and any(unlabelled.iterdir()) and not (folder / "labelsTs").is_dir():
        traps.append("imagesTs has no labelsTs: nothing can be scored there, so it is left out.")
    return tuple(traps)


def discover(raw: Path | None, options: NnunetOptions, faults: Faults) -> list[RawCase]:
    """List the cases of ``imagesTr``, and of ``imagesTs`` where it has labels."""
    folder = Path(options.path).expanduser() if raw is None else raw
    described = read_description(folder)
    parts = [(part, folder / images, folder / labels) for part, images, labels in _PARTS]
    parts = [(part, images, labels) for part, images, labels in parts if part == "train" or labels.is_dir()]
    found: dict[str, RawCase] = {}
    for part, images, labels in parts:
        files = _files(images, labels, described, faults)
        if part == "train" and described.cases not in (None, len(files)) and not faults.found:
            faults.add(
                f"numTraining is {described.cases}, {images.name} holds {len(files)} cases",
                file=folder / DESCRIPTION,
                remedy="restore what is missing, or correct numTraining",
            )
        for case, (channels, label) in files.items():
            if case in found:
                faults.add("the case is there twice, also in imagesTr", case=case, file=channels[0], remedy="keep one")
                continue
            every = (*channels, folder / DESCRIPTION, label)
            found[case] = RawCase(case, case, None, every, part=part if len(parts) > 1 else None)
    require_cases(found, faults, folder, f"imagesTr/case_0000{described.ending} and labelsTr/case{described.ending}")
    return _with_patients(folder / PATIENTS, found, faults)


def _files(
    images: Path, labels: Path, described: Description, faults: Faults
) -> dict[str, tuple[tuple[Path, ...], Path]]:
    """(files of the channels, label) by case."""
    masks = by_case(_image_files(labels, described, faults), lambda path: _stem(path, described), faults)
    channels: dict[str, dict[int, Path]] = {}
    for path in _image_files(images, described, faults):
        stem = _stem(path, described)
        numbered = re.fullmatch(r"(.+)_(\d{4})", stem)
        if stem in masks or not numbered:
            channels.setdefault(stem, {})[-1] = path  # one file of all channels, as the Medical Decathlon has them
        else:
            channels.setdefault(numbered[1], {})[int(numbered[2])] = path
    both = pairs({case: min(files.items())[1] for case, files in channels.items()}, masks, faults)
    complete = {}
    for case, (first, label) in both.items():
        present = sorted(channels[case])
        colours = described.ending in PHOTO_SUFFIXES and len(described.channels) == 3 and present == [0]
        if re.search(r'[,"\x00-\x1f]', case):
            faults.add("a comma or quote in the name of a case", case=case, file=first, remedy="rename its files")
        elif present == [-1] or colours or present == list(range(len(described.channels))):
            complete[case] = tuple(channels[case][number] for number in present), label
        else:
            there = ", ".join(channels[case][number].name for number in present)
            faults.add(
                f"{len(described.channels)} channels ({', '.join(described.channels)}) are declared; there is {there}",
                case=case,
                file=first,
                remedy=f"give one file a channel, numbered from _0000 to _{len(described.channels) - 1:04d}",
            )
    return complete


def _image_files(folder: Path, described: Description, faults: Faults) -> list[Path]:
    """The folder's files that end as declared; other images are faults, other files are none of our business."""
    if not folder.is_dir():
        faults.add("the folder does not exist", file=folder, remedy="restore nnU-Net's layout: imagesTr and labelsTr")
        return []
    found = []
    for path in sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")):
        name = path.name.lower()
        if path.name.endswith(described.ending):
            found.append(path)
        elif name.endswith((*VOLUMES, *PHOTO_SUFFIXES, *OTHER_IMAGES)):
            faults.add(
                f"the file does not end in {described.ending}, as dataset.json declares",
                file=path,
                remedy="convert or remove it, or correct file_ending",
            )
    return found


def _stem(path: Path, described: Description) -> str:
    return path.name.removesuffix(described.ending)


def _with_patients(table: Path, found: Mapping[str, RawCase], faults: Faults) -> list[RawCase]:
    """The cases with the patients of the user's table, if there is one."""
    if not table.is_file():
        return list(found.values())
    patients: dict[str, str] = {}
    with faults.collect():
        patients = _read_patients(table, faults)
        for case in sorted(found.keys() - patients.keys()):
            faults.add("the case has no patient", case=case, file=table, remedy="add its row")
        for case in sorted(patients.keys() - found.keys()) if not faults.found else ():
            faults.add("the table names a case that is not there", case=case, file=table, remedy="remove its row")
    cases = [dataclasses.replace(raw, patient=patients.get(case, case)) for case, raw in found.items()]
    for patient in sorted({raw.patient for raw in cases}):
        if len({raw.part for raw in cases if raw.patient == patient}) > 1:
            faults.add(
                "the patient is both in imagesTr and in imagesTs", case=patient, file=table, remedy="keep one part"
            )
    return cases


def _read_patients(table: Path, faults: Faults) -> dict[str, str]:
    patients: dict[str, str] = {}
    with reading(table), open(table, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not {"case", "patient"} <= set(reader.fieldnames or ()):
            raise DataError("the columns are not case,patient", file=table, remedy="begin with the line case,patient")
        for row in reader:
            case, patient = (row["case"] or "").strip(), (row["patient"] or "").strip()
            if not case or not re.fullmatch(r'[^,"\x00-\x1f]+', patient):
                faults.add("a row without case or patient", case=case or None, file=table, remedy="complete the row")
            elif case in patients:
                faults.add("the case is there twice", case=case, file=table, remedy="keep one row")
            else:
                patients[case] = patient
    return patients


def load(raw: RawCase, options: NnunetOptions) -> NativeCase:
    """Read one case; the ignore label becomes 255."""
    *images, description, label = raw.files
    described = read_description(description.parent)
    if described.ending in VOLUMES:
        return read_volume(images, label, raw.case, described.values)
    photos = [read_photo(path, raw.case) for path in images]
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
    values = map_values(read_label(label, raw.case)[0], described.values, raw.case, label)
    return NativeCase(image, values, None, "pixel")
