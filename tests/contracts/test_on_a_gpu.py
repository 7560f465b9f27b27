"""Methods and networks on a GPU that pretends: no tensor of the CPU beside its own, few launches, no waiting."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.methods import registry
from contrastseg.methods.contract import Method
from contrastseg.training.assembly import build_method, stage_training
from contrastseg.training.inference import case_logits
from contrastseg.training.settings import RunConfig
from contrastseg.training.storage import Residency
from contrastseg.training.validation import validation_dice
from tests.contracts.test_networks import NETWORKS, forms, images
from tests.device_steps import ALLOWED, METHODS, STAGES, batches_of, configured
from tests.pretended import DEVICE, Counts, Mismatch, OnDevice, move, pretended

LAUNCHES = 40
"""A source and view at most, whatever the batch; 6 more where super-pixels are warped along."""
MORE_PARTS: dict[str, Any] = {
    **{"rot90": True, "flip_rule": "one", "scale_per_axis": True, "shear": 10, "border": "zero", "order": 0},
    **{"elastic": 2, "one_of": [["rot90", "flip"], ["rotation", "noise"], []]},
}


def built(config: RunConfig) -> Method:
    dataset = PreparedDataset(config.data)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    move(method.modules)
    return method


def unallowed(counts: Counts) -> set[tuple[str, str]]:
    """What the host waited for without a reason that is known."""
    return {wait for wait in counts.waits if wait[1] not in ALLOWED}


def run_step(
    config: RunConfig, residency: Residency, counts: Counts, plant: Callable[[Method], object] = lambda method: None
) -> tuple[Counts, dict[str, Any], int, bool]:
    """Counts of the second batch, terms of its step, looks a batch has, whether super-pixels come along.

    The step goes forward and backward; a fault may be planted in the method.
    """
    method, batches = built(config), batches_of(config, residency, DEVICE)
    plant(method)
    method.modules.train()
    batches(0)  # fills what is made once
    counts.clear()
    batch = batches(1)
    made = Counts(counts.launches.copy(), counts.sent, counts.waits.copy())
    counts.clear()
    terms = method.training_step(batch, 1)
    sum(terms.values(), torch.zeros((), device=DEVICE)).backward()
    gradients = [parameter.grad for parameter in method.modules.parameters() if parameter.grad is not None]
    assert gradients
    assert all(isinstance(gradient, OnDevice) for gradient in gradients)
    method.after_step(1)
    looks = {(view.source, view.geometry, view.intensity) for view in batches.views.values()}
    return made, terms, len(looks), any(view.superpixels for view in batches.views.values())


@pytest.mark.parametrize("residency", ["device", pytest.param("host", marks=pytest.mark.long)])
@pytest.mark.parametrize(("name", "stage", "dims"), STAGES)
def test_a_step(name: str, stage: str, dims: int, residency: Residency, phantoms: dict[int, Any]) -> None:
    config = configured(name, stage, dims, phantoms)
    with pretended() as counts:
        made, terms, looks, superpixels = run_step(config, residency, counts)
        assert not made.waits
        if residency == "device":
            assert made.sent == looks, "all numbers of a source and view in one copy"
            noisy_views = len(registry.get(name).stage(stage).views)
            assert made.launches.total() <= looks * (LAUNCHES + 6 * superpixels) + 5 * noisy_views
        assert all(isinstance(term, OnDevice) for term in terms.values())
        assert not unallowed(counts)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network(name: str) -> None:
    for _, network in forms(name):
        network.train()
        with pretended() as counts:
            move(network)
            given = OnDevice(images(network))
            logits = network(given)
            logits.square().mean().backward()
            gradients = [parameter.grad for parameter in network.parameters()]
            assert all(isinstance(gradient, OnDevice) for gradient in gradients)
            assert isinstance(logits, OnDevice)
            assert not counts.waits
            assert counts.sent == 0


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


@pytest.mark.parametrize(("dims", "colours", "more"), [(2, 0.2, 24), (2, 0, 0), (3, 0, 1)])
def test_more_parts_of_a_warp_and_colours(dims: int, colours: float, more: int, phantoms: dict[int, Any]) -> None:
    """Parts of the warp cost no launch, a border of zeros six, colours 24: one copy, and no waiting."""
    launches = []
    for size in (2, 24):
        config = configured("supervised", "train", dims, phantoms, size)
        parts = config.training.augmentation.model_copy(
            update={**MORE_PARTS, "hue": colours, "saturation": colours}, deep=True
        )
        training = config.training.model_copy(update={"augmentation": parts})
        with pretended() as counts:
            batches = batches_of(config.model_copy(update={"training": training}), "device", DEVICE)
            batches(0)
            counts.clear()
            batches(1)
            assert not counts.waits
            assert counts.sent == 1
            launches.append(counts.launches.copy())
    assert launches[0] == launches[1]
    assert launches[0].total() <= LAUNCHES + more


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
        waits = unallowed(counts)
        number = counts.waits["cpu", "inference.py:case_logits"]
    assert logits.shape == (dataset.num_classes, *case.image.shape[1:])
    assert waits == {("cpu", "inference.py:case_logits")}
    assert number == 1


class OnlyDevice:
    """What validation asks of Fabric."""

    device = DEVICE
    autocast = staticmethod(nullcontext)


def validate(name: str, phantoms: dict[int, Any], plant: Callable[[Method], object] = lambda method: None) -> float:
    """Validation Dice of a new method; a fault may be planted in it."""
    config = configured(name, "train", registry.get(name).spatial_dims[0], phantoms)
    method, dataset = built(config), PreparedDataset(config.data)
    plant(method)
    method.modules.eval()
    patients = sorted({dataset.patient(case) for case in dataset.cases})[:3]
    return validation_dice(method, dataset, patients, stage_training(config), cast(Any, OnlyDevice))


@pytest.mark.parametrize("name", METHODS)
def test_validation(name: str, phantoms: dict[int, Any]) -> None:
    """The host waits for label maps whose copies were begun before, and for nothing else."""
    with pretended() as counts:
        assert 0 <= validate(name, phantoms) <= 1
        assert unallowed(counts) == {("event", "sending.py:wait")}


def test_the_pretence_agrees_with_the_cpu(phantoms: dict[int, Any]) -> None:
    """Batch and step are what they are on the CPU: shapes of blocks differ, and with them the last digits."""
    config = configured("supervised", "train", 2, phantoms)
    planted: list[Method] = []
    with pretended() as counts:
        terms = run_step(config, "device", counts, planted.append)[1]
        there = {name: float(term.held) for name, term in terms.items()}
    dataset = PreparedDataset(config.data)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    method.modules.train()
    cpu = batches_of(config, "host", torch.device("cpu"))
    found = method.training_step(cpu(1), 1)
    sum(found.values(), torch.zeros(())).backward()
    here = {name: float(term.detach()) for name, term in found.items()}
    assert there == pytest.approx(here, rel=1e-3)
    for one, other in zip(planted[0].modules.parameters(), method.modules.parameters(), strict=True):
        torch.testing.assert_close(one.grad.held, other.grad, rtol=1e-2, atol=1e-3)


def read_value(value: Any) -> Any:
    assert value.sum().item() != 0.1
    return value


def beside_the_cpu(value: Any) -> Any:
    return value + torch.zeros(value.shape)


def in_a_loss(fault: Any) -> Callable[[Method], object]:
    def plant(method: Method) -> None:
        honest = method.training_step
        method.training_step = lambda batch, step: {  # type: ignore[method-assign]
            name: fault(term[None])[0] for name, term in honest(batch, step).items()
        }

    return plant


def in_the_network(fault: Any) -> Callable[[Method], object]:
    return lambda method: method.modules["network"].register_forward_hook(lambda _module, _given, made: fault(made))


def in_the_gradient(fault: Any) -> Callable[[Method], object]:
    def watch(_module: Any, _given: Any, made: Any) -> None:
        if made.requires_grad:
            made.register_hook(fault)

    return lambda method: method.modules["network"].encoder[0].register_forward_hook(watch)


def in_the_prediction(fault: Any) -> Callable[[Method], object]:
    def plant(method: Method) -> None:
        honest = method.predict
        method.predict = lambda images: fault(honest(images))  # type: ignore[method-assign]

    return plant


@pytest.mark.parametrize("plant", [in_a_loss, in_the_network, in_the_gradient])
def test_a_fault_planted_in_a_step_is_caught(plant: Any, phantoms: dict[int, Any]) -> None:
    config = configured("mean_teacher", "train", 2, phantoms)
    with pretended() as counts, pytest.raises(Mismatch):
        run_step(config, "device", counts, plant(beside_the_cpu))
    with pretended() as counts:
        run_step(config, "device", counts, plant(read_value))
        assert unallowed(counts)


@pytest.mark.parametrize("plant", [in_the_network, in_the_prediction])
def test_a_fault_planted_in_validation_is_caught(plant: Any, phantoms: dict[int, Any]) -> None:
    with pretended(), pytest.raises(Mismatch):
        validate("supervised", phantoms, plant(beside_the_cpu))
    with pretended() as counts:
        validate("supervised", phantoms, plant(read_value))
        assert unallowed(counts) > {("event", "sending.py:wait")}


def test_a_planted_mismatch_is_caught() -> None:
    with pretended():
        there = torch.ones(3, device=DEVICE)
        with pytest.raises(Mismatch):
            _ = there + torch.ones(3)
        with pytest.raises(Mismatch):
            torch.cat([there, torch.ones(3)])
        with pytest.raises(Mismatch):
            torch.stack([there.sum(), torch.tensor(1.0)])
        _ = there + torch.tensor(1.0)  # a scalar of the CPU may stand beside most things


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
        lambda x: torch.zeros(3).to(DEVICE),
        lambda x: torch.tensor([1.0], device=DEVICE),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: x.copy_(torch.zeros(3)),
    ],
)
def test_a_planted_wait_is_counted(read: Any) -> None:
    with pretended() as counts:
        there = torch.ones(3, device=DEVICE)
        _ = there * 2 + there
        assert not counts.waits
        read(there)
        assert counts.waits.total() >= 1
