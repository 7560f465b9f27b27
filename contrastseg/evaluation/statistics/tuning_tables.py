"""Trials and choices of a tuned suite: records as they lie on disk, and the tables made of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.errors import ScoringError
from contrastseg.evaluation.statistics.tuning import DEFAULTS, choose_trial
from contrastseg.files import read_json, require_path, wrap_parse_errors

CELL = ("suite", "dataset", "method", "variant", "labels", "draw", "fold")
"""The axes of a choice."""
TRIAL_COLUMNS = (
    *CELL,
    *("trial", "inner_fold", "patient", "dice", "outcome", "chosen", "validation", "values", "steps", "wall_s"),
)
"""Columns of tuning.csv: a row per trial and validating patient. `steps` and `wall_s` are those of trial and fold."""
CHOICE_COLUMNS = (
    *CELL,
    *("validation", "trials", "inner_folds", "n_patients", "trial", "values", "dice", "dice_defaults"),
    *("rival", "difference", "standard_error", "diverged", "hours"),
)
"""Columns of tuned.csv: a row per choice."""
_NEEDED = (*CELL, "trial", "inner_fold", "values", "dice", "validating", "validation", "wall_s")
_AGAIN = "run the trial again"


def read_trials(files: Sequence[Path]) -> list[dict[str, Any]]:
    """The records of trials.

    Raises:
        ScoringError: One is missing or damaged, two are of one trial and fold, or they are of several cells.

    Example:
        >>> read_trials([])
        []
    """
    records = []
    for file in files:
        with wrap_parse_errors(require_path(file, "trial", _AGAIN), ScoringError, _AGAIN):
            record = read_json(file)
            if missing := [name for name in _NEEDED if name not in record]:
                raise ValueError(f"it lacks {', '.join(missing)}")
            records.append(record)
    seen: set[tuple[Any, ...]] = set()
    for file, record in zip(files, records, strict=True):
        place = record["trial"], record["inner_fold"]
        if place in seen:
            raise ScoringError(f"trial {place[0]}, fold {place[1]} is named twice", file=file, remedy="name it once")
        if any(record[name] != records[0][name] for name in CELL):
            raise ScoringError("this trial is of another cell", file=file, remedy="choose within one method and budget")
        seen.add(place)
    return records


def choice_record(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of `selected.json`: the chosen trial of a cell with what it was chosen by.

    Args:
        records: The trials of a cell, in every fold.

    Raises:
        ScoringError: A trial lacks a fold, a patient validates in two folds, or nothing can be chosen.

    Example:
        >>> cell = dict.fromkeys(CELL, "") | {"inner_fold": 0, "validation": "free", "validating": ["a"], "wall_s": 1.0}
        >>> defaults = cell | {"trial": 0, "values": {}, "dice": {"a": 0.6}}
        >>> choice_record([defaults, cell | {"trial": 1, "values": {"weight": 3}, "dice": {"a": 0.7}}])["values"]
        {'weight': 3}
    """
    folds = sorted({record["inner_fold"] for record in records})
    numbers = sorted({record["trial"] for record in records})
    if len(records) != len(folds) * len(numbers):
        raise ScoringError("a trial lacks a fold", remedy="run all trials in all folds")
    values: dict[int, dict[str, float] | None] = {}
    settings = {}
    for number in numbers:
        parts = [record for record in records if record["trial"] == number]
        validating = [patient for part in parts for patient in part["validating"]]
        if len(validating) != len(set(validating)):
            raise ScoringError(f"a patient validates trial {number} twice", remedy=_AGAIN)
        diverged = any(part["dice"] is None for part in parts)
        values[number] = None if diverged else {name: dice for part in parts for name, dice in part["dice"].items()}
        settings[number] = parts[0]["values"]
    choice = choose_trial(values)
    return {
        **{name: records[0][name] for name in CELL},
        "validation": records[0]["validation"],
        "trials": len(numbers),
        "inner_folds": len(folds),
        "n_patients": len(choice.patients),
        "trial": choice.trial,
        "values": settings[choice.trial],
        "dice": choice.means[choice.trial],
        "dice_defaults": _known(choice.means[DEFAULTS]),
        "rival": choice.rival,
        "difference": _known(choice.difference),
        "standard_error": _known(choice.standard_error),
        "means": {str(number): _known(mean) for number, mean in choice.means.items()},
        "diverged": [number for number in numbers if values[number] is None],
        "hours": round(sum(record["wall_s"] for record in records) / 3600, 6),
    }


def tuning_tables(
    cells: Iterable[tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of all trials and of all choices of a suite.

    Args:
        cells: The trials of each cell with the content of its `selected.json`.

    Returns:
        Rows with TRIAL_COLUMNS, and rows with CHOICE_COLUMNS.

    Example:
        >>> trials, choices = tuning_tables([])
        >>> list(trials.columns[7:10]), list(choices.columns[11:13])
        (['trial', 'inner_fold', 'patient'], ['trial', 'values'])
    """
    trials: list[dict[str, Any]] = []
    choices: list[dict[str, Any]] = []
    for records, choice in cells:
        for record in sorted(records, key=lambda each: (each["trial"], each["inner_fold"])):
            trials += _trial_rows(record, choice["trial"])
        choice = {name: math.nan if choice[name] is None else choice[name] for name in CHOICE_COLUMNS}
        diverged = " ".join(map(str, choice["diverged"]))
        choices.append(choice | {"values": json.dumps(choice["values"], sort_keys=True), "diverged": diverged})
    return pd.DataFrame(trials, columns=list(TRIAL_COLUMNS)), pd.DataFrame(choices, columns=list(CHOICE_COLUMNS))


def _trial_rows(record: Mapping[str, Any], chosen: int) -> list[dict[str, Any]]:
    """A row for each patient that validates a trial in a fold."""
    shared = {name: record[name] for name in TRIAL_COLUMNS if name in record} | {
        "chosen": record["trial"] == chosen,
        "values": json.dumps(record["values"], sort_keys=True),
    }
    rows = []
    for patient in record["validating"]:
        if record["dice"] is None:
            dice, outcome = math.nan, "diverged"
        else:
            dice = record["dice"].get(patient, math.nan)
            outcome = "absent" if math.isnan(dice) else "scored"
        rows.append(shared | {"patient": patient, "dice": dice, "outcome": outcome})
    return rows


def _known(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
