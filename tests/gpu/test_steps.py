"""What the pretended GPU promises, on a real one: nothing lies on the CPU by mistake, and a step waits where it may."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.methods import registry
from contrastseg.methods.contract import Method
from contrastseg.training.assembly import build_method, stage_training
from contrastseg.training.inference import case_logits
from contrastseg.training.settings import RunConfig
from contrastseg.training.storage import Residency
from tests.device_steps import ALLOWED, METHODS, STAGES, batches_of, configured
from tests.phantoms import Phantom
from tests.pretended import asking_function

pytestmark = pytest.mark.gpu


@contextmanager
def counted_waits(accelerator: str) -> Iterator[Counter[str]]:
    """Where the host waits for the GPU within, by `file.py:function` of the project."""
    found: Counter[str] = Counter()

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        if "synchronizing" in str(message):
            found[asking_function()] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        if accelerator == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            if accelerator == "cuda":
                torch.cuda.set_sync_debug_mode("default")


def built(config: RunConfig, accelerator: str) -> Method:
    dataset = PreparedDataset(config.data)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    method.modules.to(accelerator)
    return method


@pytest.mark.parametrize("residency", ["device", "host"])
@pytest.mark.parametrize(("name", "stage", "dims"), STAGES)
def test_a_step(
    name: str, stage: str, dims: int, residency: Residency, phantoms: dict[int, Phantom], accelerator: str
) -> None:
    config = configured(name, stage, dims, phantoms)
    batches, method = batches_of(config, residency, torch.device(accelerator)), built(config, accelerator)
    method.modules.train()
    method.training_step(batches(0), 0)  # what is made once, and the libraries' own starts
    method.after_step(0)
    with counted_waits(accelerator) as waits:
        batch = batches(1)
    assert not waits
    assert {sample.image.device.type for sample in batch.values()} == {accelerator}
    with counted_waits(accelerator) as waits:
        terms = method.training_step(batch, 1)
    assert waits.keys() <= ALLOWED.keys()
    torch.stack(list(terms.values())).sum().backward()
    with counted_waits(accelerator) as waits:
        method.after_step(1)
    assert waits.keys() <= ALLOWED.keys()
    gradients = [each.grad for each in method.modules.parameters() if each.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("residency", ["device", "host"])
@pytest.mark.parametrize("dims", [2, 3])
def test_supervised_batches_are_the_same_again_and_those_of_the_cpu(
    dims: int, residency: Residency, phantoms: dict[int, Phantom], accelerator: str
) -> None:
    config = configured("supervised", "train", dims, phantoms)
    one, again = (batches_of(config, residency, torch.device(accelerator))(3) for _ in range(2))
    reference = batches_of(config, "host", torch.device("cpu"))(3)
    for view, sample in one.items():
        assert torch.equal(sample.image, again[view].image)
        assert torch.equal(sample.label, again[view].label)
        torch.testing.assert_close(sample.image.cpu(), reference[view].image, rtol=1e-3, atol=1e-3)
        # Where a nearest neighbour is a tie, the last digit decides.
        assert (sample.label.cpu() == reference[view].label).float().mean() > 0.999


@pytest.mark.parametrize("name", METHODS)
def test_prediction_is_that_of_the_cpu(
    name: str, phantoms: dict[int, Phantom], accelerator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    dims = registry.get(name).spatial_dims[-1]
    config = configured(name, "train", dims, phantoms)
    dataset = PreparedDataset(config.data)
    case, patch = dataset.load(dataset.cases[0]), stage_training(config).patch_size
    logits = []
    for device in ("cpu", accelerator):
        method = built(config, device)
        method.modules.eval()
        with torch.no_grad():
            logits.append(
                case_logits(method.predict, case.image, dataset.info.scale, dims, patch, torch.device(device), 2)
            )
    torch.testing.assert_close(torch.as_tensor(logits[1]), torch.as_tensor(logits[0]), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "read", [lambda x: x.sum().item(), lambda x: x.nonzero(), lambda x: x[x > 0], lambda x: x.cpu()]
)
def test_a_planted_wait_is_noticed(read: Any, accelerator: str) -> None:
    if accelerator == "cpu":
        pytest.skip("the host does not wait for itself")
    there = torch.ones(3, device=accelerator)
    with counted_waits(accelerator) as waits:
        _ = there * 2 + there
        assert not waits
        read(there)
    assert waits == {"outside": 1}
