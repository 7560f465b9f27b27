"""The class memory and the distance from it: the released functions' values, a slow version, limits, gradients."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.losses.class_memory import ClassMemory, memory_distance_loss
from tests.losses.test_reference_values import close, waves


def slow(
    features: Tensor, classes: Tensor, weights: Tensor, memory: Tensor, held: Tensor, memory_weights: Tensor
) -> tuple[Tensor, int]:
    """The sum over the classes of the mean over all pairs, and the number of classes with pairs."""
    total, compared = torch.zeros(()), 0
    for c, count in enumerate(held.tolist()):
        rows = [i for i, own in enumerate(classes.tolist()) if own == c]
        if len(rows) < 2 or count < 2:
            continue
        compared += 1
        w = weights[rows] * len(rows) / weights[rows].sum()
        v = memory_weights[c, :count] * count / memory_weights[c, :count].sum()
        for i, row in enumerate(rows):
            for j in range(count):
                distance = 1 - F.cosine_similarity(features[row], memory[c, j], dim=0)
                total = total + w[i] * v[j] * distance / (len(rows) * count)
    return total, compared


def made_up() -> tuple[Tensor, ...]:
    features = waves(40, 5, frequency=1.7).float()
    classes = (waves(40, frequency=0.9) * 2 + 2).long().clamp(max=2)
    memory = torch.zeros(3, 6, 5)
    memory[1], memory[2, :4] = waves(6, 5, frequency=1.1).float(), waves(4, 5, frequency=2.3).float()
    selectors = [waves(5, frequency=0.3 + c).float() for c in range(3)]
    own = torch.stack([(features @ selector).sigmoid() for selector in selectors])
    stored = [waves(5, frequency=0.7 + c).float() for c in range(3)]
    stored_weights = torch.stack(
        [(F.normalize(each, dim=1) @ selector).sigmoid() for each, selector in zip(memory, stored, strict=True)]
    )
    weights = own.gather(0, classes[None])[0]
    return features, classes, weights, memory, torch.tensor([0, 6, 4]), stored_weights


# ycwu1997/SS-Net c0a8bf6, code/utils/contrastive_losses.py, contrastive_class_to_class_learned_memory with linear
# selectors and an empty memory of the background. It divides each weight of the memory by itself.
def test_the_released_value() -> None:
    arguments = made_up()
    close(memory_distance_loss(*arguments[:5]), 0.6810670731711735, 1e-5)
    assert float(memory_distance_loss(*arguments)) != pytest.approx(0.6810670731711735, rel=1e-2)


@pytest.mark.parametrize("divisor", ["classes", "compared"])
def test_is_the_mean_over_all_pairs(divisor: Literal["classes", "compared"]) -> None:
    arguments = made_up()
    total, compared = slow(*arguments)
    assert compared == 2
    expected = total / (3 if divisor == "classes" else compared)
    torch.testing.assert_close(memory_distance_loss(*arguments, divisor), expected)


def test_gradients_are_those_of_the_pairs() -> None:
    ours, theirs = made_up(), made_up()
    for arguments in (ours, theirs):
        for index in (0, 2, 5):
            arguments[index].requires_grad_()
    memory_distance_loss(*ours).backward()
    (slow(*theirs)[0] / 3).backward()
    for index in (0, 2, 5):
        mine, other = ours[index].grad, theirs[index].grad
        assert other is not None
        assert float(other.abs().sum()) > 0
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_classes_with_too_few_add_nothing_and_give_no_nan() -> None:
    features, _, weights, memory, held, stored = made_up()
    features.requires_grad_()
    lonely = torch.full((40,), 255)
    lonely[3] = 1
    loss = memory_distance_loss(features, lonely, weights, memory, held, stored, "compared")
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert features.grad.abs().sum() == 0
    everybody = torch.ones(40, dtype=torch.int64)
    none_held = memory_distance_loss(features, everybody, weights, memory, torch.tensor([0, 1, 4]), stored)
    assert none_held.item() == 0


def scored() -> tuple[Tensor, Tensor, Tensor]:
    """Vectors, classes and scores; the last vector is of no class."""
    vectors = waves(30, 5, frequency=1.3).float()
    classes = ((waves(30, frequency=0.8) + 1).long() + 1).clamp(max=2)
    selectors = torch.stack([waves(5, frequency=0.3 + c).float() for c in range(3)])
    return vectors, classes, (vectors * selectors[classes]).sum(1).sigmoid()


# The same, code/utils/feature_memory.py, FeatureMemory.add_features_from_sample_learned with the same selectors.
def test_the_memory_keeps_what_the_released_one_keeps() -> None:
    memory = ClassMemory(3, 4, 5)
    memory.renew(*scored())
    assert memory.held.tolist() == [0, 4, 4]
    close(memory.vectors[1].sum(), -0.22300310140817836, 1e-5)
    close(memory.vectors[2].sum(), 0.45711936260546204, 1e-5)
    assert memory.vectors[0].abs().sum() == 0


def test_the_highest_are_kept_where_asked() -> None:
    vectors, classes, scores = scored()
    memory = ClassMemory(3, 4, 5)
    memory.renew(vectors, classes, scores, kept="highest")
    own = [i for i in range(30) if classes[i] == 1]
    best = sorted(own, key=lambda i: -float(scores[i]))[:4]
    torch.testing.assert_close(memory.vectors[1], vectors[best])


@pytest.mark.parametrize(("absent", "held"), [("keep", [0, 3, 4]), ("forget", [0, 3, 0])])
def test_a_class_that_is_absent_keeps_its_memory_or_loses_it(
    absent: Literal["keep", "forget"], held: list[int]
) -> None:
    vectors, classes, scores = scored()
    memory = ClassMemory(3, 4, 5)
    memory.renew(vectors, classes, scores, absent=absent)
    before = memory.vectors[2].clone()
    few = torch.full((30,), 255)
    few[[1, 5, 7]] = 1
    memory.renew(vectors, few, scores, absent=absent)
    assert memory.held.tolist() == held
    torch.testing.assert_close(memory.vectors[2], before)
    chosen = sorted([1, 5, 7], key=lambda i: float(scores[i]))
    torch.testing.assert_close(memory.vectors[1, :3], vectors[chosen])


def test_fewer_vectors_than_places() -> None:
    memory = ClassMemory(2, 8, 3)
    memory.renew(torch.eye(3), torch.tensor([1, 0, 1]), torch.tensor([0.2, 0.3, 0.1]))
    assert memory.held.tolist() == [1, 2]
    torch.testing.assert_close(memory.vectors[1, :2], torch.eye(3)[[2, 0]])
