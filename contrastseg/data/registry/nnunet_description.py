"""What nnU-Net's ``dataset.json`` says, in both versions of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import NIFTI_SUFFIXES, PHOTO_SUFFIXES
from contrastseg.data.files.itk import ITK_SUFFIXES
from contrastseg.data.files.tiff import TIFF_SUFFIXES, is_volume
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError
from contrastseg.labels import IGNORE, fault_of_names

DESCRIPTION = "dataset.json"
VOLUMES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)


@dataclasses.dataclass(frozen=True)
class Description:
    """A ``dataset.json``.

    Attributes:
        title: Its name, or the folder's without nnU-Net's number.
        channels: Names of the channels, each once.
        normalisations: The same as written: nnU-Net reads a rule of intensity from them.
        classes: Names of the labels 0..K-1; the first is called background whatever it was called.
        ignore: The value of voxels that neither train nor score; None where there is none.
        ending: Of all files, in small letters.
        cases: How many there should be in ``imagesTr``; None where it does not say.
        licence: As written.
        citation: As written.
    """

    title: str
    channels: tuple[str, ...]
    normalisations: tuple[str, ...]
    classes: tuple[str, ...]
    ignore: int | None
    ending: str
    cases: int | None
    licence: str
    citation: str

    @property
    def values(self) -> dict[int, int]:
        """Published label values to ours: the ignore label becomes 255."""
        kept = {value: value for value in range(len(self.classes))}
        return kept if self.ignore is None else {**kept, self.ignore: IGNORE}


def shows_volumes(folder: Path, described: Description) -> bool:
    """Whether the images of a folder are volumes: by their ending, and of TIFF files by the first of them.

    Raises:
        DataError: The first TIFF file is unreadable.
    """
    if described.ending not in TIFF_SUFFIXES:
        return described.ending in VOLUMES
    images = (
        path for part in ("imagesTr", "imagesUn") if (folder / part).is_dir() for path in (folder / part).iterdir()
    )
    files = sorted(path for path in images if path.name.lower().endswith(described.ending) and path.is_file())
    return bool(files) and is_volume(next((path for path in files if not path.name.startswith(".")), files[0]))


def read_description(folder: Path) -> Description:
    """Read ``dataset.json``.

    Raises:
        DataError: It is missing, is no JSON, or asks for what is not supported; all faults at once.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise DataError(
            "dataset.json is missing",
            file=path,
            remedy='write one: {"channel_names": {"0": "T1"}, "labels": {"background": 0, "organ": 1}, '
            '"numTraining": 20, "file_ending": ".nii.gz"}',
        )
    with wrap_read_errors(path):
        text = path.read_text(encoding="utf-8-sig")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"invalid JSON: {error}", file=path, remedy="correct the file at that line") from error
    if not isinstance(value, Mapping):
        raise DataError("the description of a data set must be a JSON object", file=path, remedy="write {…}")
    faults = Faults()
    if value.get("dataset") is not None:
        faults.add(
            "files named under `dataset` are not read", file=path, remedy="lay the files in imagesTr and labelsTr"
        )
    written: tuple[str, ...] = ()
    with faults.collect():
        written = _channels(value.get("channel_names", value.get("modality")), path)
    names: dict[int, str] = {}
    with faults.collect():
        names = labels_by_value(value.get("labels"), path)
    ending = f".{str(value.get('file_ending', '.nii.gz')).lower().removeprefix('.')}"
    if ending not in (*VOLUMES, *PHOTO_SUFFIXES, *TIFF_SUFFIXES):
        known = ", ".join((*VOLUMES, *PHOTO_SUFFIXES, *TIFF_SUFFIXES))
        faults.add(f"files that end in {ending!r}", file=path, remedy=f"convert them to one of {known}")
    count = value.get("numTraining")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
        faults.add(f"numTraining is {count!r}", file=path, remedy="write how many cases imagesTr holds")
    faults.raise_any()
    ignore = next((number for number, name in names.items() if name == "ignore"), None)
    classes = tuple(name for number, name in names.items() if number != ignore)
    title = value.get("name") or folder.resolve().name.partition("_")[2] or folder.resolve().name
    return Description(
        title=str(title),
        channels=_each_once(written),
        normalisations=written,
        classes=("background", *classes[1:]),
        ignore=ignore,
        ending=ending,
        cases=count,
        licence=str(value.get("licence") or value.get("license") or "not stated in dataset.json"),
        citation=str(value.get("reference") or "not stated in dataset.json"),
    )


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) == len(names):
        return names
    return tuple(f"{name} {number}" for number, name in enumerate(names))


