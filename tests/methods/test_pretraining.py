"""SimCLR, MoCo, BYOL and SimSiam: what reaches the encoder, what never gets a gradient, what moves after a step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from contrastseg.errors import SuiteError, TrainingError
from contrastseg.methods._pretraining import pooled
from tests.learning import falls
from tests.methods.pretraining_cases import make, step_once, view, views

METHODS = ["simclr", "moco", "byol", "simsiam"]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", METHODS)
def test_the_loss_reaches_encoder_and_heads_alone(name: str, dims: int) -> None:
    method = make(name, dims=dims)
    loss = torch.stack(list(method.training_step(views(dims), 0).values())).sum()
    loss.backward()
    assert torch.isfinite(loss)
    with_gradient = {key for key, value in method.modules.named_parameters() if value.grad is not None}
    trained = {key.split(".")[0] for key in with_gradient}
    assert trained == {"network", *({"head", "predictor"} & set(method.modules))}
    assert {key.split(".")[1] for key in with_gradient if key.startswith("network.")} == {"encoder"}
    first = method.modules["network"].encoder[0][0].weight
    assert float(first.grad.abs().sum()) > 0
    frozen = [key for key in method.modules if key.startswith(("key_", "target_"))]
    assert not any(p.requires_grad for key in frozen for p in method.modules[key].parameters())


@pytest.mark.learns
@pytest.mark.parametrize("name", METHODS)
def test_gradient_descent_lowers_the_loss_of_a_fixed_batch(name: str) -> None:
    method, batch = make(name), views()
    assert falls([step_once(method, batch, step) for step in range(60)])


@pytest.mark.parametrize("name", METHODS)
def test_the_train_stage_is_supervised_with_nothing_added(name: str) -> None:
    ours, theirs = make(name, "train"), make("supervised", "train")
    assert list(ours.modules) == ["network"]
    batch = {"labelled": view(label=True)}
    assert torch.equal(ours.training_step(batch, 0)["segmentation"], theirs.training_step(batch, 0)["segmentation"])
    ours.after_step(0)


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_pooling_makes_one_vector_of_the_deepest_map(pooling: str) -> None:
    method = make("simclr", pooling=pooling)
    images = view().image
    deepest = method.modules["network"].features(images)["encoder4"]
    expected = deepest.amax((2, 3)) if pooling == "max" else deepest.mean((2, 3))
    torch.testing.assert_close(method.vectors(images), expected)
    with pytest.raises(SuiteError, match="max, mean"):
        pooled(deepest, "median")


def test_simclr_needs_an_image_to_contrast_with() -> None:
    with pytest.raises(TrainingError, match="unlabelled_batch_size"):
        make("simclr").training_step(views(batch=1), 0)


def test_moco_contrasts_with_every_other_image_it_has_seen_and_never_with_itself() -> None:
    method, batch = make("moco", queue_size=64), views()
    queue = method.modules["queue"]
    assert not queue.valid(batch["first"].unit).any()
    loss = method.training_step(batch, 0)["info_nce"]
    valid = queue.valid(batch["first"].unit)
    assert valid.sum(1).tolist() == [3, 3, 3, 3]
    with torch.no_grad():
        keys = F.normalize(method.modules["key_head"](method.vectors(batch["second"].image, "key_network")), dim=1)
        queries = F.normalize(method.modules["head"](method.vectors(batch["first"].image)), dim=1)
    torch.testing.assert_close(queue.keys[:4], keys)
    torch.testing.assert_close(loss.detach(), F.cross_entropy(queries @ keys.T / 0.2, torch.arange(4)))
    for step in range(40):
        step_once(method, batch, step)
    assert queue.valid(torch.tensor([99])).sum() == 4


def test_moco_with_the_published_queue_starts_random_and_takes_keys_after_the_step() -> None:
    method, batch = make("moco", variant="published_queue", queue_size=16), views()
    queue = method.modules["queue"]
    before = queue.keys.clone()
    method.training_step(batch, 0)
    assert torch.equal(queue.keys, before)
    assert queue.valid(batch["first"].unit).all()
    method.after_step(0)
    assert not torch.equal(queue.keys[:4], before[:4])
    assert torch.equal(queue.keys[4:], before[4:])


def test_moco_moves_its_key_network_by_its_momentum() -> None:
    method = make("moco", momentum=0.9)
    network, copy = method.modules["network"], method.modules["key_network"]
    before = copy.encoder[0][0].weight.clone()
    assert torch.equal(before, network.encoder[0][0].weight)
    with torch.no_grad():
        network.encoder[0][0].weight.add_(1)
    method.training_step(views(), 0)
    method.after_step(0)
    torch.testing.assert_close(copy.encoder[0][0].weight, before + 0.1)


@pytest.mark.parametrize("step", [0, 50, 99])
def test_byol_moves_its_target_ever_slower(step: int) -> None:
    method = make("byol")
    network, target = method.modules["network"], method.modules["target_network"]
    before = target.encoder[0][0].weight.clone()
    with torch.no_grad():
        network.encoder[0][0].weight.add_(1)
    method.after_step(step)
    moved = 0.01 * (math.cos(math.pi * step / 100) + 1) / 2
    torch.testing.assert_close(target.encoder[0][0].weight - before, torch.full_like(before, moved), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_losses_without_negatives_lie_in_their_range_and_ignore_which_view_is_first(name: str) -> None:
    batch = views()
    swapped = {"first": batch["second"], "second": batch["first"]}
    one, other = (sum(make(name).training_step(each, 0).values()) for each in (batch, swapped))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    low, high = (0, 8) if name == "byol" else (-1, 1)
    assert low <= float(one.detach()) <= high


def test_simsiam_stops_the_gradient_at_the_projection() -> None:
    method, batch = make("simsiam"), views()
    seen: list[Any] = []
    method.modules["head"].register_forward_hook(lambda module, inputs, output: seen.append(output))
    loss = method.training_step(batch, 0)["negative_cosine"]
    (projections,) = seen
    predictions = method.modules["predictor"](projections).chunk(2)
    first, second = projections.detach().chunk(2)
    expected = -0.5 * (
        F.cosine_similarity(predictions[0], second).mean() + F.cosine_similarity(predictions[1], first).mean()
    )
    torch.testing.assert_close(loss, expected)
    ours, theirs = (torch.autograd.grad(each, projections, retain_graph=True)[0] for each in (loss, expected))
    torch.testing.assert_close(ours, theirs)
