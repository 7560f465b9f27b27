"""A run as a whole: its files, its record, and what stops it."""

from __future__ import annotations

import csv
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contrastseg.errors import CheckpointError, DataError, TrainingError
from contrastseg.training import checkpoints
from contrastseg.training.loop import learning_rate
from contrastseg.training.prediction import predict_files, predict_prepared
from contrastseg.training.records import hardware
from contrastseg.training.run import train
from contrastseg.training.settings import OptimiserSettings


def test_the_record_says_what_ran_where_and_how_long(phantoms: dict[int, Any], tmp_path: Path) -> None:
    config = phantoms[2].config("mean_teacher", labels="n3", seed=4)
    record = train(config, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == record
    assert record["labelled_count"] == 3
    assert record["unlabelled_count"] == record["training_patients"] - 3
    assert record["label_ratio"] == pytest.approx(3 / record["training_patients"])
    assert record["card"]["provenance"] == "published"
    assert record["training"]["steps"] == record["steps"] == 6
    assert record["versions"]["torch"] == torch.__version__ or record["versions"]["torch"] in torch.__version__
    assert record["hardware"]["cpu"]
    assert record["hardware"]["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert record["seconds_per_step"] > 0
    assert record["peak_memory_bytes"] > 1e6
    assert record["device_uuid"] is None
    assert list((tmp_path / "tensorboard").iterdir())
    with open(tmp_path / "log.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row["loss"]) == pytest.approx(float(row["segmentation"]) + float(row["consistency"]), rel=1e-5)


def test_a_run_says_what_all_its_stages_took(phantoms: dict[int, Any], tmp_path: Path) -> None:
    first = train(phantoms[2].config("simclr", stage="pretrain"), tmp_path / "pretrain")
    initial = {"pretrain": str(tmp_path / "pretrain" / "checkpoints" / "last.ckpt")}
    second = train(phantoms[2].config("simclr", initial=initial), tmp_path / "train")
    assert first["stages_wall_s"] == {"pretrain": first["wall_s"]}
    assert second["stages_wall_s"] == {"pretrain": first["wall_s"], "train": second["wall_s"]}
    assert second["stages_cpu_s"] == {"pretrain": first["cpu_s"], "train": second["cpu_s"]}
    shutil.copy(initial["pretrain"], tmp_path / "last.ckpt")
    moved = train(phantoms[2].config("simclr", initial={"pretrain": str(tmp_path / "last.ckpt")}), tmp_path / "moved")
    assert list(moved["stages_wall_s"]) == ["train"], "nobody knows what a checkpoint without a record took"


def test_the_record_of_the_hardware_says_what_convolutions_are_held_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert "onednn_max_cpu_isa" not in hardware(torch.device("cpu"))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert hardware(torch.device("cpu"))["onednn_max_cpu_isa"] == "AVX2"


@pytest.mark.learns
def test_kill_9_loses_nothing(phantoms: dict[int, Any], tmp_path: Path) -> None:
    """The real signal, in a real process among its snapshots, and the files are those of an undisturbed run."""
    training = {"steps": 60, "checkpoint_every": 5, "snapshot_every": 8}
    config = phantoms[2].config("supervised", training=training)
    code = (
        "import sys; from pathlib import Path; from contrastseg.training.run import train;"
        "from contrastseg.training.settings import RunConfig;"
        "train(RunConfig.model_validate_json(Path(sys.argv[1]).read_text()), sys.argv[2])"
    )
    (tmp_path / "config.json").write_text(config.model_dump_json())
    victim = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "config.json"), str(tmp_path / "killed")])
    resumable = tmp_path / "killed" / "checkpoints" / checkpoints.PREVIOUS
    for _ in range(6000):
        if resumable.exists() or victim.poll() is not None:
            break
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert victim.returncode == -signal.SIGKILL, "it was to be killed while it trained"
    assert not (tmp_path / "killed" / "run.json").exists()
    for name in ("killed", "whole"):
        train(config, tmp_path / name)
    one, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name / "checkpoints").iterdir()}
        for name in ("killed", "whole")
    )
    assert sorted(one) == sorted(other) == sorted(["last.ckpt", *(f"step{step}.ckpt" for step in range(8, 60, 8))])
    for name in other:
        assert one[name] == other[name], name
    assert not resumable.exists()
    assert not list((tmp_path / "killed" / "checkpoints").glob(".*")), "no temporary file is left behind"


