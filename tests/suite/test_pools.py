"""What a suite may say about pre-training pools, and what stays out of them."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest

from contrastseg import planning
from contrastseg.data.registry import registry as datasets
from contrastseg.errors import SuiteError
from contrastseg.methods import registry as methods
from contrastseg.methods.contract import Stage, View
from contrastseg.methods.supervised import Supervised
from contrastseg.planning.runs import pool_settings
from contrastseg.suite import Suite, parse_suite

HERE = {"name": "here", "dataset": "phantom_lesions", "pool": ["here", "there"], "evaluate_on": ["here", "clinic"]}
OTHERS = [
    {"name": "there", "dataset": "phantom_lesions", "evaluate_on": []},
    {"name": "clinic", "dataset": "phantom_lesions", "evaluate_on": []},
]


class Looks(Supervised):
    """Has a stage that uses no labels."""

    name = "looks"
    stages = (Stage("look", {"image": View("unlabelled")}), *Supervised.stages)


@pytest.fixture
def looks(monkeypatch):
    """The method, beside the others."""
    get, names = methods.get, [*methods.names(), "looks"]
    monkeypatch.setattr(methods, "get", lambda name: Looks if name == "looks" else get(name))
    monkeypatch.setattr(methods, "names", lambda: names)


def suite(entries: list, **changes) -> Suite:
    return parse_suite(
        {"name": "small", "datasets": entries, "methods": ["supervised"], "labels": ["r0.5"], **changes}
    )[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pool": ["nowhere"]}, ["entry in the pool of here", "nowhere"]),
        ({"pool": ["there", "there"]}, ["pool of here", "twice"]),
        ({"pool": [], "pool_use": "all"}, ["pool_use", "no pool"]),
        ({"pool": ["organs"]}, ["pool of here", "images of organs have 1 channels, its own 3"]),
    ],
)
def test_pools_that_cannot_be(change, words):
    with pytest.raises(SuiteError) as caught:
        suite([HERE | change, *OTHERS, {"name": "organs", "dataset": "phantom_organs"}])
    assert not [word for word in words if word not in str(caught.value)], caught.value


def test_photographs_join_slices_but_not_volumes(monkeypatch):
    known = datasets.specs() | {
        "grey": dataclasses.replace(datasets.get("phantom_lesions"), name="grey", channels=("x",))
    }
    monkeypatch.setattr(datasets, "specs", lambda: known)
    organs = {"name": "organs", "dataset": "phantom_organs", "pool": ["organs", "grey"]}
    assert suite([organs | {"spatial_dims": 2}, "grey"]).entry("organs").pool == ["organs", "grey"]
    with pytest.raises(SuiteError, match="grey has no volumes"):
        suite([organs, "grey"])


def test_what_is_tested_on_anywhere_in_the_fold_stays_out():
    folds = {"split": {"folds": 3}}
    entries = [HERE | folds, OTHERS[0] | {"evaluate_on": ["there"]} | folds, OTHERS[1]]
    asked = suite(entries, folds=[0, 2])
    assert pool_settings(asked, "here", 2) == {
        "entry": "here",
        "fold": 2,
        "sources": ["here", "there"],
        "tests": {"clinic": [0], "here": [2], "there": [2]},
    }
    assert pool_settings(asked, "here", 0, ["clinic"])["tests"] == {"here": [0], "there": [0]}


def test_its_own_test_patients_stay_out_even_where_nobody_is_tested_on_them():
    asked = suite([HERE | {"evaluate_on": ["clinic"]}, *OTHERS])
    assert pool_settings(asked, "here", 0)["tests"] == {"clinic": [0], "here": [0]}


def test_only_stages_without_labels_of_entries_with_a_pool_have_one(looks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = suite([HERE, *OTHERS, {"name": "alone", "dataset": "phantom_lesions"}], methods=["supervised", "looks"])
    plan = planning.expand(asked)
    assert [str(file) for file in plan.pools()] == ["results/small/pools/here/fold0.json"]
    jobs = planning.Jobs(asked, None)

    def job(dataset: str, stage: str) -> SimpleNamespace:
        axes = {"suite": "small", "dataset": dataset, "method": "looks", "variant": "default", "budget": ""}
        return SimpleNamespace(**axes, stage=stage, draw="0", fold="0", seed="0")

    (file,) = jobs.pool(job("here", "look"))
    assert jobs.pool_option(job("here", "look")) == f"--pool {file}"
    assert jobs.pool(job("here", "train")) == jobs.pool(job("alone", "look")) == []
    names = [path.parent.name.rpartition("-")[0] for path in jobs.pool_data(job("here", "look"))]
    assert names == ["here", "there", "alone", "clinic"]
    assert [path.stem.rpartition("-")[0] for path in jobs.pool_splits(job("here", "look"))] == [
        "alone",
        "clinic",
        "here",
    ]
    before, trained = (jobs.content(job("here", stage)) for stage in ("look", "train"))
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"hash": "0123", "sources": ["here"]}))
    assert jobs.content(job("here", "look")) != before
    assert jobs.content(job("here", "train")) == trained, "it is the earlier stage that depends on the pool"


def test_a_pool_for_all_is_for_stages_with_labels_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    axes = {
        "suite": "small",
        "dataset": "here",
        "variant": "default",
        "budget": "",
        "draw": "0",
        "fold": "0",
        "seed": "0",
    }
    found = {}
    for use in ("pretraining", "all"):
        asked = suite([HERE | {"pool_use": use}, *OTHERS], methods=["supervised", "mean_teacher", "ideal"])
        plan, jobs = planning.expand(asked), planning.Jobs(asked, None)
        stages = [
            (method.name, stage.name) for method in map(methods.get, asked_names(asked)) for stage in method.stages
        ]
        found[use] = [
            (method, stage)
            for method, stage in stages
            if jobs.pool(SimpleNamespace(**axes, method=method, stage=stage))
        ]
        assert len(plan.pools()) == 1
    assert found == {
        "pretraining": [("ideal", "pretrain")],
        "all": [("mean_teacher", "train"), ("ideal", "pretrain"), ("ideal", "train")],
    }


def test_a_pool_for_all_gives_unlabelled_images_where_all_patients_have_labels():
    asked = {"labels": ["r1"], "methods": ["supervised", "mean_teacher"]}
    for use, trained in (("pretraining", {"supervised"}), ("all", {"supervised", "mean_teacher"})):
        plan = planning.expand(suite([HERE | {"pool_use": use}, *OTHERS], **asked))
        assert {run.method for run in plan.runs} == trained


def asked_names(asked: Suite) -> list[str]:
    return [method.name for method in asked.methods]


def test_a_pool_that_is_not_here_leaves_out_what_draws_from_it(looks):
    entries = [HERE | {"pool": ["here", "there"]}, *OTHERS]
    plan = planning.expand(suite(entries, methods=["supervised", "looks"]), {"there": "steps to get it"})
    assert {(run.entry, run.method) for run in plan.runs} == {("here", "supervised")}
    (left_out,) = plan.skipped
    assert left_out["method"] == "looks"
    assert left_out["reason"] == "its pre-training draws from there, which is not on this machine"
