"""Submitted rows: the scores of an entered run with its protocol and statement, as a pull request adds them.

A row lies in `<root>/<suite>/<entry>/<method>/<labels>/draw<d>-fold<f>-seed<s>/` as `run.json` and `scores.csv`. The
protocol of its entry lies in `<root>/protocols/<suite>/<entry>.json`. Every check here reads these files alone, so it
runs where the data is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from contrastseg.errors import ContrastsegError, SubmissionError, invalid_values
from contrastseg.evaluation.entered.statement import Statement
from contrastseg.evaluation.metrics.catalogue import METRICS, bounds, resolve_metrics
from contrastseg.evaluation.scoring.scoring import NUMBERS, SCORE_COLUMNS
from contrastseg.files import read_json

PROTOCOLS = "protocols"
RECORD, SCORES = "run.json", "scores.csv"
AXES = ("suite", "dataset", "method", "labels", "draw", "fold", "seed")
REQUIRED = ("title", "source", "checkpoint", "training_data", "code")
"""What a submitted row must state: the tables print it."""
_OUTCOMES = ("scored", "missed", "invented", "absent")
_SUBMIT = "make the row again with `contrastseg submit`"
_FEW = 3


@dataclass(frozen=True)
class Submission:
    """A submitted row whose files could be read.

    Attributes:
        folder: Where it lies.
        record: The content of `run.json`.
        scores: The content of `scores.csv`.
        protocol: The protocol of its entry, as `contrastseg export-protocol` writes it.
    """

    folder: Path
    record: Mapping[str, Any]
    scores: pd.DataFrame
    protocol: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The row's name in the protocol, such as `lesions/r0.05/draw0-fold0`."""
        record = self.record
        key = f"{record['dataset']}/{record['labels']}/draw{record['draw']}-fold{record['fold']}"
        other = record["evaluated_on"]
        return key if other == record["dataset"] else f"{key}/{other}"


def folder_of(root: Path, record: Mapping[str, Any]) -> Path:
    """Where a row lies.

    Example:
        >>> axes = {"suite": "demo", "dataset": "lesions", "method": "mine", "labels": "n3"}
        >>> folder_of(Path("rows"), axes | {"draw": 0, "fold": 0, "seed": 1}).as_posix()
        'rows/demo/lesions/mine/n3/draw0-fold0-seed1'
    """
    run = f"draw{record['draw']}-fold{record['fold']}-seed{record['seed']}"
    return root / record["suite"] / record["dataset"] / record["method"] / record["labels"] / run


def protocol_file(root: Path, suite: str, entry: str) -> Path:
    """Where the protocol of an entry lies."""
    return root / PROTOCOLS / suite / f"{entry}.json"


def folders(root: Path) -> list[Path]:
    """The folders of all submitted rows: every folder with a record or with scores, in order."""
    found = {path.parent for name in (RECORD, SCORES) for path in root.rglob(name)}
    return sorted(path for path in found if path.relative_to(root).parts[0] != PROTOCOLS)


def check_all(root: Path) -> Iterator[tuple[Path, list[ContrastsegError]]]:
    """Each row's folder with the errors that were found; none where the row is in order."""
    for folder in folders(root):
        yield folder, check(folder, root)


def check(folder: Path, root: Path) -> list[ContrastsegError]:
    """The errors of one row.

    Args:
        folder: Its folder.
        root: The folder of all submitted rows.
    """
    try:
        row = read(folder, root)
    except ContrastsegError as error:
        return [error]
    return [error for part in _CHECKS for error in part(row, root)]


