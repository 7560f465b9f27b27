"""Every method and stage on a GPU that pretends: nothing of the CPU beside the device's, few launches, no waiting."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.data.cases import PreparedDataset
from contrastseg.methods import registry
from contrastseg.methods.contract import Method
from contrastseg.training.assembly import build_method, stage_training
from contrastseg.training.inference import case_logits
from contrastseg.training.settings import RunConfig
from contrastseg.training.storage import Residency
from tests.device_steps import ALLOWED, METHODS, STAGES, batches_of, configured
from tests.pretended import DEVICE, Counts, Mismatch, OnDevice, move, pretended

LAUNCHES = 40
"""A source and view at most, whatever the batch; 6 more where super-pixels are warped along."""


def built(config: RunConfig) -> Method:
    dataset = PreparedDataset(config.data)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    move(method.modules)
    return method


def run_step(config: RunConfig, residency: Residency, counts: Counts) -> tuple[Counts, dict[str, Any], int, bool]:
    """Counts of the second batch, terms of its step, looks a batch has, whether super-pixels come along."""
    method, batches = built(config), batches_of(config, residency, DEVICE)
    method.modules.train()
    batches(0)  # fills what is made once
    counts.clear()
    batch = batches(1)
    made = Counts(counts.launches.copy(), counts.sent, counts.waits.copy())
    counts.clear()
    terms = method.training_step(batch, 1)
    method.after_step(1)
    looks = {(view.source, view.geometry, view.intensity) for view in batches.views.values()}
    return made, terms, len(looks), any(view.superpixels for view in batches.views.values())


@pytest.mark.parametrize(("name", "stage", "dims"), STAGES)
def test_a_step(name: str, stage: str, dims: int, phantoms: dict[int, Any]) -> None:
    config = configured(name, stage, dims, phantoms)
    with pretended() as counts:
        made, terms, looks, superpixels = run_step(config, "device", counts)
        assert not made.waits
        assert made.sent == looks, "all numbers of a source and view in one copy"
        noisy_views = len(registry.get(name).stage(stage).views)
        assert made.launches.total() <= looks * (LAUNCHES + 6 * superpixels) + 5 * noisy_views
        assert all(isinstance(term, OnDevice) for term in terms.values())
        assert {place for _, place in counts.waits} <= ALLOWED.keys()


@pytest.mark.parametrize(
    ("name", "stage", "most"),
    [
        ("pdcr", "train", 0),
        ("supcon_pixel", "train", 0),
        ("ideal", "pretrain", 0),
        ("moco", "pretrain", 1),  # whose images the keys are
        ("lrc", "pretrain", 1),
        ("semantic_aware", "contrast", 6),  # who masks whom, the patches chosen, places of background, two views
    ],
)
def test_constants_of_a_step_are_sent_once(name: str, stage: str, most: int, phantoms: dict[int, Any]) -> None:
    config = configured(name, stage, 2, phantoms)
    with pretended() as counts:
        method, batches = built(config), batches_of(config, "device", DEVICE)
        first, second = batches(0), batches(1)
        method.training_step(first, 0)
        counts.clear()
        method.training_step(second, 1)
        assert counts.sent <= most


@pytest.mark.parametrize("dims", [2, 3])
def test_launches_do_not_grow_with_the_batch(dims: int, phantoms: dict[int, Any]) -> None:
    launches = []
    for size in (2, 24):
        with pretended() as counts:
            made = run_step(configured("mean_teacher", "train", dims, phantoms, size), "device", counts)[0]
        launches.append(made.launches)
    assert launches[0] == launches[1]


@pytest.mark.parametrize("dims", [2, 3])
def test_data_of_the_host_comes_to_the_device(dims: int, phantoms: dict[int, Any]) -> None:
    """The same batch, bit for bit, wherever the data lies."""
    config = configured("lrc", "pretrain", dims, phantoms)
    with pretended():
        there, here = (batches_of(config, residency, DEVICE)(1) for residency in ("device", "host"))
        for view, sample in there.items():
            for layer in ("image", "superpixels", "coordinates"):
                one, other = getattr(sample, layer), getattr(here[view], layer)
                assert (one is None) == (other is None)
                assert one is None or torch.equal(one.held, other.held)


@pytest.mark.parametrize("name", METHODS)
def test_prediction(name: str, phantoms: dict[int, Any]) -> None:
    """Whole cases through the network: the host waits for the logits and for nothing else."""
    dims = registry.get(name).spatial_dims[-1]
    config = configured(name, "train", dims, phantoms)
    dataset = PreparedDataset(config.data)
    case = dataset.load(dataset.cases[0])
    training = stage_training(config)
    with pretended() as counts:
        method = built(config)
        method.modules.eval()
        for _ in range(2):
            counts.clear()
            logits = case_logits(
                method.predict, case.image, dataset.info.scale, dims, training.patch_size, DEVICE, batch_size=2
            )
        waits = {wait: number for wait, number in counts.waits.items() if wait[1] not in ALLOWED}
    assert logits.shape == (dataset.num_classes, *case.image.shape[1:])
    assert waits == {("cpu", "inference.py:case_logits"): 1}


def test_the_pretence_agrees_with_the_cpu(phantoms: dict[int, Any]) -> None:
    """Batch and step are what they are on the CPU: shapes of blocks differ, and with them the last digits."""
    config = configured("supervised", "train", 2, phantoms)
    with pretended() as counts:
        terms = run_step(config, "device", counts)[1]
        there = {name: float(term.held) for name, term in terms.items()}
    dataset = PreparedDataset(config.data)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    method.modules.train()
    cpu = batches_of(config, "host", torch.device("cpu"))
    here = {name: float(term.detach()) for name, term in method.training_step(cpu(1), 1).items()}
    assert there == pytest.approx(here, rel=1e-3)


def test_a_planted_mismatch_is_caught() -> None:
    with pretended():
        there = torch.ones(3, device=DEVICE)
        with pytest.raises(Mismatch):
            _ = there + torch.ones(3)
        with pytest.raises(Mismatch):
            torch.cat([there, torch.ones(3)])
        _ = there + torch.tensor(1.0)  # a scalar of the CPU may stand beside anything


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: x.tolist(),
        lambda x: float(x[0]),
        lambda x: bool((x > 0).any()),
        lambda x: x.cpu(),
        lambda x: x.to("cpu"),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: torch.unique(x),
        lambda x: torch.bincount(x.long()),
        lambda x: torch.masked_select(x, x > 0),
    ],
)
def test_a_planted_wait_is_counted(read: Any) -> None:
    with pretended() as counts:
        there = torch.ones(3, device=DEVICE)
        _ = there * 2 + there
        assert not counts.waits
        read(there)
        assert counts.waits.total() >= 1