def _channels(value: Any, path: Path) -> tuple[str, ...]:
    """The names in the order of their numbers; ``modality`` in version 1."""
    names = {str(key): str(name) for key, name in value.items()} if isinstance(value, Mapping) else {}
    if not names or set(names) != {str(number) for number in range(len(names))}:
        raise DataError(
            "channel_names does not name the channels 0, 1, ...",
            file=path,
            remedy='write {"0": "T1", "1": "T2"}: one name for every file of a case',
        )
    return tuple(names[str(number)] for number in range(len(names)))


def labels_by_value(value: Any, path: Path) -> dict[int, str]:
    """Names by value, sorted, from the ``labels`` of a ``dataset.json``; the one called ``ignore`` is the last.

    Args:
        value: ``{name: value}`` (version 2) or ``{value: name}`` (version 1).
        path: For messages.

    Raises:
        DataError: Labels are regions, or are not numbered 0, 1, 2, ... with a name each.
    """
    if not isinstance(value, Mapping) or not value:
        raise DataError("labels are missing", file=path, remedy='write {"background": 0, "organ": 1}')
    if all(isinstance(name, str) and str(number).isdigit() for number, name in value.items()):
        pairs = [(str(name), key) for key, name in value.items()]
    else:
        pairs = [(str(name), number) for name, number in value.items()]
    if regions := [name for name, number in pairs if isinstance(number, list | tuple)]:
        raise DataError(
            f"labels given as regions are not supported: {', '.join(regions)}",
            file=path,
            remedy=f"give every value in the label maps a name of its own, such as {_plain_labels(pairs)}",
        )
    names: dict[int, str] = {}
    for name, number in pairs:
        if isinstance(number, bool) or not str(number).isdigit():
            raise DataError(f"the label of {name} is {number!r}", file=path, remedy="write a whole number from 0 on")
        if int(number) in names:
            raise DataError(
                f"{name} and {names[int(number)]} have the label {number}", file=path, remedy="give each its own"
            )
        names[int(number)] = name
    names = dict(sorted(names.items()))
    if list(names) != list(range(len(names))) or len(names) > 255 or len(set(names.values())) < len(names):
        raise DataError(
            f"labels {list(names)} ({', '.join(names.values())}) are not 0, 1, 2, ... with a name each",
            file=path,
            remedy="number the classes without a gap from the background's 0, as nnU-Net asks for",
        )
    if fault := fault_of_names([name for name in names.values() if name != "ignore"]):
        raise DataError(fault, file=path, remedy="rename it under `labels`; the label files stay as they are")
    if "ignore" in list(names.values())[:-1]:
        raise DataError("ignore is not the highest label", file=path, remedy="number it last, as nnU-Net asks for")
    if len([name for name in names.values() if name != "ignore"]) < 2:
        raise DataError("the background is the only class", file=path, remedy="name what is to be segmented")
    return names


def _plain_labels(pairs: list[tuple[str, Any]]) -> str:
    """The labels with one name a value, as JSON to copy; a value that only regions hold is called after itself."""
    named = {number: name for name, number in pairs if isinstance(number, int)}
    values = {part for _, number in pairs for part in (number if isinstance(number, list | tuple) else [number])}
    highest = max((int(part) for part in values if str(part).isdigit()), default=1)
    labels = {named.get(k, "background" if k == 0 else f"label {k}"): k for k in range(highest + 1)}
    return json.dumps({"labels": labels}, ensure_ascii=False)
