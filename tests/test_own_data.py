"""A user's own data, named by its folder in a suite: what it comes to, and the road to a trained network."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from contrastseg import planning
from contrastseg.cli import app
from contrastseg.errors import SuiteError
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.planning.availability import population
from contrastseg.suite import Suite, parse_suite
from tests.miniatures._nnunet import describe, make_photos, make_volumes

TRAINING = {
    "steps": 2,
    "batch_size": 2,
    "accelerator": "cpu",
    "network": {"name": "unet", "channels": [4, 8], "convolutions": 1},
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONTRASTSEG_DATA", raising=False)
    make_photos(tmp_path / "raw" / "Dataset001_Moles", cases=10)
    make_volumes(tmp_path / "raw" / "Dataset002_Scans", cases=10)
    return tmp_path


def suite(*datasets: dict[str, Any], **changes: Any) -> Suite:
    base = {"name": "own", "methods": ["supervised"], "labels": ["r0.5"]}
    return parse_suite({**base, "datasets": list(datasets), **changes})[0]


MOLES = {"name": "moles", "nnunet": "raw/Dataset001_Moles"}
SCANS = {"name": "scans", "nnunet": "raw/Dataset002_Scans", "training": {"patch_size": [16, 32, 32]}}


def test_the_folder_is_short_for_the_data_set_with_its_path(here: Path) -> None:
    entry = suite(MOLES).entry("moles")
    assert (entry.dataset, entry.options, entry.evaluate_on) == ("nnunet", {"path": MOLES["nnunet"]}, ["moles"])
    long = {"name": "moles", "dataset": "nnunet", "options": {"path": MOLES["nnunet"]}}
    assert suite(long).entry("moles").model_dump() == entry.model_dump()
    assert Suite.model_validate(suite(MOLES, SCANS).model_dump(mode="json")).entry("scans").spec.channels == (
        "T2",
        "ADC",
    )


def test_a_plan_over_own_data(here: Path) -> None:
    slices = {"nnunet": SCANS["nnunet"], "name": "slices", "spatial_dims": 2, "evaluate_on": ["slices", "scans"]}
    asked = suite(MOLES, SCANS, slices)
    assert planning.missing_data(asked) == {}
    plan = planning.expand(asked)
    assert {run.entry for run in plan.runs} == {"moles", "scans", "slices"}
    assert [population(entry).train for entry in asked.datasets] == [7, 7, 7]
    jobs = planning.Jobs(asked, None)
    job = SimpleNamespace(dataset="slices", method="supervised", variant="default")
    assert (jobs.dataset(job), jobs.downloads(job)) == ("nnunet", [])
    assert json.loads(jobs.preparation(job))["options"] == {"path": SCANS["nnunet"]}
    assert json.loads(jobs.config(job))["spatial_dims"] == 2
    assert stage_fingerprint("prepare", dataset="nnunet") != stage_fingerprint("prepare", dataset="acdc")


def test_a_folder_that_is_not_here_is_missing_data(here: Path) -> None:
    asked = suite(MOLES, {"name": "gone", "nnunet": "raw/Dataset009_Gone"})
    missing = planning.missing_data(asked)
    assert set(missing) == {"gone"}
    assert "raw/Dataset009_Gone" in missing["gone"]
    plan = planning.expand(asked, missing)
    assert {run.entry for run in plan.runs} == {"moles"}
    assert plan.skipped[0]["reason"] == "gone is not on this machine"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "a", "nnunet": "raw/Dataset001_Moles", "dataset": "acdc"}, "leave out `dataset`"),
        ({"name": "a", "nnunet": "raw/Dataset001_Moles", "options": {"path": "raw"}}, "the option `path`"),
        ({"name": "a", "nnunet": "raw/Dataset001_Moles", "options": {"colour": 1}}, "unknown option of nnunet"),
        ({"name": "a", "nnunet": "raw/Dataset001_Moles", "options": 5}, "options"),
        ({"name": "a", "nnunet": "raw/Dataset001_Moles", "split": {"name": "official"}}, "split of nnunet"),
        ({"name": "a", "nnunet": "raw"}, "dataset.json"),
        ({"name": "a", "nnunet": 7}, "nnunet"),
        ({"name": "nnunet"}, "named by its folder"),
    ],
)
def test_entries_that_contradict_themselves(here: Path, entry: dict[str, Any], words: str) -> None:
    with pytest.raises(SuiteError) as caught:
        suite(entry)
    assert words in str(caught.value)


def test_a_faulty_description_is_an_error_of_the_suite(here: Path) -> None:
    describe(here / "raw" / "Dataset001_Moles", labels={"background": 0, "all": [1, 2]})
    with pytest.raises(SuiteError, match="regions are not supported"):
        suite(MOLES)


@pytest.mark.parametrize(
    ("entry", "patch", "size"), [(MOLES, [32, 32], [32, 40]), (SCANS, [4, 16, 16], None)], ids=["photos", "volumes"]
)
def test_from_the_folder_to_a_trained_network(
    here: Path, entry: dict[str, Any], patch: list[int], size: list[int] | None
) -> None:
    def call(*arguments: str) -> str:
        done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    asked = suite(entry, training={**TRAINING, "patch_size": patch})
    jobs, name = planning.Jobs(asked, None), str(entry["name"])
    job = SimpleNamespace(dataset=name, method="supervised", variant="default")
    preparation = {**json.loads(jobs.preparation(job)), "preparation": {"size": size}}
    data = Path(call("prepare", "nnunet", "--entry", name, "--config", json.dumps(preparation)).strip()).parent
    split = call("split", "nnunet", "--entry", name, "--config", jobs.split(job)).strip()
    axes = ("--entry", name, "--method", "supervised", "--labels", "n2", "--config", jobs.config(job))
    call("train", *axes, "--output", "run")
    evaluated = ("--prepared", str(data), "--split", split, "--output", "predictions")
    call("predict", "--checkpoint", "run/checkpoints/last.ckpt", *evaluated)
    rows = json.loads(call("score", "--prediction", "predictions", "--reference", str(data), "--json"))
    tested = json.loads(Path(split).read_text())["folds"][0]["test"]
    assert {row["case"] for row in rows} == set(tested)
    assert {row["class"] for row in rows} == set(asked.entry(name).spec.classes[1:])
