"""One tidy table of a suite's scores: the only source of every table and figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import SNAPSHOTS
from contrastseg.errors import ScoringError
from contrastseg.evaluation.distinct import distinct_rows
from contrastseg.evaluation.scoring.scoring import NUMBERS, SCORE_COLUMNS
from contrastseg.files import atomic_path, wrap_parse_errors

AXES: dict[str, str] = {
    "suite": "str",
    "dataset": "str",
    "split": "str",
    "fold": "int64",
    "method": "str",
    "variant": "str",
    "label_ratio": "float64",
    "labels": "str",
    "labelled_patients": "int64",
    "draw": "int64",
    "seed": "int64",
    "evaluated_on": "str",
    "checkpoint": "str",
}
"""The axes of a run and their types, in the order of the columns."""

COLUMNS: dict[str, str] = AXES | {name: "float64" if name in NUMBERS else "str" for name in SCORE_COLUMNS}
"""Every column of `scores.parquet` with its type, in order."""

OPTIONAL = ("diagonal",)
"""Columns that older files of scores lack; they are NaN where they are read."""


CONVENTION_COLUMNS: dict[str, str] = COLUMNS | {"convention": "str"}
"""Every column of `conventions.parquet`: the same predictions, each row under a named convention."""
_AGAIN = "delete it and collect again"


def collect(runs: Iterable[tuple[Mapping[str, Any], str | Path]], columns: Mapping[str, str] = COLUMNS) -> pd.DataFrame:
    """Put the scores of many runs into one table.

    Args:
        runs: For each run its axes (every key of AXES) and its CSV of scores. The file of all snapshots of a run says
            of each row which checkpoint it is of; its axis is SNAPSHOTS.
        columns: COLUMNS, or CONVENTION_COLUMNS where the files hold scores by convention.

    Returns:
        Rows with these columns and types, sorted by the axes, each run's rows in the order of its file.

    Raises:
        ScoringError: An axis or a file or a column is missing, two runs have the same axes, or two rows of a run
            disagree about a case.
    """
    parts: dict[tuple[Any, ...], pd.DataFrame] = {}
    for axes, path in runs:
        if absent := [name for name in AXES if name not in axes]:
            raise ScoringError(f"a run without the axes {', '.join(absent)}", file=path, remedy="name every axis")
        key = tuple(axes[name] for name in AXES)
        if key in parts:
            raise ScoringError("two runs with the same axes", file=path, remedy="score each run once")
        of_run = [name for name in AXES if name != "checkpoint" or axes[name] != SNAPSHOTS]
        scores = _read(Path(path), [name for name in columns if name not in of_run])
        parts[key] = scores.assign(**{name: axes[name] for name in of_run})[list(columns)]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
    ordered = [parts[key] for key in sorted(parts)]
    return pd.concat(ordered, ignore_index=True).astype(dict(columns))


def rows_of(checkpoint: str, files: Iterable[str | Path]) -> pd.DataFrame:
    """The rows of one checkpoint of a run, as the text that its file of scores holds.

    Args:
        checkpoint: Its name.
        files: The run's files of scores: that of all snapshots, and those called after the one checkpoint they are of.

    Raises:
        ScoringError: No file holds it.
    """
    for path in map(Path, files):
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        if path.stem == SNAPSHOTS:
            rows = rows[rows["checkpoint"] == checkpoint].drop(columns="checkpoint")
        elif path.stem != checkpoint:
            continue
        if len(rows):
            return rows
    raise ScoringError(f"no scores of checkpoint {checkpoint}", remedy="name the file of scores that holds it")


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write `scores.parquet` atomically."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_table(path: str | Path, columns: Mapping[str, str] = COLUMNS) -> pd.DataFrame:
    """Read `scores.parquet`, with the columns and types of COLUMNS; or `conventions.parquet`, with its own.

    Raises:
        ScoringError: It does not exist, lacks a column, or two of its rows disagree.
    """
    if not Path(path).is_file():
        raise ScoringError("table of scores not found", file=path, remedy="run `contrastseg collect`")
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # on damaged pages and headers pyarrow raises errors of every kind
        reason = f"the table cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:300]})"
        raise ScoringError(reason, file=path, remedy=_AGAIN) from error
    if absent := _absent(table, columns):
        raise ScoringError(
            f"a table of scores without {', '.join(absent)}", file=path, remedy="run `contrastseg collect` again"
        )
    with wrap_parse_errors(path, ScoringError, _AGAIN):
        table = table.reindex(columns=list(columns)).astype(dict(columns))
    return distinct_rows(table, path)


def _absent(table: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    return [name for name in columns if name not in table.columns and name not in OPTIONAL]


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.is_file():
        raise ScoringError("a run without scores", file=path, remedy="run `contrastseg score` for it")
    text = {name: str for name in columns if name not in NUMBERS}
    missing = {name: ["", "nan", "NaN"] for name in NUMBERS}
    # Patients and classes may be called "NA" or "nan": only numbers may be missing.
    with wrap_parse_errors(path, ScoringError, "score the run again"):
        scores = pd.read_csv(path, dtype=text, keep_default_na=False, na_values=missing)
        scores = scores.astype({name: float for name in NUMBERS if name in scores})
    if absent := _absent(scores, columns):
        raise ScoringError(
            f"scores without the columns {', '.join(absent)}",
            file=path,
            remedy="run `contrastseg score` for the run again",
        )
    return distinct_rows(scores.reindex(columns=list(columns)), path)
