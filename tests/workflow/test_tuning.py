"""A tuned suite from data to tables: trials, a choice, runs that train with it, and what another choice runs again."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.workflow.conftest import SUITE


@pytest.mark.long
def test_runs_train_with_the_choice_and_another_choice_trains_only_its_runs_again(workspace):
    lesions = SUITE["datasets"][0] | {"options": {"cases": 14, "size": [32, 40]}}
    workspace.write_suite(
        datasets=[lesions],
        methods=["supervised", "simclr"],
        labels=["n3", "n4"],
        tuning={"trials": 2},
        tables=[{"name": "main", "kind": "main"}, {"name": "tuning", "kind": "tuning"}],
        figures=[{"name": "label_ratio", "kind": "label_ratio"}],
    )
    planned = workspace.planned()
    wanted = {"tune": 16, "select": 2, "pretrain": 1, "train_supervised": 1, "train_simclr": 1, "collect_tuning": 1}
    assert {rule: planned[rule] for rule in wanted} == wanted
    workspace.run()
    assert workspace.planned() == {}
    choices = {}
    for file in workspace.results.glob("tuning/*/*/default/n4/draw0-fold0/selected.json"):
        said = json.loads(file.read_text())
        assert said["means"][str(said["trial"])] == pytest.approx(said["dice"])
        choices[said["method"]] = said["trial"], said["values"]
    assert set(choices) == {"supervised", "simclr"}
    _trained_with(workspace, choices)
    trials = pd.read_csv(workspace.results / "tuning.csv")
    assert len(trials) == 16
    means = trials.groupby(["method", "trial"])["dice"].mean()
    for method, (trial, _) in choices.items():
        assert means[method, trial] >= means[method, 1 - trial] - 1e-4
    main = (workspace.results / "tables" / "main.md").read_text()
    assert "K = 2" in main
    assert "not tuned" in main
    _choose_otherwise(workspace, choices)


def _trained_with(workspace, choices):
    """Every stage of every run has the chosen values, and all labelled patients."""
    records = list(workspace.results.glob("runs/**/run.json"))
    assert len(records) == 3
    for file in records:
        run = json.loads(file.read_text())
        settings = choices[run["method"]][1]
        assert run["labelled_count"] == 4
        if run["method"] == "simclr":
            assert run["settings"]["temperature"] == settings.get("temperature", 0.1)
        else:
            decay = settings.get("training.optimiser.weight_decay", 1e-4)
            assert run["training"]["optimiser"]["weight_decay"] == decay


def _choose_otherwise(workspace, choices):
    """Other validation scores of one method train its runs again, in the same invocation, and no other's."""
    times = {file: file.stat().st_mtime_ns for file in workspace.results.glob("runs/**/run.json")}
    lost = choices["simclr"][0]
    for file in workspace.results.glob(f"tuning/*/simclr/default/n4/draw0-fold0/trial{lost}-inner*/trial.json"):
        record = json.loads(file.read_text())
        file.write_text(json.dumps(record | {"dice": dict.fromkeys(record["dice"], 0.0)}))
    workspace.run()
    assert workspace.planned() == {}
    (selected,) = workspace.results.glob("tuning/*/simclr/default/n4/draw0-fold0/selected.json")
    said = json.loads(selected.read_text())
    assert said["trial"] == 1 - lost
    again = {file for file, time in times.items() if file.stat().st_mtime_ns != time}
    assert again == {file for file in times if "simclr" in file.parts}
    _trained_with(workspace, choices | {"simclr": (said["trial"], said["values"])})