def read(folder: Path, root: Path) -> Submission:
    """Read the files of a row.

    Raises:
        SubmissionError: A file is missing, or a key or column of it.
        FileError: A file cannot be read.
    """
    for name in (RECORD, SCORES):
        if not (folder / name).is_file():
            raise SubmissionError(f"{name} is missing", file=folder, remedy=_SUBMIT)
    record = read_json(folder / RECORD)
    wanted = (*AXES, "evaluated_on", "checkpoint", "protocol", "stated")
    if not isinstance(record, Mapping) or (lacking := [name for name in wanted if name not in record]):
        what = "no mapping" if not isinstance(record, Mapping) else f"no {', '.join(lacking)}"
        raise SubmissionError(f"the record has {what}", file=folder / RECORD, remedy=_SUBMIT)
    file = protocol_file(root, str(record["suite"]), str(record["dataset"]))
    if not file.is_file():
        raise SubmissionError(
            "the protocol of the row's entry is missing",
            file=file,
            remedy=f"contrastseg export-protocol {record['suite']} --entry {record['dataset']} --output {file}",
        )
    return Submission(folder, record, _scores(folder / SCORES), read_json(file))


def _scores(file: Path) -> pd.DataFrame:
    columns = list(pd.read_csv(file, nrows=0).columns)
    if columns != list(SCORE_COLUMNS):
        raise SubmissionError(
            f"columns: found {', '.join(columns)}, expected {', '.join(SCORE_COLUMNS)}", file=file, remedy=_SUBMIT
        )
    text = {name: str for name in columns if name not in NUMBERS}
    numbers = {name: ["", "nan"] for name in NUMBERS}
    try:
        return pd.read_csv(file, dtype=text | dict.fromkeys(NUMBERS, float), keep_default_na=False, na_values=numbers)
    except ValueError as error:
        raise SubmissionError(f"a number cannot be read: {error}", file=file, remedy=_SUBMIT) from error


def _place(row: Submission, root: Path) -> Iterator[SubmissionError]:
    """The folder is that of the record's axes."""
    wanted = folder_of(root, row.record)
    if wanted != row.folder:
        yield SubmissionError(
            f"folder: found {row.folder.relative_to(root)}, expected {wanted.relative_to(root)} for its record",
            file=row.folder,
            remedy="move the folder there",
        )


def _digest(row: Submission, root: Path) -> Iterator[SubmissionError]:
    """The row was made for the protocol that is stored."""
    known = row.protocol.get("rows", {})
    stored = row.record["protocol"]
    if row.key not in known:
        yield SubmissionError(
            f"the protocol has no row {row.key}; there are: {', '.join(known) or 'none'}",
            file=row.folder / RECORD,
            remedy="submit for a label budget, draw and fold of the suite",
        )
    elif stored.get("digest") != known[row.key]["digest"]:
        parts = [name for name, value in known[row.key]["parts"].items() if stored.get("parts", {}).get(name) != value]
        yield SubmissionError(
            f"another protocol: {', '.join(parts) or 'the digest'} differ; found {stored.get('digest')}, expected"
            f" {known[row.key]['digest']}",
            file=row.folder / RECORD,
            remedy="export the protocol of this version, predict its test cases, then enter and submit again",
        )


def _stated(row: Submission, root: Path) -> Iterator[SubmissionError]:
    """The statement is whole and names no test patient."""
    file = row.folder / RECORD
    try:
        statement = Statement.model_validate(row.record["stated"])
    except ValidationError as error:
        yield SubmissionError(f"statement: {invalid_values(error)}", file=file, remedy="correct the statement")
        return
    if lacking := [name for name in REQUIRED if not getattr(statement, name)]:
        yield SubmissionError(
            f"statement: {', '.join(lacking)} missing",
            file=file,
            remedy="add them to the file of `enter --stated`, enter with --replace, and submit again",
        )
    draw = row.protocol.get("labelled", {}).get(f"draw{row.record['draw']}-fold{row.record['fold']}", {})
    allowed = set(draw.get(str(row.record["labels"]), ()))
    if others := sorted(set(statement.labelled_patients or ()) - allowed):
        yield SubmissionError(
            f"labelled patients: found {', '.join(others[:_FEW])}, which the protocol gives no label",
            file=file,
            remedy="train with the labels of the protocol's patients alone",
        )


