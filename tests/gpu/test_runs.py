"""Whole short runs on a GPU: the precision they take, a run that goes on after it was stopped, a run done twice."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from contrastseg.training import checkpoints
from contrastseg.training.run import train
from tests.phantoms import Phantom

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def every_device_is_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run restricts its process to the device that it has claimed."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def losses(run: Path) -> list[float]:
    with open(run / "log.csv", newline="", encoding="utf-8") as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def compare_weights(one: Path, other: Path, record: Callable[[str, object], None]) -> None:
    """They are close: sums of a GPU are made in any order. Whether they are equal bit for bit is recorded."""
    modules = [checkpoints.load(run / "checkpoints" / "last.ckpt")["modules"] for run in (one, other)]
    assert modules[0].keys() == modules[1].keys()
    record("equal bit for bit", all(torch.equal(modules[0][name], modules[1][name]) for name in modules[0]))
    for name, value in modules[0].items():
        torch.testing.assert_close(value, modules[1][name], rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize("method", ["supervised", "pdcr_uafr"])
def test_bf16(method: str, phantoms: dict[int, Phantom], accelerator: str, tmp_path: Path) -> None:
    """What a GPU takes by itself; the first loss is that of float32 to bfloat16's digits."""
    mixed = {"precision": "auto" if accelerator == "cuda" else "bf16-mixed", "accelerator": accelerator}
    record = train(phantoms[2].config(method, training=mixed), tmp_path / "mixed")
    assert record["precision"] == "bf16-mixed"
    if accelerator == "cuda":
        assert record["residency"] == "device"
        assert record["device_uuid"].startswith("GPU-")
    whole = {"precision": "32-true", "accelerator": accelerator}
    train(phantoms[2].config(method, training=whole), tmp_path / "whole")
    assert losses(tmp_path / "mixed")[0] == pytest.approx(losses(tmp_path / "whole")[0], rel=0.03)


def test_supervised_resumes(
    phantoms: dict[int, Phantom], accelerator: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    config = phantoms[2].config("supervised", training={"precision": "32-true", "accelerator": accelerator})

    def stopped(done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", on_step=stopped)
    seen: list[int] = []
    train(config, tmp_path / "stopped", on_step=seen.append)
    assert seen == [2, 3, 4, 5, 6], "from the checkpoint after two steps"
    train(config, tmp_path / "whole")
    assert losses(tmp_path / "stopped") == pytest.approx(losses(tmp_path / "whole"), rel=1e-2)
    compare_weights(tmp_path / "stopped", tmp_path / "whole", record_property)


def test_supervised_twice(
    phantoms: dict[int, Phantom], accelerator: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    config = phantoms[2].config("supervised", training={"precision": "32-true", "accelerator": accelerator})
    for name in ("one", "other"):
        train(config, tmp_path / name)
    assert losses(tmp_path / "one")[0] == pytest.approx(losses(tmp_path / "other")[0], rel=1e-5)
    compare_weights(tmp_path / "one", tmp_path / "other", record_property)
