"""Entered predictions become an external row: planned, scored and removed, never trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from contrastseg import planning
from contrastseg.files import read_json
from contrastseg.planning.data_paths import split_of
from tests.entered.conftest import (
    SUITE,
    collected,
    enter,
    expected_cases,
    invoke,
    maps,
    refused,
    stored,
    suite,
)


@pytest.mark.parametrize("entry", ["lesions", "organs"])
def test_references_entered_score_one_as_an_external_row(work: Path, entry: str) -> None:
    enter(maps(entry), entry=entry)
    scores, records = collected()
    assert set(scores["value"]) == {1.0}
    assert set(scores["case"]) == set(expected_cases(entry))
    assert {(row.dataset, row.method, row.variant, row.labels) for row in scores.itertuples()} == {
        (entry, "mine", "default", "r0.4")
    }
    (record,) = records
    assert record["card"]["provenance"] == "external"
    assert not {"wall_s", "hardware", "parameters", "seconds_per_step"} & set(record)
    split = read_json(split_of(suite(), suite().entry(entry)))
    assert record["labelled_patients"] == split["orders"]["0"]["0"][: record["labelled_count"]]


def test_a_plan_scores_entered_runs_and_trains_none(work: Path) -> None:
    before = planning.expand(suite())
    enter(maps("lesions"))
    plan = planning.expand(suite())
    assert plan.runs == before.runs
    (run,) = plan.entered_runs
    assert (run, "lesions", "last") in list(plan.evaluations())
    assert run.folder / "run.json" in plan.records()
    reasons = {item["labels"]: item["reason"] for item in plan.skipped if item["method"] == "mine"}
    assert set(reasons) == {"r1"}
    assert "entered runs: 1" in invoke("plan", "tiny.yaml")
    invoke("enter", "--remove", "--suite", "tiny.yaml", "--entry", "lesions", "--method", "mine")
    assert stored() == {}
    assert planning.expand(suite()).to_json() == before.to_json()


def test_a_suite_that_has_no_place_any_more_says_so_and_keeps_the_predictions(work: Path) -> None:
    enter(maps("lesions"), "--seed", 0)
    kept = stored()
    Path("tiny.yaml").write_text(yaml.safe_dump({**SUITE, "seeds": [1]}))
    plan = planning.expand(suite())
    assert plan.entered == ()
    (item,) = [item for item in plan.skipped if item["method"] == "mine"]
    assert "seed 0" in item["reason"]
    assert stored() == kept


def test_missing_cases_are_an_error_and_may_be_entered_as_missing(work: Path) -> None:
    folder = maps("organs")
    absent = expected_cases("organs")[0]
    next(folder.glob(f"{absent}.*")).unlink()
    error = refused(folder, entry="organs")
    assert error.case == absent
    assert "--incomplete" in str(error.remedy)
    enter(folder, "--incomplete", entry="organs")
    scores, _ = collected()
    assert set(scores["case"][scores["outcome"] == "hole"]) == {absent}


def test_nothing_at_all_is_not_incomplete(work: Path) -> None:
    Path("empty").mkdir()
    assert "no label maps" in refused("empty", "--incomplete").reason
