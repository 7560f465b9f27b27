"""A data set that is only tested on, and pre-training on a pool that must not hold it, through the whole workflow."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

METHOD = '''"""Looks at images, then trains."""

from contrastseg.methods.contract import Stage, InitialWeights, View
from contrastseg.methods.supervised import Supervised


class Looks(Supervised):
    """The smallest method with a stage that uses no labels."""

    name = "looks"
    stages = (
        Stage("look", {"image": View("unlabelled")}),
        Stage("train", {"labelled": View("labelled")}, init_from=(InitialWeights("look", ("network",)),)),
    )

    def training_step(self, batch, step):
        """Quiet answers to images alone."""
        if "image" in batch:
            return {"quiet": self.modules["network"](batch["image"].image).square().mean()}
        return super().training_step(batch, step)
'''
CLINIC = '''"""Lesions under other names, all in the publisher's test part."""

import dataclasses

from contrastseg.data.datasets import phantom_lesions
from contrastseg.data.settings import SplitSettings


def discover(raw, options, faults):
    """The same images, other names."""
    found = phantom_lesions.discover(raw, options, faults)
    names = [case.case.replace("lesion", "clinic") for case in found]
    return [dataclasses.replace(c, case=n, patient=n, part="test") for c, n in zip(found, names, strict=True)]


SPEC = dataclasses.replace(
    phantom_lesions.SPEC,
    name="clinic",
    title="Clinic",
    discover=discover,
    split=SplitSettings(name="official"),
    splits=("official",),
)
'''
SIZE = [32, 40]
ENTRIES = [
    {
        "name": "lesions",
        "dataset": "phantom_lesions",
        "options": {"cases": 10, "size": SIZE},
        "evaluate_on": ["lesions", "clinic"],
        "pool": ["lesions", "archive"],
    },
    {"name": "clinic", "options": {"cases": 4, "seed": 7, "size": SIZE}, "evaluate_on": []},
    {
        "name": "archive",
        "dataset": "phantom_lesions",
        "options": {"cases": 12, "seed": 7, "size": SIZE},
        "evaluate_on": [],
    },
]
RUNS = "results/pooled/runs/lesions/looks/default"
RUN = "draw0-fold0-seed0"
TARGET = f"{RUNS}/r0.4/{RUN}/scores/clinic/last.csv"


def ran(output: str) -> set[str]:
    """The rules that ran, by Snakemake's output."""
    return set(re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", output, re.MULTILINE))


def equip(workspace):
    """Adds the method, the data set, and a suite of both."""
    (workspace.code / "contrastseg" / "methods" / "looks.py").write_text(METHOD)
    (workspace.code / "contrastseg" / "data" / "datasets" / "clinic.py").write_text(CLINIC)
    (workspace.code / "workflow" / "rules" / "methods" / "looks.smk").write_text(
        'use rule train as train_looks with:\n    wildcard_constraints:\n        method="looks",\n'
    )
    workspace.write_suite(name="pooled", datasets=ENTRIES, methods=["looks", "supervised"])
    return workspace


@pytest.fixture(scope="module")
def scored(shared):
    """A workspace in which a pre-trained model was scored on the data set that is only tested on."""
    equip(shared).run("--", TARGET, suite="pooled")
    return shared


def look(space) -> dict:
    """The record of the pre-training."""
    return json.loads((space.work / RUNS / "pretrain-look" / RUN / "run.json").read_text())


def test_what_a_suite_with_a_pool_and_a_test_only_data_set_comes_to(workspace):
    pooled = equip(workspace)
    planned = pooled.planned(suite="pooled")
    assert {rule: planned[rule] for rule in ("prepare", "split", "pool", "pretrain", "train_looks", "predict")} == {
        "prepare": 3,
        "split": 3,
        "pool": 1,
        "pretrain": 1,
        "train_looks": 1,
        "predict": 4,
    }
    pooled.write_suite(name="none", datasets=[{**ENTRIES[0], "pool": []}, ENTRIES[1]], methods=["looks", "supervised"])
    assert "pool" not in pooled.planned(suite="none")
    trains = [ENTRIES[0] | {"pool": []}, ENTRIES[1] | {"evaluate_on": ["clinic"]}]
    pooled.write_suite(name="wrong", datasets=trains, methods=["supervised"])
    done = pooled.snakemake("--configfile", "wrong.yaml", "--dry-run")
    assert done.returncode != 0
    assert "clinic has no training patients" in done.stdout
    assert "evaluate_on: []" in done.stdout


def test_pre_training_draws_from_the_pool_and_never_sees_what_is_tested_on(scored):
    scores = pd.read_csv(scored.work / TARGET)
    assert set(scores["case"]) == {f"clinic{number:04d}" for number in range(4)}
    pool = json.loads((scored.work / "results/pooled/pools/lesions/fold0.json").read_text())
    split = json.loads(next((scored.work / "resources/splits").glob("lesions-*.json")).read_text())["folds"][0]
    reasons = {case["case"]: case["reason"] for case in pool["left_out"] if case["entry"] == "archive"}
    shown = {f"lesion{number:04d}": f"clinic/clinic{number:04d}" for number in range(4)}
    for case, test in shown.items():
        assert case in split["test"] or reasons[case] == f"the image of test case {test}"
    assert set(reasons) == shown.keys() | set(split["test"])
    used = [(case["entry"], case["case"]) for case in pool["used"]]
    assert {case for entry, case in used if entry == "lesions"} == set(split["train"])
    assert {case for entry, case in used if entry == "archive"} == {f"lesion{n:04d}" for n in range(12)} - set(reasons)
    assert look(scored)["pool"] == {"hash": pool["hash"], "sources": ["lesions", "archive"]}
    assert look(scored)["inputs"]["pool"]
    record = json.loads((scored.work / RUNS / "r0.4" / RUN / "run.json").read_text())
    assert set(record["inputs"]) == {"data", "split", "look"}


@pytest.mark.long
def test_reruns_follow_what_is_in_the_pool(scored):
    before = look(scored)
    again = ran(scored.run("--forcerun", "pool", "--", TARGET, suite="pooled"))
    assert "pool" in again
    assert not again & {"pretrain", "train_looks"}, "the same cases: nothing to train again"
    larger = [*ENTRIES[:2], {**ENTRIES[2], "options": {"cases": 13, "seed": 7, "size": SIZE}}]
    scored.write_suite(name="pooled", datasets=larger, methods=["looks", "supervised"])
    assert ran(scored.run("--", TARGET, suite="pooled")) >= {"pool", "pretrain", "train_looks", "predict"}
    assert look(scored)["pool"]["hash"] != before["pool"]["hash"]
    assert look(scored)["unlabelled_count"] == before["unlabelled_count"] + 1
    assert scored.planned("--", TARGET, suite="pooled") == {}