def test_a_resumed_run_counts_the_time_of_the_attempts_before(phantoms: dict[int, Any], tmp_path: Path) -> None:
    config = phantoms[2].config("supervised", training={"steps": 4, "checkpoint_every": 2})

    def stopped(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, on_step=stopped)
    place = tmp_path / "checkpoints" / checkpoints.RESUME
    content = torch.load(place, weights_only=True)
    content["progress"]["seconds"] += 1000.0
    content["progress"]["cpu_seconds"] += 900.0
    torch.save(content, place)
    record = train(config, tmp_path)
    assert 1000 < record["seconds_per_step"] * 4 <= record["wall_s"] < 1100
    assert record["stages_wall_s"]["train"] == record["wall_s"]
    assert 900 < record["cpu_s"] < 1000
    assert record["stages_cpu_s"] == {"train": record["cpu_s"]}


def test_a_changed_configuration_starts_afresh(phantoms: dict[int, Any], tmp_path: Path) -> None:
    def interrupted(done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(phantoms[2].config("supervised"), tmp_path / "run", on_step=interrupted)
    seen: list[int] = []
    train(
        phantoms[2].config("supervised", training={"optimiser": {"learning_rate": 0.02}}),
        tmp_path / "run",
        on_step=seen.append,
    )
    assert seen == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.learns
def test_best_val_is_the_best_of_the_validations(phantoms: dict[int, Any], tmp_path: Path) -> None:
    training = {"validate_every": 2, "optimiser": {"learning_rate": 0.02}, "steps": 10}
    record = train(phantoms[2].config("supervised", training=training), tmp_path)
    with open(tmp_path / "log.csv") as file:
        scores = {int(row["step"]): float(row["val_dice"]) for row in csv.DictReader(file) if row["val_dice"]}
    assert list(scores) == [2, 4, 6, 8, 10]
    assert record["best_val_dice"] == max(scores.values())
    best = checkpoints.load(tmp_path / "checkpoints" / "best_val.ckpt")
    assert best["step"] == record["best_val_step"] == max(scores, key=lambda step: scores[step])


def test_the_best_weights_outlive_the_removal_of_outputs(phantoms: dict[int, Any], tmp_path: Path) -> None:
    """Snakemake removes the outputs of a killed run before it starts it again; the best may lie before the resume."""
    # So small a rate that no validation is better than the first.
    training = {"validate_every": 2, "steps": 6, "optimiser": {"learning_rate": 1e-12}}
    config = phantoms[2].config("supervised", training=training)

    def stopped(done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, on_step=stopped)
    best = tmp_path / "checkpoints" / "best_val.ckpt"
    weights = best.read_bytes()
    best.unlink()
    record = train(config, tmp_path)
    assert record["best_val_step"] == 2
    assert best.read_bytes() == weights
    assert sorted(path.name for path in best.parent.iterdir()) == ["best_val.ckpt", "last.ckpt"]


def test_the_test_split_is_not_opened_by_training(phantoms: dict[int, Any], tmp_path: Path) -> None:
    """Training with validation gives the same weights when every test case's files are gone."""
    from contrastseg.data.prepare.cases import PreparedDataset
    from contrastseg.data.splits.split_files import Split

    config = phantoms[3].config("supervised", training={"validate_every": 3})
    train(config, tmp_path / "with")
    data = tmp_path / "data"
    shutil.copytree(phantoms[3].data, data)
    for case in PreparedDataset(data).cases_of(Split.from_file(phantoms[3].split).test()):
        shutil.rmtree(data / "cases" / case)
        (data / "references" / f"{case}.nii.gz").unlink()
    train(config.model_copy(update={"data": str(data)}), tmp_path / "without")
    one, other = (checkpoints.load(tmp_path / n / "checkpoints" / "last.ckpt")["modules"] for n in ("with", "without"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_weights(
    phantoms: dict[int, Any], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(phantoms[2].data, data)
    for path in data.glob("cases/*/image.npy"):
        np.save(path, np.full_like(np.load(path), np.nan, dtype=np.float32))
    config = phantoms[2].config("supervised").model_copy(update={"data": str(data)})
    with pytest.raises(TrainingError, match="not finite at step 1") as error:
        train(config, tmp_path / "run")
    assert error.value.case is not None
    assert "lesion" in error.value.case
    assert not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()


def test_a_method_without_its_data_says_so(phantoms: dict[int, Any], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="unlabelled"):
        train(phantoms[2].config("mean_teacher", labels="r1"), tmp_path)


@pytest.mark.parametrize(("patch", "words"), [([8, 32, 32], "seen in 2D"), ([32, 40], r"\[32, 40\] .* \[16, 16\]")])
def test_a_patch_that_does_not_fit_says_so(
    phantoms: dict[int, Any], tmp_path: Path, patch: list[int], words: str
) -> None:
    with pytest.raises(TrainingError, match=words) as caught:
        train(phantoms[2].config("supervised", training={"patch_size": patch}), tmp_path)
    assert caught.value.remedy


def test_predictions_of_files_from_outside(phantoms: dict[int, Any], tmp_path: Path) -> None:
    from PIL import Image

    train(phantoms[2].config("supervised"), tmp_path / "run")
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("one.png", (30, 50)), ("two.jpg", (64, 41))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), dtype=np.uint8)).save(tmp_path / "images" / name)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    index = json.loads(predict_files(checkpoint, tmp_path / "images", tmp_path / "out").read_text())
    assert index["cases"] == {"one": "one.png", "two": "two.png"}
    assert np.array(Image.open(tmp_path / "out" / "one.png")).shape == (30, 50)
    assert np.array(Image.open(tmp_path / "out" / "two.png")).shape == (64, 41)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="image not found"):
        predict_files(checkpoint, tmp_path / "empty", tmp_path / "out")


