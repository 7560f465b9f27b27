"""Recorded steps on a real GPU: the run is the same, whatever happens to the recording.

A rehearsal on the processor (`CONTRASTSEG_GPU_TESTS=cpu`) repeats operations where a GPU replays a graph.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.methods.contract import Batch
from contrastseg.methods.supervised import Supervised
from contrastseg.training import checkpoints, run
from contrastseg.training.cuda_graphs import CudaGraphs
from contrastseg.training.recorded import Recording
from tests.phantoms import Phantom
from tests.rehearsal import Rehearsal

ACCELERATOR = os.environ.get("CONTRASTSEG_GPU_TESTS", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ACCELERATOR == "cuda" and not torch.cuda.is_available(), reason="no GPU here"),
]
on_a_gpu = pytest.mark.skipif(ACCELERATOR == "cpu", reason="a rehearsal has no CUDA graphs")

Weights = dict[str, torch.Tensor]


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run sees all devices; a rehearsal records."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if ACCELERATOR == "cpu":
        monkeypatch.setattr(run, "planned", lambda *rest: Recording(Rehearsal()))


def trained(
    phantom: Phantom, method: str, folder: Path, stop: int | None = None, stage: str = "train", **training: Any
) -> tuple[dict[str, Any], Weights]:
    """The record and the weights of a run of eight steps, `stop` stopped after some and then resumed."""
    training = {"steps": 8, "precision": "32-true", "accelerator": ACCELERATOR, **training}
    config = phantom.config(method, stage=stage, training=training)

    def on_step(done: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    if stop is not None:
        with pytest.raises(KeyboardInterrupt):
            run.train(config, folder, on_step=on_step)
    record = run.train(config, folder, on_note=lambda note: None)
    return record, checkpoints.load(folder / "checkpoints" / "last.ckpt")["modules"]


def unrecorded(phantom: Phantom, method: str, folder: Path, **rest: Any) -> tuple[Weights, Weights]:
    """The weights of the run without recording, twice."""
    with pytest.MonkeyPatch.context() as patch:
        if ACCELERATOR == "cpu":  # fused and with a rate on the device all the same, as on a GPU
            patch.setattr("contrastseg.training.recorded.WARM_UP", 100)
        else:
            rest = {**rest, "record": "off"}
        runs = [trained(phantom, method, folder / name, **rest)[1] for name in ("one", "two")]
    return runs[0], runs[1]


def compare(weights: Weights, expected: tuple[Weights, Weights]) -> None:
    """Equal bit for bit where two runs without recording are, close to them otherwise."""
    one, two = expected
    assert weights.keys() == one.keys()
    exact = all(torch.equal(one[name], two[name]) for name in one)
    for name, value in weights.items():
        if exact:
            assert torch.equal(value, one[name]), f"{name}: off by up to {(value - one[name]).abs().max()}"
        else:
            torch.testing.assert_close(value, one[name], rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize(
    ("method", "stage", "training"),
    [
        ("supervised", "train", {}),
        ("supervised", "train", {"precision": "bf16-mixed"}),
        ("supervised", "train", {"residency": "host", "optimiser": {"name": "sgd", "clip_norm": 0.1}}),
        ("supervised", "train", {"network": {"name": "vnet", "width": 4, "dropout": 0.5}}),
        ("ua_mt", "train", {"validate_every": 3}),
        ("supervised", "train", {"optimiser": {"name": "adam", "schedule": "step", "step_every": 5}}),
        ("cvrl", "train", {"optimiser": {"clip_norm": None}}),
        ("byol", "pretrain", {}),
        ("moco", "pretrain", {"memory_format": "channels_last"}),
    ],
)
def test_a_recorded_run_is_the_run(
    method: str, stage: str, training: dict[str, Any], phantoms: dict[int, Phantom], tmp_path: Path
) -> None:
    record, weights = trained(phantoms[2], method, tmp_path / "recorded", stage=stage, **training)
    assert record["unrecorded"] is None
    compare(weights, unrecorded(phantoms[2], method, tmp_path, stage=stage, **training))


@pytest.mark.parametrize("method", ["supervised", "mean_teacher"])
def test_a_recorded_run_resumes_as_it(method: str, phantoms: dict[int, Phantom], tmp_path: Path) -> None:
    """Stopped between two replays; the resumed attempt warms up and records again."""
    record, weights = trained(phantoms[2], method, tmp_path / "stopped", stop=5, checkpoint_every=4)
    assert record["unrecorded"] is None
    compare(weights, unrecorded(phantoms[2], method, tmp_path, checkpoint_every=4))


def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step whose loss is read on the host."""
    whole = Supervised.training_step

    def reading(self: Supervised, batch: Batch, step: int) -> dict[str, torch.Tensor]:
        terms = whole(self, batch, step)
        assert float(terms["segmentation"].detach()) >= 0
        return terms

    monkeypatch.setattr(Supervised, "training_step", reading)


def test_a_step_that_waits_is_found_before_the_recording(
    phantoms: dict[int, Phantom], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = unrecorded(phantoms[2], "supervised", tmp_path)
    planted(monkeypatch)
    record, weights = trained(phantoms[2], "supervised", tmp_path / "waits")
    assert record["unrecorded"].startswith("the host waits for the device in a step")
    if ACCELERATOR == "cuda":
        assert "test_recorded.py:" in record["unrecorded"]
    compare(weights, expected)


def test_a_run_goes_on_where_a_recording_fails(
    phantoms: dict[int, Phantom], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so does the process: memory, random numbers and the next recording are as they should be."""

    @contextmanager
    def blind(self: Any) -> Iterator[list[str]]:
        yield []

    method, training = "supervised", {"network": {"name": "vnet", "width": 4, "dropout": 0.5}}
    expected = unrecorded(phantoms[2], method, tmp_path, **training)
    with monkeypatch.context() as patch:
        planted(patch)
        patch.setattr(CudaGraphs if ACCELERATOR == "cuda" else Rehearsal, "watching", blind)
        record, weights = trained(phantoms[2], method, tmp_path / "fails", **training)
    assert record["unrecorded"].startswith("recording failed: ")
    compare(weights, expected)
    if ACCELERATOR == "cuda":
        torch.cuda.empty_cache()
    record, weights = trained(phantoms[2], method, tmp_path / "again", **training)
    assert record["unrecorded"] is None
    compare(weights, expected)


@on_a_gpu
def test_a_scaled_run_is_clipped_and_unrecorded(phantoms: dict[int, Phantom], tmp_path: Path) -> None:
    record, weights = trained(phantoms[2], "supervised", tmp_path, precision="16-mixed")
    assert record["unrecorded"] == "with 16-mixed the host decides whether a step counts"
    assert not checkpoints.not_finite(weights)


@on_a_gpu
@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_networks_train_as_they_do_otherwise(
    mode: str, phantoms: dict[int, Phantom], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A teacher and a student, each called in every step, and validation between steps."""
    rest: dict[str, Any] = {"steps": 6, "validate_every": 3}
    plain, expected = trained(phantoms[2], "mean_teacher", tmp_path / "plain", record="off", **rest)
    record, weights = trained(phantoms[2], "mean_teacher", tmp_path / "compiled", compile=mode, **rest)
    wanted = None if mode == "default" else "compile: reduce-overhead records the networks by itself"
    assert record["unrecorded"] == wanted
    record_property("seconds per step", (plain["seconds_per_step"], record["seconds_per_step"]))
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-2, atol=5e-3, msg=name)
