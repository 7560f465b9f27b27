"""Checks of foreign predictions against the protocol, and the run that is written of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contrastseg.data.files.formats import write_label
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.readers.mask_values import Coding, FileValues, count_values, listed
from contrastseg.data.splits.split_files import PARTS
from contrastseg.errors import EnterError, ScoringError
from contrastseg.evaluation.entered.files import read_prediction
from contrastseg.evaluation.entered.grid import on_reference_grid
from contrastseg.evaluation.entered.protocol import RowProtocol
from contrastseg.evaluation.scoring.meaning import Declared, meaning_of
from contrastseg.evaluation.scoring.predictions import INDEX
from contrastseg.files import sha256, write_json
from contrastseg.labels import IGNORE
from contrastseg.paths import EXTERNAL
from contrastseg.text import plural

_FEW = 5


@dataclass
class EnteredMaps:
    """What was written.

    Attributes:
        files: Name of each expected case's file, there or not.
        missing: The expected cases without a prediction.
        moved: What was done to bring a map onto its reference's grid, by case.
        remarks: What was decided without being declared, a sentence each.
        sources: Name and SHA-256 of the file that each map was read from.
    """

    files: dict[str, str]
    missing: list[str]
    moved: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    sources: dict[str, dict[str, str]] = field(default_factory=dict)


def check_cases(files: Mapping[str, Path], protocol: RowProtocol, *, folder: Path, incomplete: bool) -> list[str]:
    """Check that the files are those of the test cases.

    Args:
        files: File by case.
        protocol: What they must be predictions for.
        folder: Where they lie, for messages.
        incomplete: Whether cases may be missing.

    Returns:
        The test cases without a file.

    Raises:
        EnterError: A file is of another case, or a case is missing and `incomplete` is false.
    """
    expected, dataset = protocol.cases, protocol.dataset
    known = set(dataset.cases)
    if strangers := sorted(set(files) - known):
        raise EnterError(
            f"found {plural(len(strangers), 'file')} of unknown cases ({_few(strangers)}), expected files named by "
            f"test case, such as {next(iter(sorted(expected)), 'none')}",
            case=strangers[0],
            file=files[strangers[0]],
            remedy="rename the files as `contrastseg export-protocol` names the cases, or take them out of the folder",
        )
    if others := sorted(set(files) - set(expected)):
        part = _part_of(dataset.patient(others[0]), protocol)
        raise EnterError(
            f"found {plural(len(others), 'case')} that {'is' if len(others) == 1 else 'are'} not in the test part "
            f"({_few(others)}); {others[0]} is {part}",
            case=others[0],
            file=files[others[0]],
            remedy="give a folder with predictions of the test cases alone; `contrastseg export-protocol` lists them",
        )
    missing = sorted(set(expected) - set(files))
    if missing and (not incomplete or len(missing) == len(expected)):
        raise EnterError(
            f"found {len(expected) - len(missing)} of {plural(len(expected), 'test case')}; missing: {_few(missing)}",
            case=missing[0],
            file=folder,
            remedy="add the predictions, or enter the others with --incomplete: such a row gets no test, star or rank",
        )
    return missing


def _part_of(patient: str, protocol: RowProtocol) -> str:
    words = {"train": "a training case", "val": "a validation case", "test": "a test case without a label"}
    for part in PARTS:
        if patient in getattr(protocol.tested, part)(protocol.test_fold):
            return words[part]
    return "in no part of the split"


def _few(names: list[str]) -> str:
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")


def write_maps(
    files: Mapping[str, Path],
    protocol: RowProtocol,
    output: Path,
    *,
    missing: list[str],
    axes: str = "",
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> EnteredMaps:
    """Check every map and write it on its reference's grid, in the native format of the data.

    Args:
        files: File by case, as `check_cases` accepts them.
        protocol: What they are predictions for.
        output: Folder of the label maps and their index.
        missing: The test cases without a file.
        axes: Order of the axes of h5 and numpy arrays: `zyx`, `xyz`, or empty to tell by the shape.
        on_case: Called with the number of cases done and their total.

    Raises:
        EnterError: A map holds an undeclared class, or cannot be brought onto its reference's grid.
        DataError: A file is unreadable or holds no label map.
        ScoringError: The values of a mask of one structure have no certain meaning.
    """
    dataset = protocol.dataset
    names = {case: dataset.native_name(case) for case in sorted(protocol.cases)}
    maps = EnteredMaps(names, list(missing))
    coding, remarks = _coding(files, dataset)
    maps.remarks += remarks
    for done, (case, file) in enumerate(sorted(files.items()), start=1):
        found = read_prediction(file, case)
        labels = coding.mapped(found[0], _known_values(found[0], coding, dataset, case, file))
        geometry = dataset.geometry(case)
        placed = on_reference_grid(
            (labels, *found[1:]),
            geometry,
            case=case,
            file=file,
            reference=dataset.reference_path(case),
            axes=axes,
        )
        write_label(output / names[case], placed.labels, geometry)
        maps.sources[case] = {"file": file.name, "sha256": sha256(file)}
        if placed.how:
            maps.moved[case] = placed.how
        on_case(done, len(files))
    return maps


def _coding(files: Mapping[str, Path], dataset: PreparedDataset) -> tuple[Coding, tuple[str, ...]]:
    """What the values mean: class k is k, and of one structure masks of 0 and 255 are understood as well."""
    declared = Declared(dataset.info.classes, values=True, ignore=IGNORE)

    def count(references: bool) -> list[FileValues]:
        return list(_values(files))

    try:
        meaning = meaning_of(declared, count)
    except ScoringError as error:
        raise EnterError(error.reason, case=error.case, file=error.file, remedy=_numbered(dataset)) from error
    return meaning.prediction, meaning.remarks


def _values(files: Mapping[str, Path]) -> Iterator[FileValues]:
    for case, file in sorted(files.items()):
        yield FileValues(case, file, count_values(read_prediction(file, case)[0]))


def _known_values(labels: Any, coding: Coding, dataset: PreparedDataset, case: str, file: Path) -> list[int]:
    present = list(count_values(labels))
    if undeclared := coding.unknown(present):
        raise EnterError(
            f"found the undeclared {'class' if len(undeclared) == 1 else 'classes'} {listed(undeclared)}, expected "
            f"values from 0 to {dataset.num_classes - 1}",
            case=case,
            file=file,
            remedy=_numbered(dataset),
        )
    return present


def _numbered(dataset: PreparedDataset) -> str:
    numbered = ", ".join(f"{value} {name}" for value, name in enumerate(dataset.info.classes))
    return f"number the classes as the data set does: {numbered}"


def write_index(maps: EnteredMaps, protocol: RowProtocol, output: Path) -> None:
    """Write `predictions.json`, last: the file of each case, the protocol, and where the maps came from."""
    entered = {
        "protocol": protocol.stored(),
        "cases": sorted(protocol.cases),
        "missing": maps.missing,
        "moved": maps.moved,
        "remarks": maps.remarks,
        "sources": maps.sources,
    }
    write_json(output / INDEX, {"cases": maps.files, "entered": entered})


def run_record(axes: Mapping[str, Any], protocol: RowProtocol, statement: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `run.json`: the axes, the protocol's patients, and what is stated. No times and no costs.

    Args:
        axes: suite, dataset, method, variant, labels, draw, fold, seed.
        protocol: What the row rests on.
        statement: As a mapping.
    """
    split, labelled = protocol.split, protocol.labelled
    train = split.train(protocol.fold)
    card: dict[str, Any] = {
        "title": statement.get("title") or str(axes["method"]),
        "paper": statement.get("source") or "",
        "doi": "",
        "provenance": EXTERNAL,
        "summary": statement.get("summary") or "Predictions of another trainer. The benchmark scored them.",
        "differs": [],
        "options": {},
    }
    return {
        **axes,
        "card": card,
        "printed_name": axes["method"],
        "name_note": "",
        "labelled_patients": labelled,
        "labelled_count": len(labelled),
        "label_ratio": len(labelled) / len(train),
        "training_patients": len(train),
        "split_name": split.name,
        "split_hash": split.hash,
        "stated": dict(statement),
    }
