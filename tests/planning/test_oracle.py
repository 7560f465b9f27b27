"""What a suite with the oracle plans: every snapshot is predicted and scored, and the oracle is none of the trained."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from contrastseg.code_graph import reached_of
from contrastseg.fingerprints import stage_roots
from contrastseg.planning import Jobs, Plan, expand
from contrastseg.planning.estimates import estimate
from contrastseg.suite import parse_suite


def plan(**changes: object) -> Plan:
    suite = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions"}],
        "methods": ["supervised", {"name": "simclr", "stages": {"train": {"steps": 150}}}],
        "training": {"steps": 200, "snapshot_every": 50, "validate_every": 50, "patch_size": [32, 32]},
        "checkpoints": ["last", "best_val", "best_test"],
        **changes,
    }
    return expand(parse_suite(suite)[0])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_oracle_is_evaluated_and_its_candidates_are_planned_beside() -> None:
    asked = plan()
    assert [name for _, _, name in asked.evaluations()] == ["last", "best_val", "best_test"] * 2
    assert [name for _, _, name in asked.predictions()] == ["last", "best_val"] * 2
    selected = {run.method: [] for run in asked.runs}
    for run, _, name in asked.selections():
        selected[run.method].append(name)
    assert selected == {
        "supervised": ["step50", "step100", "step150", "last", "best_val"],
        "simclr": ["step50", "step100", "last", "best_val"],
    }
    stored = asked.to_json()["selections"]
    assert [item["checkpoint"] for item in stored] == [name for names in selected.values() for name in names]
    assert list(plan(checkpoints=["last"]).selections()) == [], "snapshots alone are kept, and cost nothing more"


@pytest.mark.parametrize("stage", ["train", "predict", "score"])
def test_no_code_that_trains_predicts_or_scores_reaches_the_selection(stage: str) -> None:
    selection = ["contrastseg.evaluation.statistics.selection"]
    assert not reached_of(stage_roots(stage, method="supervised"), selection)
    assert set(reached_of(stage_roots("oracle"), selection)) == set(selection), "the question can be answered yes"


def test_jobs_are_counted_with_every_snapshot() -> None:
    with_oracle, without = (
        estimate(asked, Path("absent"))["jobs"] for asked in (plan(), plan(checkpoints=["last", "best_val"]))
    )
    # Five snapshots are predicted and scored, two oracles selected, one table collected and one drawn.
    assert with_oracle - without == 5 * 2 + 2 + 1 + 1


def test_a_prediction_of_a_snapshot_waits_for_the_run_s_record() -> None:
    jobs = Jobs(plan().suite, None)
    axes = {"dataset": "lesions", "method": "simclr", "variant": "default", "labels": "r1", "draw": "0", "fold": "0"}
    job = SimpleNamespace(**axes, seed="0", evaluated_on="lesions", checkpoint="step50")
    folder = jobs.run(job).folder
    assert jobs.weights(job) == folder / "run.json"
    job.checkpoint = "best_val"
    assert jobs.weights(job) == folder / "checkpoints" / "best_val.ckpt"
    names = [path.name for path in jobs.candidate_scores(job)]
    assert names == ["step50.csv", "step100.csv", "last.csv"]
