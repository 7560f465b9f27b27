"""What happens to a run: numbers that are none, memory that does not suffice, a device that goes away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.errors import DeviceError, DeviceMemoryError, TrainingError
from contrastseg.training import checkpoints, loop
from contrastseg.training.faults import DUMP, device_faults
from contrastseg.training.run import train


def break_at(monkeypatch: pytest.MonkeyPatch, step: int, rate: float = float("inf")) -> None:
    """The update after this many steps spoils the weights; the loss it was made of is fine."""
    whole = loop.learning_rate
    monkeypatch.setattr(loop, "learning_rate", lambda at, *rest: rate if at == step - 1 else whole(at, *rest))


def test_weights_that_are_no_numbers_are_not_saved(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_at(monkeypatch, 4)
    with pytest.raises(TrainingError, match="weights are not finite after step 4") as caught:
        train(phantoms[2].config("supervised"), tmp_path)
    saved = tmp_path / "checkpoints"
    assert caught.value.file == saved / DUMP
    assert sorted(path.name for path in saved.iterdir()) == [DUMP, checkpoints.RESUME]
    resumable = checkpoints.load(saved / checkpoints.RESUME)
    assert resumable["step"] == 2
    assert not checkpoints.not_finite(resumable["modules"])
    dump = json.loads((saved / DUMP).read_text())
    assert dump["step"] == 4
    assert dump["last_finite_step"] == 3
    assert set(dump["terms"]) == {"loss", "segmentation"}
    assert dump["learning_rate"] == float("inf")
    assert dump["gradient_norm"] > 0
    assert dump["weights"]
    assert all(name in str(caught.value.case) for names in dump["cases"].values() for name in names)


def test_a_loss_that_broke_between_two_looks_is_found_at_the_next(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_at(monkeypatch, 2)
    config = phantoms[2].config("supervised", training={"log_every": 100, "checkpoint_every": 4})
    with pytest.raises(TrainingError, match=r"the loss is not finite at step 4 \(they were at step 0\)"):
        train(config, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [DUMP]
    assert json.loads((tmp_path / "checkpoints" / DUMP).read_text())["terms"]["loss"] in ("nan", "inf")
    monkeypatch.undo()
    train(config, tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_no_checkpoint_of_any_kind_holds_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    checkpoints.save(path, {"modules": {"a": torch.ones(3), "n": torch.tensor(1)}, "config": {}})
    whole = path.read_bytes()
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(TrainingError, match=r"not saved: b"):
            checkpoints.save(path, {"modules": {"a": torch.ones(3), "b": torch.tensor([1, wrong])}, "config": {}})
    assert path.read_bytes() == whole


def test_validation_between_two_rows_of_the_log_gets_a_row(phantoms: dict[int, Any], tmp_path: Path) -> None:
    training = {"log_every": 4, "validate_every": 3, "checkpoint_every": 6}
    record = train(phantoms[2].config("supervised", training=training), tmp_path)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    scored = [row.split(",")[0] for row in rows[1:] if row.split(",")[-1]]
    assert scored == ["3", "6"]
    assert record["best_val_step"] in (3, 6)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: out of memory"),
        MemoryError("Unable to allocate 8.00 TiB for an array"),
    ],
)
def test_too_little_memory_names_the_settings_to_lower(error: Exception) -> None:
    with pytest.raises(DeviceMemoryError, match="out of memory") as caught, device_faults(16, [96, 96]):
        raise error
    assert "training.batch_size (16)" in str(caught.value.remedy)
    assert "training.patch_size ([96, 96])" in str(caught.value.remedy)
    with pytest.raises(DeviceMemoryError) as caught, device_faults(16, [96, 96], training=False):
        raise error
    assert "predict on a device with more memory" in str(caught.value.remedy)


def test_an_allocation_that_fails_in_truth() -> None:
    with pytest.raises(DeviceMemoryError, match="allocate"), device_faults(1, [1, 1]):
        torch.empty(2**55)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: unspecified launch failure",
        "CUDA error: device-side assert triggered",
        "No CUDA-capable device is detected",
        "CUDA error: the GPU is lost",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_a_device_that_goes_away(words: str) -> None:
    with pytest.raises(DeviceError) as caught, device_faults(1, [1, 1]):
        raise RuntimeError(f"{words}\nCUDA kernel errors might be asynchronously reported")
    assert not isinstance(caught.value, DeviceMemoryError)
    assert words in caught.value.reason
    assert "checkpoint is kept" in str(caught.value.remedy)


def test_other_errors_are_not_the_device_s() -> None:
    with pytest.raises(RuntimeError, match="shape"), device_faults(1, [1, 1]):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.learns
def test_after_a_device_went_away_the_run_goes_on_to_the_same_weights(phantoms: dict[int, Any], tmp_path: Path) -> None:
    def lost(done: int) -> None:
        if done == 5:
            raise RuntimeError("CUDA error: unspecified launch failure")

    config = phantoms[2].config("supervised")
    with pytest.raises(DeviceError, match="launch failure"):
        train(config, tmp_path / "lost", on_step=lost)
    steps: list[int] = []
    train(config, tmp_path / "lost", on_step=steps.append)
    assert steps[0] == 4
    train(config, tmp_path / "whole")
    one, other = (checkpoints.load(tmp_path / n / "checkpoints" / "last.ckpt")["modules"] for n in ("lost", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in other)
