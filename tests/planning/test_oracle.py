"""What a suite with the oracle plans: a run's snapshots are predicted and scored, and the oracle is not trained."""

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
    assert selected == {method: ["snapshots", "last", "best_val"] for method in ("supervised", "simclr")}
    stored = asked.to_json()["selections"]
    assert [item["checkpoint"] for item in stored] == [name for names in selected.values() for name in names]
    assert list(plan(checkpoints=["last"]).selections()) == [], "snapshots alone are kept, and cost nothing more"


@pytest.mark.parametrize("stage", ["train", "predict", "predict_snapshots", "score", "score_snapshots"])
def test_no_code_that_trains_predicts_or_scores_reaches_the_selection(stage: str) -> None:
    selection = ["contrastseg.evaluation.statistics.selection"]
    assert not reached_of(stage_roots(stage, method="supervised"), selection)
    assert set(reached_of(stage_roots("oracle"), selection)) == set(selection), "the question can be answered yes"


def test_jobs_are_counted_with_every_snapshot() -> None:
    with_oracle, without = (
        estimate(asked, Path("absent"))["jobs"] for asked in (plan(), plan(checkpoints=["last", "best_val"]))
    )
    # For two runs the snapshots are predicted and scored and the oracle selected, one table is collected and one drawn.
    assert with_oracle - without == 2 * 3 + 1 + 1


def test_the_oracle_is_of_the_runs_that_keep_snapshots() -> None:
    some = plan(
        training={"steps": 200, "validate_every": 50, "patch_size": [32, 32]},
        methods=["supervised", {"name": "simclr", "training": {"snapshot_every": 50}}],
    )
    assert [(run.method, name) for run, _, name in some.evaluations()] == [
        ("supervised", "last"),
        ("supervised", "best_val"),
        ("simclr", "last"),
        ("simclr", "best_val"),
        ("simclr", "best_test"),
    ]
    assert {run.method for run, _, _ in some.selections()} == {"simclr"}


def test_the_snapshots_of_a_run_are_one_prediction() -> None:
    jobs = Jobs(plan().suite, None)
    axes = {"dataset": "lesions", "method": "simclr", "variant": "default", "labels": "r1", "draw": "0", "fold": "0"}
    job = SimpleNamespace(**axes, seed="0", evaluated_on="lesions")
    folder = jobs.run(job).folder / "checkpoints"
    assert jobs.snapshot_options(job) == f"--checkpoint {folder}/step50.ckpt --checkpoint {folder}/step100.ckpt"
    assert [path.name for path in jobs.candidate_scores(job)] == ["snapshots.csv", "last.csv"]
