"""What a tuned suite plans: trials and folds, runs that wait for a choice, and the price."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contrastseg.cli.train import Inputs
from contrastseg.cli.tune import _with_weights
from contrastseg.code_graph import reached_of
from contrastseg.errors import EnterError, SuiteError
from contrastseg.files import write_json
from contrastseg.fingerprints import stage_fingerprint, stage_roots
from contrastseg.planning import Jobs, Plan, content_text, expand
from contrastseg.planning.entered import row_of
from contrastseg.planning.entered_runs import UNTUNED
from contrastseg.planning.estimates import estimate
from contrastseg.planning.tuning import cell_of
from contrastseg.suite import parse_suite


def plan(**changes: Any) -> Plan:
    suite = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 30}}],
        "methods": ["supervised", "simclr"],
        "labels": ["n3", "n7"],
        "seeds": [0, 1],
        "tuning": {"trials": 3, "seed": 5},
        "training": {"steps": 20, "patch_size": [32, 32], "validate_every": 5, "snapshot_every": 5},
        **changes,
    }
    return expand(parse_suite(suite)[0])


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def job(method: str, **axes: str) -> Any:
    values = {"dataset": "lesions", "method": method, "variant": "default", "draw": "0", "fold": "0", **axes}
    return SimpleNamespace(**values)


def test_each_cell_has_all_trials_in_all_folds_and_one_choice_for_all_seeds() -> None:
    asked = plan()
    assert len(asked.runs) == 4
    assert [(cell.method, cell.labels) for cell in asked.tuned_cells] == [("supervised", "n7"), ("simclr", "n7")]
    assert len({trial.folder for trial in asked.trials()}) == len(asked.trials()) == 2 * 3 * 4
    assert {item["labels"] for item in asked.skipped} == {"n3"}
    assert len(asked.skipped) == 2
    assert [(item["trials"], item["inner_folds"]) for item in asked.to_json()["tuning"]] == [(3, 4)] * 2
    untuned = plan(tuning=None)
    assert "tuning" not in untuned.to_json()
    assert (untuned.trials(), len(untuned.runs)) == ([], 8)


def test_a_suite_whose_budgets_all_are_too_small_to_tune_is_an_error_that_says_so() -> None:
    with pytest.raises(SuiteError) as caught:
        plan(labels=["n2", "n3"])
    assert "3 labelled patients" in str(caught.value)
    assert caught.value.remedy


def test_draws_are_chosen_for_apart_and_free_validation_has_one_fold() -> None:
    asked = plan(draws=[0, 1], tuning={"trials": 2, "validation": "free"})
    assert len(asked.tuned_cells) == 2 * 2 * 2, "methods, budgets and draws"
    assert len(asked.trials()) == 2 * len(asked.tuned_cells)


def test_pre_training_of_a_tuned_run_is_of_its_budget() -> None:
    tuned, untuned = plan(labels=["n7"]), plan(labels=["n7"], tuning=None)
    folders = [
        {run.stage_folder("pretrain") for run in each.runs if run.method == "simclr"} for each in (tuned, untuned)
    ]
    assert {"n7" in folder.parts for folder in folders[0]} == {True}
    assert {"n7" in folder.parts for folder in folders[1]} == {False}


def test_a_run_trains_with_the_chosen_values_once_they_are_chosen() -> None:
    asked = plan()
    jobs = Jobs(asked.suite, None)
    run = next(run for run in asked.runs if run.method == "simclr")
    stages = [job("simclr", budget="n7/", seed="1", stage="pretrain"), job("simclr", labels="n7", seed="1")]
    before = [json.loads(jobs.config(stage))["settings"]["temperature"] for stage in stages]
    assert before == [0.1, 0.1]
    assert [jobs.selected(stage) for stage in stages] == [[cell_of(run).selected]] * 2
    write_json(cell_of(run).selected, {"values": {"temperature": 0.5}})
    assert [json.loads(jobs.config(stage))["settings"]["temperature"] for stage in stages] == [0.5, 0.5]
    assert json.loads(jobs.config(job("supervised", labels="n7", seed="1"))).get("stage_training", {}) == {}
    untuned = Jobs(plan(tuning=None).suite, None)
    assert untuned.selected(stages[1]) == []
    assert json.loads(untuned.config(stages[1]))["settings"]["temperature"] == 0.1


def test_a_trial_has_its_values_and_no_validation_of_its_own() -> None:
    jobs = Jobs(plan().suite, None)
    configs = [json.loads(jobs.trial_config(job("simclr", labels="n7", trial=str(n), inner="0"))) for n in range(3)]
    assert [config["values"] for config in configs] == [jobs.suite.tuning.values("simclr", n) for n in range(3)]
    assert configs[0]["settings"]["temperature"] == 0.1
    for config in configs:
        assert set(config["stages"]) == {"pretrain", "train"}
        assert all(stage["validate_every"] == 0 for stage in config["stages"].values())
        assert config["evaluation"] == {"convention": "default"}
    of = job("supervised", labels="n7", trial="2", inner="1")
    own = json.loads(jobs.trial_config(of))["stages"]["train"]
    values = jobs.suite.tuning.values("supervised", 2)
    assert own["segmentation"]["dice_share"] == values["training.segmentation.dice_share"]
    assert jobs.trial_content(of) == jobs.content(job("supervised", labels="n7", seed="0")), "no seed is asked for"
    assert jobs.tuning_seed == 5
    assert len(jobs.trial_records(of)) == 12


def test_a_trial_depends_on_the_weights_of_every_stage_as_its_job_finds_them() -> None:
    file, of = Path("encoder.pt"), job("simclr", labels="n7", trial="1", inner="0")
    file.write_bytes(b"one")
    stages = {"pretrain": {"network": {"weights": "./encoder.pt"}}}
    jobs = Jobs(plan(methods=["supervised", {"name": "simclr", "stages": stages}]).suite, None)
    planned = jobs.trial_content(of)
    assert planned != Jobs(plan().suite, None).trial_content(of)
    found = Inputs(Path(), Path(), {}, jobs.data_digests(of))
    config = json.loads(jobs.trial_config(of))
    assert content_text(_with_weights("simclr", found, config, ["pretrain", "train"]).digests) == planned
    of_train, of_pretraining = (
        _with_weights("simclr", found, config, [stage]).digests for stage in ("train", "pretrain")
    )
    assert "weights" in of_pretraining
    assert "weights" not in of_train
    file.write_bytes(b"another")
    assert jobs.trial_content(of) != planned


def test_an_untuned_suite_is_stored_as_before_there_were_tuned_ones() -> None:
    untuned, tuned = (plan(**changes).suite.model_dump(mode="json") for changes in ({"tuning": None}, {}))
    assert set(tuned) - set(untuned) == {"tuning"}
    assert plan(also_show=["other"]).suite.model_dump()["also_show"] == ["other"]
    assert "also_show" not in tuned
    assert set(plan(tuning=None).suite.model_dump(exclude={"tables"})) == set(untuned) - {"tables"}


def test_the_price_is_in_the_estimate() -> None:
    cost, untuned = estimate(plan(), Path("absent")), estimate(plan(tuning=None, labels=["n7"]), Path("absent"))
    assert (cost["trials"], cost["trials_left"]) == (24, 24)
    assert "simclr" in cost["device_hours_of_trials_left"]
    assert cost["jobs"] == untuned["jobs"] + 24 + 2 + 1 + 1, "choices, their tables, and the table of choices drawn"
    assert "trials" not in untuned
    for trial in plan().trials()[:6]:
        write_json(trial.record, {"wall_s": 3600.0})
    cost = estimate(plan(), Path("absent"))
    assert cost["trials_left"] == 18
    assert cost["device_hours_of_trials_left"].startswith("6.00"), "six of supervised's twelve are left"


def test_entered_predictions_have_no_place_in_a_tuned_suite() -> None:
    suite = plan().suite
    axes = {"entry": "lesions", "method": "mine", "labels": "n7", "draw": 0, "fold": 0, "seed": 0}
    with pytest.raises(EnterError) as caught:
        row_of(suite, **axes, evaluated_on=None, checkpoint=None)
    assert caught.value.remedy
    folder = Path("results/small/entered/lesions/mine/default/n7/draw0-fold0-seed0")
    write_json(folder / "run.json", {})
    write_json(folder / "predictions/lesions/last/predictions.json", {})
    asked = plan()
    assert asked.entered == ()
    assert UNTUNED in {item["reason"] for item in asked.skipped}
    assert len(plan(tuning=None).entered) == 1, "the question can be answered yes"


@pytest.mark.parametrize("stage", ["train", "predict", "score"])
def test_no_code_that_trains_or_scores_reaches_the_choice(stage: str) -> None:
    choice = ["contrastseg.evaluation.statistics.tuning", "contrastseg.training.trial"]
    assert not reached_of(stage_roots(stage, method="supervised"), choice)
    assert set(reached_of(stage_roots("tune", method="supervised"), choice)) == set(choice)
    assert stage_fingerprint("tune", method="supervised") != stage_fingerprint("tune", method="simclr")
