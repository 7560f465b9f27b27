"""One trial in one fold: who trains, who validates, what is resumed, and what a loss that is not finite comes to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.splits.split_files import Split, split_hash
from contrastseg.errors import ContrastsegError, SplitError
from contrastseg.files import read_json

TRAINING = {
    "steps": 2,
    "batch_size": 2,
    "patch_size": [32, 32],
    "accelerator": "cpu",
    "network": {"name": "unet", "channels": [4, 8], "convolutions": 1},
}


def call(*arguments: object) -> None:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Prepared phantoms and their split, with validation patients."""
    folder = tmp_path_factory.mktemp("trial")
    options = {"options": {"cases": 12, "size": [32, 32]}}
    call("prepare", "phantom_lesions", "--entry", "lesions", "--config", json.dumps(options), "--output", folder / "p")
    split = options | {"split": {"name": "random", "fractions": {"train": 0.7, "val": 0.1, "test": 0.2}}}
    config = json.dumps(split)
    call("split", "phantom_lesions", "--entry", "lesions", "--config", config, "--prepared", folder / "p",
         "--output", folder / "split.json")  # fmt: skip
    return folder / "p", folder / "split.json"


def tune(
    data: tuple[Path, Path], output: Path, method: str = "simclr", inner: int = 1, **config: Any
) -> dict[str, Any]:
    """The record of a trial with 4 labelled patients."""
    asked = {"training": TRAINING, **config}
    call("tune", "--entry", "lesions", "--method", method, "--labels", "n4", "--trial", 2, "--inner", inner,
         "--prepared", f"lesions={data[0]}", "--split", data[1], "--config", json.dumps(asked),
         "--output", output)  # fmt: skip
    return read_json(output / "trial.json")


def test_a_validating_patient_trains_no_stage_and_has_a_score(data, tmp_path):
    whole = Split.from_file(data[1])
    record = tune(data, tmp_path)
    labelled = whole.labelled("n4")
    assert record["validating"] == labelled[1:2]
    assert set(record["dice"]) == {labelled[1]}
    assert 0 <= record["dice"][labelled[1]] <= 1
    assert (record["trial"], record["inner_fold"], record["labels"], record["steps"]) == (2, 1, "n4", 4)
    inside = Split.from_file(tmp_path / "split.json")
    assert set(whole.train()) - set(inside.train()) == {labelled[1]}
    for stage, unlabelled in (("pretrain", len(whole.train()) - 1), ("train", len(whole.train()) - 4)):
        run = read_json(tmp_path / stage / "run.json")
        assert run["labelled_patients"] == [labelled[0], *labelled[2:]], stage
        assert (run["training_patients"], run["split_hash"]) == (len(whole.train()) - 1, inside.hash)
        assert run["unlabelled_count"] in (0, unlabelled), stage
    assert read_json(tmp_path / "pretrain" / "run.json")["unlabelled_count"] == len(whole.train()) - 1


def test_a_repeated_trial_trains_only_what_changed(data, tmp_path):
    first = tune(data, tmp_path)
    times = {stage: (tmp_path / stage / "run.json").stat().st_mtime_ns for stage in ("pretrain", "train")}
    (tmp_path / "trial.json").unlink()
    assert tune(data, tmp_path)["dice"] == first["dice"]
    assert {stage: (tmp_path / stage / "run.json").stat().st_mtime_ns for stage in times} == times
    other = tune(data, tmp_path, stages={"train": {"optimiser": {"weight_decay": 0.5}}})
    again = {stage: (tmp_path / stage / "run.json").stat().st_mtime_ns for stage in times}
    assert again["pretrain"] == times["pretrain"]
    assert again["train"] > times["train"]
    assert read_json(tmp_path / "train" / "run.json")["training"]["optimiser"]["weight_decay"] == 0.5
    assert other["steps"] == first["steps"]


def test_a_loss_that_is_not_finite_is_a_result(data, tmp_path):
    wild = {"optimiser": {"name": "sgd", "learning_rate": 1e30, "clip_norm": None, "momentum": 0, "nesterov": False}}
    record = tune(data, tmp_path, "supervised", training={**TRAINING, "steps": 5, **wild})
    assert record["dice"] is None
    assert "finite" in record["diverged"]
    assert record["validating"]


def test_a_choice_is_printed_with_its_paired_error(tmp_path):
    shared = {**dict.fromkeys(("suite", "dataset", "method", "variant", "labels"), "x"), "draw": 0, "fold": 0}
    shared |= {"inner_fold": 0, "validating": ["a", "b"], "validation": "labelled", "wall_s": 1.0}
    files = [tmp_path / f"{trial}.json" for trial in range(2)]
    for trial, (file, dice) in enumerate(zip(files, ({"a": 0.5, "b": 0.5}, {"a": 0.6, "b": 0.8}), strict=True)):
        file.write_text(json.dumps({**shared, "trial": trial, "values": {"w": 3} if trial else {}, "dice": dice}))
    done = CliRunner().invoke(app, ["select", *map(str, files), "--output", str(tmp_path / "selected.json")])
    assert "0.2000 ± 0.1000 above trial 0" in done.output, "differences 0.1 and 0.3: s = 0.1 √2, divided by √2"
    assert read_json(tmp_path / "selected.json")["values"] == {"w": 3}


def test_free_validation_is_of_the_split_s_own_patients(data, tmp_path):
    whole = Split.from_file(data[1])
    record = tune(data, tmp_path, "supervised", inner=0, validation="free")
    assert record["validating"] == whole.val()
    assert read_json(tmp_path / "train" / "run.json")["labelled_patients"] == whole.labelled("n4")
    bare = json.loads(data[1].read_text())
    assert not (tmp_path / "split.json").exists()
    bare["folds"][0]["val"] = []
    bare["hash"] = split_hash(bare["folds"], bare["orders"])
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    with pytest.raises(SplitError) as caught:
        tune((data[0], tmp_path / "bare.json"), tmp_path / "none", "supervised", inner=0, validation="free")
    assert caught.value.remedy


def test_bad_folds_and_protocols_are_errors_with_a_remedy(data, tmp_path):
    for wrong in ({"inner": 4}, {"validation": "test"}):
        with pytest.raises(ContrastsegError) as caught:
            tune(data, tmp_path, "supervised", **wrong)
        assert caught.value.remedy
