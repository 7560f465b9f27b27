"""From a folder with few labels and many images to a table: what is planned, trained on, predicted and said."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from contrastseg import planning
from contrastseg.cli import app
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import SuiteError
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.content.suite_info import gather_suite_info
from contrastseg.report.tables.footnotes import split_footnotes
from contrastseg.suite import Suite, parse_suite
from contrastseg.training.nnunet.data import _labelled_cases
from contrastseg.training.settings import RunConfig
from contrastseg.training.training_cases import own_cases
from tests.miniatures._nnunet import describe, make_photos

LABELLED, BARE = 6, 14
TRAINING = {
    "steps": 2,
    "batch_size": 2,
    "patch_size": [16, 16],
    "accelerator": "cpu",
    "network": {"name": "unet", "channels": [4, 8], "convolutions": 1},
}
SPLIT = {"fractions": {"train": 0.5, "val": 0.0, "test": 0.5}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six moles with a label and fourteen without, in a working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONTRASTSEG_DATA", raising=False)
    folder = make_photos(tmp_path / "Dataset001_Moles", cases=LABELLED + BARE)
    for number in range(LABELLED, LABELLED + BARE):
        (folder / f"labelsTr/mole_{number:02d}.png").unlink()
    describe(folder, numTraining=LABELLED)
    return tmp_path


def suite(*methods: str, labels: list[str], **entry: Any) -> Suite:
    """`supervised`, and other methods, on the moles."""
    mine = {"name": "moles", "nnunet": "Dataset001_Moles", "split": SPLIT, "preparation": {"size": [24, 24]}, **entry}
    return parse_suite(
        {
            "name": "own",
            "datasets": [mine],
            "methods": [*dict.fromkeys(["supervised", *methods])],
            "labels": labels,
            "training": TRAINING,
        }
    )[0]


def call(*arguments: str, fails: bool = False) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert bool(done.exit_code) == fails, done.output
    return " ".join(done.stdout.split())


def prepare(asked: Suite) -> tuple[planning.Jobs, PreparedDataset, Split]:
    jobs, job = planning.Jobs(asked, None), SimpleNamespace(dataset="moles", method="mean_teacher", variant="default")
    manifest = call("prepare", "nnunet", "--entry", "moles", "--config", jobs.preparation(job))
    split = call("split", "nnunet", "--entry", "moles", "--config", jobs.split(job))
    return jobs, PreparedDataset(Path(manifest).parent), Split.from_file(split)


def split_path() -> Path:
    """The only split there is."""
    (path,) = Path("resources/splits").glob("*.json")
    return path


def test_all_labelled_patients_leave_images_to_methods_that_want_them(here: Path) -> None:
    asked = suite("mean_teacher", "cps", labels=["r1", "n1"])
    plan = planning.expand(asked)
    assert {(run.method, run.labels) for run in plan.runs} == {
        (method, labels) for method in ("supervised", "mean_teacher", "cps") for labels in ("r1", "n1")
    }
    assert (plan.populations["moles"].labelled, plan.populations["moles"].usable) == (LABELLED, BARE)
    for number in range(LABELLED, LABELLED + BARE):
        (here / f"Dataset001_Moles/imagesTr/mole_{number:02d}_0000.png").unlink()
    without = planning.expand(asked)
    assert {run.method for run in without.runs if run.labels == "r1"} == {"supervised"}
    assert without.populations["moles"].unlabelled == 0


def test_images_of_test_patients_alone_are_nothing_to_train_on(here: Path) -> None:
    rows = [f"mole_{number:02d},mole_{min(number, 5):02d}" for number in range(LABELLED + BARE)]
    (here / "Dataset001_Moles/patients.csv").write_text("case,patient\n" + "\n".join(rows) + "\n")
    plans = {}
    for seed in range(4):
        asked = suite("mean_teacher", labels=["r1"], split={**SPLIT, "seed": seed})
        _, _, split = prepare(asked)
        plans["mole_05" in split.test()] = {run.method for run in planning.expand(asked).runs}
    assert plans == {True: {"supervised"}, False: {"supervised", "mean_teacher"}}


def test_check_and_plan_count_them(here: Path) -> None:
    said = call("check", "Dataset001_Moles")
    assert "20 cases of 20 patients can be read: 6 labelled, 14 without label" in said
    assert json.loads(call("check", "Dataset001_Moles", "--json"))["unlabelled"] == BARE
    asked = suite("mean_teacher", labels=["r1"])
    Path("suite.json").write_text(
        json.dumps({**asked.model_dump(mode="json", exclude={"comparison"}), "tables": [], "figures": []})
    )
    text = Path("suite.json").read_text()
    assert "moles: 6 labelled, 14 without label; 14 of these" in call("plan", text)
    counted = json.loads(call("plan", text, "--json"))["populations"]["moles"]
    assert counted == {"train": 3, "labelled": LABELLED, "unlabelled": BARE, "usable": BARE, "each": 1}


def test_labels_can_be_required_by_the_entry(here: Path) -> None:
    strict = suite(labels=["r1"], unlabelled="require_labels")
    assert strict.entry("moles").options == {"path": "Dataset001_Moles", "unlabelled": "require_labels"}
    assert Suite.model_validate(strict.model_dump(mode="json")).entry("moles").options == strict.entry("moles").options
    job = SimpleNamespace(dataset="moles", method="supervised", variant="default")
    config = planning.Jobs(strict, None).preparation(job)
    done = CliRunner().invoke(app, ["prepare", "nnunet", "--entry", "moles", "--config", config])
    assert f"{BARE} times: the image has no label" in str(done.exception)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"name": "acdc", "unlabelled": "use"}, "nnU-Net's layout"),
        ({"name": "a", "nnunet": "Dataset001_Moles", "unlabelled": "maybe"}, "unlabelled"),
        (
            {
                "name": "a",
                "nnunet": "Dataset001_Moles",
                "unlabelled": "use",
                "options": {"unlabelled": "require_labels"},
            },
            "differ",
        ),
    ],
)
def test_entries_that_say_it_wrongly(here: Path, entry: dict[str, Any], words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        parse_suite({"name": "own", "datasets": [entry], "methods": ["supervised"]})


def test_they_are_trained_on_and_never_scored(here: Path) -> None:
    asked = suite("mean_teacher", labels=["r1"])
    jobs, data, split = prepare(asked)
    job = SimpleNamespace(dataset="moles", method="mean_teacher", variant="default")
    axes = ("--entry", "moles", "--method", "mean_teacher", "--labels", "r1", "--config", jobs.config(job))
    call("train", *axes, "--output", "run")
    record = json.loads(Path("run/run.json").read_text())
    assert (record["labelled_count"], record["label_ratio"]) == (3, 1.0)
    assert (record["unlabelled_count"], record["unlabelled_cases"]) == (BARE, BARE)
    call(
        *("predict", "--checkpoint", "run/checkpoints/last.ckpt", "--prepared", str(data.folder)),
        *("--split", str(split_path()), "--output", "predictions"),
    )
    call("score", "--prediction", "predictions", "--reference", str(data.folder), "--output", "scores.csv")
    scores = pd.read_csv("scores.csv")
    assert set(scores["case"]) == set(split.test())
    assert not set(scores["case"]) & set(data.cases_of(data.patients, labelled=False))
    assert "hole" not in set(scores["outcome"])


def test_what_unlabelled_images_show_changes_the_weights(here: Path) -> None:
    jobs, data, _ = prepare(suite("mean_teacher", labels=["r1"]))
    job = SimpleNamespace(dataset="moles", method="mean_teacher", variant="default")
    config = json.loads(jobs.config(job))
    config["training"]["log_every"] = 1
    axes = ("--entry", "moles", "--method", "mean_teacher", "--labels", "r1", "--config", json.dumps(config))
    call("train", *axes, "--output", "run")
    for case in data.cases_of(data.patients, labelled=False):
        path = data.folder / "cases" / case / "image.npy"
        np.save(path, np.load(path)[:, ::-1] * 3)
    call("train", *axes, "--output", "other")
    logs = [pd.read_csv(f"{run}/log.csv") for run in ("run", "other")]
    assert logs[0]["consistency"].tolist() != logs[1]["consistency"].tolist()
    assert logs[0]["segmentation"].iloc[0] == logs[1]["segmentation"].iloc[0]


def training_cases(method: str, labels: str, stage: str = "train") -> dict[str, list[str]]:
    _, data, split = prepare(suite(labels=["r1"]))
    paths = {"data": str(data.folder), "split": str(split_path())}
    config = RunConfig(
        entry="moles", method=method, labels=labels, stage=stage, spatial_dims=2, training=TRAINING, **paths
    )
    return {
        name: [case for _, cases in drawn for case in cases] for name, drawn in own_cases(config, data, split).items()
    }


def test_budgets_leave_labelled_images_to_the_unlabelled_cases(here: Path) -> None:
    cases = training_cases("mean_teacher", "n1")
    assert (len(cases["labelled"]), len(cases["unlabelled"])) == (1, 2 + BARE)
    assert len(training_cases("mean_teacher", "r1")["unlabelled"]) == BARE
    pretraining = training_cases("simclr", "r1", "pretrain")
    assert "labelled" not in pretraining
    assert len(pretraining["unlabelled"]) == 3 + BARE


def test_a_copy_of_a_test_image_is_not_trained_on(here: Path) -> None:
    assert len(training_cases("mean_teacher", "r1")["unlabelled"]) == BARE
    tested = Split.from_file(split_path()).test()
    images = here / "Dataset001_Moles/imagesTr"
    for number, case in enumerate(tested):
        (images / f"mole_{LABELLED + number:02d}_0000.png").write_bytes((images / f"{case}_0000.png").read_bytes())
    assert len(training_cases("mean_teacher", "r1")["unlabelled"]) == BARE - len(tested)


def test_a_visit_without_a_label_of_a_patient_in_the_budget(here: Path) -> None:
    rows = [f"mole_{number:02d},p{number % LABELLED}" for number in range(LABELLED + BARE)]
    (here / "Dataset001_Moles/patients.csv").write_text("case,patient\n" + "\n".join(rows) + "\n")
    cases = training_cases("mean_teacher", "r1")
    split = Split.from_file(split_path())
    assert len(cases["labelled"]) == 3
    patient = {f"mole_{number:02d}": f"p{number % LABELLED}" for number in range(LABELLED + BARE)}
    assert {patient[case] for case in cases["unlabelled"]} == set(split.train())
    assert not set(cases["labelled"]) & set(cases["unlabelled"])


def test_nnunet_trains_on_the_labelled_images_alone(here: Path) -> None:
    _, data, split = prepare(suite("nnunet", labels=["r1"]))
    config = SimpleNamespace(raw=str(here / "Dataset001_Moles"))
    job: Any = SimpleNamespace(dataset=data, config=config, labelled=[*split.labelled("r1"), *split.unlabelled])
    assert sorted(case.case for case in _labelled_cases(job)) == sorted(split.train())


def test_tables_name_the_images_without_a_label(here: Path) -> None:
    asked = suite(labels=["r1"])
    _, data, _ = prepare(asked)
    facts = gather_suite_info(asked.model_dump(mode="json"), [json.loads(split_path().read_text())])
    infos = [data.info.model_dump(mode="json")]
    empty = pd.DataFrame()
    lines = split_footnotes(ReportData(summary=empty, infos=infos, suite=facts), "moles", "moles")
    assert re.search(r"Images: 6 labelled, 14 without label\. Split random", " ".join(lines))
