"""Memory that does not suffice and devices that go away are errors with a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.errors import DeviceError, DeviceMemoryError
from contrastseg.training import checkpoints
from contrastseg.training.device_errors import device_errors
from contrastseg.training.run import train


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
    with pytest.raises(DeviceMemoryError, match="out of memory") as caught, device_errors(16, [96, 96]):
        raise error
    assert "training.batch_size (16)" in str(caught.value.remedy)
    assert "training.patch_size ([96, 96])" in str(caught.value.remedy)
    with pytest.raises(DeviceMemoryError) as caught, device_errors(16, [96, 96], training=False):
        raise error
    assert "predict on a device with more memory" in str(caught.value.remedy)


def test_an_allocation_that_fails_in_truth() -> None:
    with pytest.raises(DeviceMemoryError, match="allocate"), device_errors(1, [1, 1]):
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
    with pytest.raises(DeviceError) as caught, device_errors(1, [1, 1]):
        raise RuntimeError(f"{words}\nCUDA kernel errors might be asynchronously reported")
    assert not isinstance(caught.value, DeviceMemoryError)
    assert words in caught.value.reason
    assert "checkpoint is kept" in str(caught.value.remedy)


def test_other_errors_are_not_the_device_s() -> None:
    with pytest.raises(RuntimeError, match="shape"), device_errors(1, [1, 1]):
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
