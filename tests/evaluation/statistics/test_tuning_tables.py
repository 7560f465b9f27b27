"""Records of trials, the choice made of them, and both as tables."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from contrastseg.errors import ContrastsegError, ScoringError
from contrastseg.evaluation.statistics.tuning_tables import (
    CHOICE_COLUMNS,
    TRIAL_COLUMNS,
    choice_record,
    read_trials,
    tuning_tables,
)
from contrastseg.files import write_json

CELL = {
    "suite": "s",
    "dataset": "d",
    "method": "m",
    "variant": "default",
    "labels": "n4",
    "draw": 0,
    "fold": 0,
}


def record(trial: int, inner: int, dice: dict[str, float] | None, validating: list[str], **more: Any) -> dict[str, Any]:
    values = {"w": float(trial)} if trial else {}
    return {
        **CELL,
        **{"trial": trial, "inner_fold": inner, "values": values, "validation": "labelled"},
        **{"dice": dice, "validating": validating, "steps": 9, "wall_s": 900.0, **more},
    }


RECORDS = [
    record(0, 0, {"a": 0.5}, ["a", "x"]),
    record(0, 1, {"b": 0.7}, ["b"]),
    record(1, 0, {"a": 0.6}, ["a", "x"]),
    record(1, 1, {"b": 0.8}, ["b"]),
    record(2, 0, {"a": 1.0}, ["a", "x"]),
    record(2, 1, None, ["b"]),
]


def test_a_choice_is_over_all_folds_and_a_trial_that_diverges_in_one_is_out() -> None:
    choice = choice_record(RECORDS)
    assert (choice["trial"], choice["values"], choice["rival"]) == (1, {"w": 1.0}, 0)
    assert (choice["trials"], choice["inner_folds"], choice["n_patients"]) == (3, 2, 2)
    assert (choice["dice"], choice["dice_defaults"]) == (pytest.approx(0.7), pytest.approx(0.6))
    assert choice["difference"] == pytest.approx(0.1)
    assert choice["means"] == {"0": pytest.approx(0.6), "1": pytest.approx(0.7), "2": None}
    assert (choice["diverged"], choice["hours"]) == ([2], 1.5)
    json.dumps(choice, allow_nan=False)


def test_tables_have_a_row_for_each_trial_and_patient_and_for_each_choice() -> None:
    trials, choices = tuning_tables([(RECORDS, choice_record(RECORDS))])
    assert list(trials.columns) == list(TRIAL_COLUMNS)
    assert list(choices.columns) == list(CHOICE_COLUMNS)
    assert len(trials) == 9
    rows = trials.set_index(["trial", "patient"])
    assert rows.loc[(1, "b"), "dice"] == 0.8
    assert [rows.loc[place, "outcome"] for place in ((0, "x"), (2, "a"), (2, "b"))] == ["absent", "scored", "diverged"]
    assert math.isnan(rows.loc[(2, "b"), "dice"])
    assert set(trials["trial"][trials["chosen"]]) == {1}
    (row,) = choices.to_dict("records")
    assert (json.loads(row["values"]), row["diverged"], row["labels"]) == ({"w": 1.0}, "2", "n4")


@pytest.mark.parametrize(
    "records",
    [RECORDS[:3], [*RECORDS[:3], record(1, 1, {"a": 0.5}, ["a"])]],
    ids=["a fold is missing", "a patient validates twice"],
)
def test_what_is_not_one_cross_validation_is_an_error(records: list[dict[str, Any]]) -> None:
    with pytest.raises(ScoringError) as caught:
        choice_record(records)
    assert caught.value.remedy


def test_files_of_trials_are_checked(tmp_path: Path) -> None:
    def written(**changes: Any) -> Path:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        write_json(path, {**RECORDS[0], **changes})
        return path

    first = written()
    assert read_trials([first]) == [RECORDS[0]]
    lacking = tmp_path / "lacking.json"
    write_json(lacking, CELL)
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for wrong in ([first, written()], [first, written(trial=1, labels="n7")], [lacking], [broken], [tmp_path / "none"]):
        with pytest.raises(ContrastsegError) as caught:
            read_trials(wrong)
        assert caught.value.remedy
