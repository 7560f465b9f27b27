"""Contrast over rows and over columns against slow loops in float64, its limits, its invariances, its memory."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from contrastseg.losses.voxel_contrast import batch_contrast_loss, feature_contrast_loss
from tests.losses.memory import LargestTensor

LOSSES = [batch_contrast_loss, feature_contrast_loss]


def pair(n: int = 40, d: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(n, d, generator=generator)
    return student, student + 0.5 * torch.randn(n, d, generator=generator)


def slow_matching(rows: list[Tensor], columns: list[Tensor], temperature: float) -> float:
    """−mean_i log softmax_j(u_i · v_j / τ) at j = i, product by product."""
    total = 0.0
    for i, row in enumerate(rows):
        products = [float(sum(a * b for a, b in zip(row, column, strict=True))) / temperature for column in columns]
        total += math.log(sum(math.exp(p) for p in products)) - products[i]
    return total / len(rows)


def unit(vector: Tensor) -> Tensor:
    return vector.double() / math.sqrt(sum(float(x) ** 2 for x in vector.double()))


@pytest.mark.parametrize("temperature", [0.07, 0.5])
@pytest.mark.parametrize("queued", [0, 7])
def test_batch_term_equals_a_loop(temperature: float, queued: int) -> None:
    student, teacher = pair()
    negatives = pair(7, seed=1)[0] if queued else None
    columns = [unit(v) for v in teacher] + ([] if negatives is None else [unit(v) for v in negatives])
    slow = slow_matching([unit(v) for v in student], columns, temperature)
    assert float(batch_contrast_loss(student, teacher, temperature, negatives)) == pytest.approx(
        slow, rel=1e-5, abs=1e-6
    )


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_feature_term_equals_a_loop(temperature: float) -> None:
    student, teacher = pair()

    def columns(matrix: Tensor) -> list[Tensor]:
        made = []
        for column in matrix.double().T:
            made.append(unit(column - sum(float(x) for x in column) / len(column)))
        return made

    slow = slow_matching(columns(student), columns(teacher), temperature)
    assert float(feature_contrast_loss(student, teacher, temperature)) == pytest.approx(slow, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_order_of_samples_and_of_features_does_not_matter(loss: Any) -> None:
    student, teacher = pair()
    once = loss(student, teacher)
    samples, features = torch.randperm(40), torch.randperm(12)
    torch.testing.assert_close(loss(student[samples], teacher[samples]), once)
    torch.testing.assert_close(loss(student[:, features], teacher[:, features]), once)


def test_each_term_is_free_of_the_scale_it_normalises() -> None:
    student, teacher = pair()
    scaled = student * (torch.rand(40, 1) + 0.5)
    torch.testing.assert_close(batch_contrast_loss(scaled, teacher), batch_contrast_loss(student, teacher))
    moved = student * (torch.rand(12) + 0.5) + torch.randn(12)
    torch.testing.assert_close(feature_contrast_loss(moved, teacher), feature_contrast_loss(student, teacher))


@pytest.mark.parametrize("loss", LOSSES)
def test_right_counterparts_cost_less_than_collapse_and_collapse_less_than_wrong_ones(loss: Any) -> None:
    basis = torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).double())[0]
    right = float(loss(basis, basis))
    collapsed = float(loss(torch.ones(64, 64), torch.ones(64, 64)))
    order = torch.arange(64).roll(1)
    wrong = float(loss(basis, basis[order] if loss is batch_contrast_loss else basis[:, order]))
    assert right < collapsed < wrong
    assert collapsed == pytest.approx(math.log(64), abs=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("content", ["random", "equal", "zero"])
def test_finite_with_gradients_at_a_small_temperature(loss: Any, content: str) -> None:
    student, teacher = pair()
    if content != "random":
        student = torch.full_like(student, float(content == "equal"))
    student = student.requires_grad_()
    value = loss(student, teacher, 0.005)
    value.backward()
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    assert float(student.grad.abs().max()) < 1e7


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_right_and_reaches_the_student_alone(loss: Any) -> None:
    student, teacher = pair(33, 4)
    student, teacher = student.double().requires_grad_(), teacher.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, teacher), (student,))
    loss(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("loss", LOSSES)
def test_descent_lowers_it(loss: Any) -> None:
    teacher = pair()[1]
    student = torch.randn(40, 12, generator=torch.Generator().manual_seed(2)).requires_grad_()
    first = float(loss(student, teacher).detach())
    for _ in range(50):
        (gradient,) = torch.autograd.grad(loss(student, teacher), student)
        with torch.no_grad():
            student -= 5 * gradient
    assert float(loss(student, teacher).detach()) < 0.8 * first


def test_too_few_samples_and_unlike_shapes_are_refused() -> None:
    student, teacher = pair(31)
    assert torch.isfinite(batch_contrast_loss(student, teacher))
    with pytest.raises(ValueError, match="at least 32 samples, got 31"):
        feature_contrast_loss(student, teacher)
    for loss in LOSSES:
        with pytest.raises(ValueError, match="one shape"):
            loss(pair(40)[0], pair(41)[0])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n", "d"), [(256, 16), (64, 128)])
def test_memory_is_that_of_the_pairs(loss: Any, n: int, d: int) -> None:
    student, teacher = pair(n, d)
    student = student.requires_grad_()
    with LargestTensor() as counted:
        loss(student, teacher).backward()
    pairs = n * n if loss is batch_contrast_loss else d * d
    assert counted.elements <= max(pairs, n * d)


def test_computed_precisely_under_autocast() -> None:
    student, teacher = pair()
    for loss in LOSSES:
        expected = loss(student, teacher, 0.05)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(loss(student, teacher, 0.05), expected)