def test_other_classes_than_trained_with_are_refused(phantoms: dict[int, Any], tmp_path: Path) -> None:
    train(phantoms[2].config("supervised"), tmp_path)
    with pytest.raises(DataError, match="channels"):
        predict_prepared(tmp_path / "checkpoints" / "last.ckpt", phantoms[3].data, [], tmp_path / "out")


def test_a_checkpoint_of_another_network_does_not_fit(phantoms: dict[int, Any], tmp_path: Path) -> None:
    train(phantoms[2].config("supervised"), tmp_path)
    path = tmp_path / "checkpoints" / "last.ckpt"
    content = checkpoints.load(path)
    content["modules"].popitem()
    checkpoints.save(path, content)
    with pytest.raises(CheckpointError, match="does not fit"):
        predict_prepared(path, phantoms[2].data, [], tmp_path / "out")


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
def test_learning_rates(schedule: Any) -> None:
    settings = OptimiserSettings(learning_rate=0.1, schedule=schedule, warmup_steps=3)
    rates = [learning_rate(step, 100, settings) for step in range(100)]
    assert rates[:4] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert max(rates) <= 0.1
    if schedule == "constant":
        assert rates[-1] == 0.1
    else:
        assert 0 < rates[-1] < 0.01
        assert rates[3:] == sorted(rates[3:], reverse=True)


def test_learning_rates_of_the_sources() -> None:
    """SSL4MIS's, which starts it one step later; UA-MT's; PDCR's cosine with its floor, after its warm-up."""
    poly = OptimiserSettings(learning_rate=0.01)
    assert [learning_rate(t, 30000, poly) for t in (0, 1, 29999)] == [
        0.01 * (1.0 - t / 30000) ** 0.9 for t in (0, 1, 29999)
    ]
    fall = OptimiserSettings(learning_rate=0.01, schedule="step", step_every=2500)
    assert [learning_rate(t, 6000, fall) for t in (0, 2499, 2500, 4999, 5000, 5999)] == pytest.approx(
        [0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001]
    )
    assert learning_rate(7, 10, fall.model_copy(update={"step_every": 3, "step_factor": 0.5})) == 0.0025
    cosine = OptimiserSettings(learning_rate=1e-3, schedule="cosine", warmup_steps=28, final_learning_rate=1e-5)
    steps = 4200
    theirs = [1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + math.cos(math.pi * t / (steps - 28))) for t in range(steps - 28)]
    assert [learning_rate(t, steps, cosine) for t in range(28, steps)] == pytest.approx(theirs, rel=1e-12)
    floor = OptimiserSettings(learning_rate=0.01, final_learning_rate=0.002)
    assert learning_rate(99_999, 100_000, floor) == pytest.approx(0.002, rel=1e-3)
    with pytest.raises(ValueError, match="step_every"):
        OptimiserSettings(schedule="step")