def _complete(row: Submission, root: Path) -> Iterator[SubmissionError]:
    """Every test case has one score of each class and metric."""
    file, scores = row.folder / SCORES, row.scores
    test_fold = row.record["fold"] if row.record["evaluated_on"] == row.record["dataset"] else 0
    cases = row.protocol.get("test", {}).get(f"{row.record['evaluated_on']}/fold{test_fold}", [])
    patients = row.protocol.get("cases", {}).get(row.record["evaluated_on"], {})
    classes = list(row.protocol["classes"].values())[1:]
    metrics = resolve_metrics(row.protocol["scoring"]["metrics"])
    wanted = {(case, name, metric) for case in cases for name in classes for metric in metrics}
    found = list(zip(scores["case"], scores["class"], scores["metric"], strict=True))
    for what, keys in (
        ("missing", sorted(wanted - set(found))),
        ("not of the protocol", sorted(set(found) - wanted)),
        ("more than once", sorted(key for key, count in Counter(found).items() if count > 1)),
    ):
        if keys:
            some = "; ".join(" ".join(key) for key in keys[:_FEW])
            reason = f"scores {what}: {len(keys)} of {len(wanted)}, such as {some}"
            yield SubmissionError(reason, case=keys[0][0], file=file, remedy=_SUBMIT)
    wrong = [case for case, who in zip(scores["case"], scores["patient"], strict=True) if _owner(patients, case) != who]
    if wrong:
        yield SubmissionError(
            f"patient: found another one than the protocol's for {len(set(wrong))} cases",
            case=wrong[0],
            file=file,
            remedy=_SUBMIT,
        )


def _owner(patients: Mapping[str, Any], case: str) -> str | None:
    owner = patients.get(case, {}).get("patient")
    return None if owner is None else str(owner)


def _values(row: Submission, root: Path) -> Iterator[SubmissionError]:
    """Outcomes are known, nothing is missing, values lie in their range, and Dice and IoU of a structure agree."""
    scores, file = row.scores, row.folder / SCORES
    value, known = scores["value"], scores["metric"].isin(METRICS)
    ends = [bounds(name) if name in METRICS else (-np.inf, np.inf) for name in scores["metric"]]
    low, high = (pd.Series([end[side] for end in ends], index=scores.index, dtype=float) for side in (0, 1))
    for what, at in (
        ("an unknown metric", ~known),
        ("an unknown outcome", ~scores["outcome"].isin((*_OUTCOMES, "hole"))),
        ("a missing prediction", scores["outcome"] == "hole"),
        ("no value", (scores["outcome"] == "scored") & (scores["metric"] == "dice") & value.isna()),
        ("a value outside the range of its metric", (value < low) | (value > high) | np.isinf(value)),
    ):
        if at.any():
            case = str(scores.loc[at, "case"].iloc[0])
            yield SubmissionError(
                f"{int(at.sum())} rows have {what}",
                case=case,
                file=file,
                remedy="predict every test case, then enter and submit again",
            )
    overlaps = scores[scores["metric"].isin(("dice", "iou"))]
    wide = overlaps.pivot_table(index=["case", "class"], columns="metric", values="value", aggfunc="first")
    if {"dice", "iou"} <= set(wide):
        apart = (wide["iou"] - wide["dice"] / (2 - wide["dice"])).abs() > 1e-6
        if apart.any():
            case, name = wide.index[apart][0]
            yield SubmissionError(
                f"Dice and IoU disagree in {int(apart.sum())} structures, such as {name}; expected Dice / (2 - Dice)",
                case=str(case),
                file=file,
                remedy=_SUBMIT,
            )


_CHECKS: tuple[Callable[[Submission, Path], Iterator[SubmissionError]], ...] = (
    _place,
    _digest,
    _stated,
    _complete,
    _values,
)
