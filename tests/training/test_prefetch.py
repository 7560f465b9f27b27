"""Batches read ahead are the batches that would have come anyway."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.methods.contract import View
from contrastseg.training import checkpoints
from contrastseg.training.batches import Batches, Source
from contrastseg.training.prefetch import prefetch
from contrastseg.training.run import train
from contrastseg.training.settings import AugmentationSettings
from contrastseg.training.storage import Storage


def batches(phantom: Any, residency: Any = "mapped", cache_gb: float | None = None) -> Batches:
    dataset = PreparedDataset(phantom.data)
    cases = dataset.cases_of(Split.from_file(phantom.split).train()[:4])
    where = {"spatial_dims": 3, "device": torch.device("cpu"), "residency": residency, "cache_gb": cache_gb}
    source = Source(
        "labelled", Storage(dataset, cases, with_labels=True, **where), 2, (4, 16, 16), 0, AugmentationSettings()
    )
    return Batches({"labelled": source}, {"images": View("labelled")})


@pytest.fixture
def builders(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Step and thread of every batch that is built."""
    built: list[tuple[int, str]] = []
    original = Batches.__call__

    def watched(self: Batches, step: int) -> Any:
        built.append((step, threading.current_thread().name))
        return original(self, step)

    monkeypatch.setattr(Batches, "__call__", watched)
    return built


def test_the_next_batch_is_built_by_a_thread_and_none_beyond_the_last(
    phantoms: dict[int, Any], builders: list[tuple[int, str]]
) -> None:
    plain = batches(phantoms[3])
    expected = [plain(step)["images"].image for step in range(4)]
    builders.clear()
    with prefetch(batches(phantoms[3]), 4) as ready:
        found = [ready(step)["images"].image for step in range(4)]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert [step for step, _ in builders] == [0, 1, 2, 3]
    assert not any(name.startswith("read-ahead") for _, name in builders[:1])
    assert all(name.startswith("read-ahead") for _, name in builders[1:])


def test_steps_out_of_order_are_right_too(phantoms: dict[int, Any]) -> None:
    plain = batches(phantoms[3])
    with prefetch(batches(phantoms[3]), 10) as ready:
        for step in (0, 5, 2, 3):
            assert torch.equal(ready(step)["images"].image, plain(step)["images"].image)


def test_data_that_is_there_needs_no_thread(phantoms: dict[int, Any]) -> None:
    here = batches(phantoms[3], "host")
    with prefetch(here, 4) as ready:
        assert ready is here


def test_an_error_of_the_thread_is_the_loop_s(phantoms: dict[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    broken = batches(phantoms[3])
    original = Storage.blocks

    def blocks(self: Storage, *args: Any) -> Any:
        if threading.current_thread().name.startswith("read-ahead"):
            raise OSError("the disk is gone")
        return original(self, *args)

    monkeypatch.setattr(Storage, "blocks", blocks)
    with prefetch(broken, 4) as ready:
        ready(0)
        with pytest.raises(OSError, match="the disk is gone"):
            ready(1)


def test_what_is_larger_than_the_cache_is_mapped(phantoms: dict[int, Any]) -> None:
    def residency(cache_gb: float | None) -> str:
        return batches(phantoms[3], "auto", cache_gb).sources["labelled"].storage.residency

    assert residency(None) == "host"
    assert residency(1e-9) == "mapped"


@pytest.mark.learns
def test_a_run_from_disk_is_bit_for_bit_the_run_from_memory(phantoms: dict[int, Any], tmp_path: Path) -> None:
    weights = []
    for name, training in {"memory": {}, "disk": {"cache_gb": 1e-9}}.items():
        record = train(phantoms[3].config("mean_teacher", training=training), tmp_path / name)
        assert record["residency"] == {"memory": "host", "disk": "mapped"}[name]
        weights.append(checkpoints.load(tmp_path / name / "checkpoints" / "last.ckpt")["modules"])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
