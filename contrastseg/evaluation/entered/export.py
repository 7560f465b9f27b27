"""The exported protocol: what a stranger needs to train and predict for a suite with code of their own. No images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import PARTS, Split
from contrastseg.errors import EnterError
from contrastseg.evaluation.entered.protocol import RowProtocol
from contrastseg.files import digest, read_json

_AXES_NOTE = "shape and spacing are in array order: (z, y, x) for volumes, (y, x) for photographs"


def row_key(entry: str, evaluated_on: str, protocol: RowProtocol) -> str:
    """Such as `lesions/r0.05/draw0-fold0`, with `evaluated_on` at the end where it is another entry."""
    key = f"{entry}/{protocol.labels}/draw{protocol.draw}-fold{protocol.fold}"
    return key if evaluated_on == entry else f"{key}/{evaluated_on}"


def stored_row(file: Path, key: str) -> dict[str, Any]:
    """What an exported protocol keeps of a row.

    Raises:
        EnterError: The file is no exported protocol, or has no such row.
    """
    content = read_json(file)
    rows = content.get("rows") if isinstance(content, Mapping) else None
    row = rows.get(key) if isinstance(rows, Mapping) else None
    if not isinstance(row, Mapping) or not isinstance(row.get("digest"), str):
        found = ", ".join(map(str, rows)) if isinstance(rows, Mapping) else "no rows"
        raise EnterError(
            f"the protocol has no row {key}; found: {found}",
            file=file,
            remedy="give a file of `contrastseg export-protocol` for this suite and entry",
        )
    return dict(row)


def export(
    suite: str, entry: str, rows: Sequence[tuple[str, RowProtocol]], scoring: Mapping[str, Any]
) -> dict[str, Any]:
    """The protocol of an entry.

    Args:
        suite: Name of the suite.
        entry: Name of the entry.
        rows: Every row that may be entered, with the entry whose test cases it predicts; at least one.
        scoring: The evaluation settings.

    Returns:
        A JSON-able mapping. `rows` holds the digests that entered runs are compared by, `digest` is of all of them.
    """
    protocol = next(protocol for evaluated_on, protocol in rows)
    split = protocol.split
    trained = next((protocol.dataset for evaluated_on, protocol in rows if evaluated_on == entry), protocol.dataset)
    datasets = {evaluated_on: protocol.dataset for evaluated_on, protocol in rows}
    digests = {row_key(entry, evaluated_on, protocol): protocol.stored() for evaluated_on, protocol in rows}
    info = trained.info
    return {
        "suite": suite,
        "entry": entry,
        "dataset": info.dataset,
        "title": info.title,
        "licence": info.licence,
        "citation": info.citation,
        "classes": {str(value): name for value, name in enumerate(info.classes)},
        "format": info.native_format,
        "unit": info.unit,
        "axes": _AXES_NOTE,
        "split": {"name": split.name, "source": split.source, "hash": split.hash},
        "folds": [_fold(trained, split, fold) for fold in range(len(split.folds))],
        "unlabelled": _cases_by_patient(trained, split.unlabelled),
        "labelled": _labelled(rows),
        "cases": {name: {case: _grid(dataset, case) for case in dataset.cases} for name, dataset in datasets.items()},
        "test": {f"{evaluated_on}/fold{protocol.test_fold}": sorted(protocol.cases) for evaluated_on, protocol in rows},
        "scoring": dict(scoring),
        "rows": digests,
        "digest": digest(digests),
    }


def _fold(dataset: PreparedDataset, split: Split, fold: int) -> dict[str, Any]:
    return {part: _cases_by_patient(dataset, getattr(split, part)(fold)) for part in PARTS}


def _cases_by_patient(dataset: PreparedDataset, patients: Sequence[str]) -> dict[str, list[str]]:
    return {patient: dataset.cases_of([patient]) for patient in patients}


def _labelled(rows: Sequence[tuple[str, RowProtocol]]) -> dict[str, dict[str, list[str]]]:
    """Labelled patients by `draw<d>-fold<f>` and label budget."""
    patients: dict[str, dict[str, list[str]]] = {}
    for _, protocol in rows:
        patients.setdefault(f"draw{protocol.draw}-fold{protocol.fold}", {})[protocol.labels] = protocol.labelled
    return patients


def _grid(dataset: PreparedDataset, case: str) -> dict[str, Any]:
    grid = dataset.geometry(case)
    return {
        "patient": dataset.patient(case),
        "shape": list(grid.native_shape),
        "spacing": None if grid.native_spacing is None else list(grid.native_spacing),
        "affine": grid.affine,
    }
