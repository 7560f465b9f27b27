"""Losses between decoders: released values, the formulas written out, their limits and their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from contrastseg.losses.consistency import entropy_loss
from contrastseg.losses.decoder_consistency import (
    cross_consistency_loss,
    mutual_consistency_loss,
    pyramid_consistency_loss,
    sharpened,
)


def waves(*shape: int, frequency: float) -> Tensor:
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(frequency * count).reshape(shape)


def outputs(count: int, classes: int, shape: tuple[int, ...]) -> list[Tensor]:
    """Logits of several decoders."""
    return [(3 * waves(4, classes, *shape, frequency=0.61 + 0.1 * i)).requires_grad_() for i in range(count)]


def value(loss: Tensor) -> float:
    return float(loss.detach())


# ycwu1997/MC-Net fee453c, code/train_mcnet_2d.py:30-33,116-133 and code/utils/losses.py `mse_loss`, in float64: the sum
# over pairs, and the sums of the absolute gradients with respect to each decoder's logits.
@pytest.mark.parametrize(
    ("count", "classes", "shape", "released", "gradients"),
    [
        (3, 4, (6, 7), 1.542852631524429, [0.546526755921827, 0.3350024834901235, 0.44719406787979177]),
        (2, 4, (6, 7), 0.4845265641796943, [0.32007961142308994, 0.18701788026136862]),
        (3, 2, (4, 5, 6), 2.6025099685836204, [0.35113915923781414, 0.2460116195451192, 0.32336880965748227]),
    ],
)
def test_mutual_consistency_is_the_released(
    count: int, classes: int, shape: tuple[int, ...], released: float, gradients: list[float]
) -> None:
    given = outputs(count, classes, shape)
    loss = mutual_consistency_loss(given)
    loss.backward()
    assert value(loss) == pytest.approx(released, rel=1e-5)
    assert [float(each.grad.abs().sum()) for each in given if each.grad is not None] == pytest.approx(
        gradients, rel=1e-4
    )


@pytest.mark.parametrize("against", ["binary", "classes"])
def test_mutual_consistency_written_out(against: str) -> None:
    one, two = (torch.softmax(each.detach(), 1) for each in outputs(2, 3, (5, 4)))
    total = 0.0
    for first, second in ((one, two), (two, one)):
        for place in range(first.numel()):
            sample, k, pixel = place // 60, place // 20 % 3, place % 20
            p = [float(second[sample, c].flatten()[pixel]) for c in range(3)]
            rivals = p[k] ** 10 + (1 - p[k]) ** 10 if against == "binary" else sum(each**10 for each in p)
            total += (float(first[sample, k].flatten()[pixel]) - p[k] ** 10 / rivals) ** 2 / first.numel()
    ours = mutual_consistency_loss(outputs(2, 3, (5, 4)), 0.1, against)  # type: ignore[arg-type]
    assert value(ours) == pytest.approx(total, rel=1e-5)


def test_sharpening_keeps_the_sum_of_all_classes_and_two_classes_are_alike() -> None:
    two, four = (torch.softmax(outputs(1, classes, (6, 7))[0].detach(), 1) for classes in (2, 4))
    torch.testing.assert_close(sharpened(two, 0.1), sharpened(two, 0.1, "classes"))
    torch.testing.assert_close(sharpened(four, 1.0, "classes"), four.float())
    torch.testing.assert_close(sharpened(four, 0.1, "classes").sum(1), torch.ones(4, 6, 7))
    assert float((sharpened(four, 0.1).sum(1) - 1).abs().max()) > 0.1


def test_certain_decoders_that_agree_and_one_decoder_cost_nothing() -> None:
    certain = 200 * torch.nn.functional.one_hot(torch.arange(4)).double().reshape(4, 4, 1)
    certain.requires_grad_()
    loss = mutual_consistency_loss([certain] * 3)
    loss.backward()
    assert value(loss) == 0
    assert certain.grad is not None
    assert not certain.grad.any()
    assert value(mutual_consistency_loss(outputs(1, 4, (6, 7)))) == 0


# HiLab-git/SSL4MIS 06df604, code/utils/losses.py `entropy_loss` of the softmax, in float64.
@pytest.mark.parametrize(
    ("classes", "shape", "released"), [(4, (6, 7), 0.723569060825153), (2, (4, 5, 6), 0.31148270277754037)]
)
def test_entropy_is_the_released(classes: int, shape: tuple[int, ...], released: float) -> None:
    assert value(entropy_loss(outputs(1, classes, shape)[0])) == pytest.approx(released, rel=1e-5)


def test_entropy_is_0_where_certain_with_a_finite_gradient_and_1_where_uniform() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]]).reshape(2, 3, 1).requires_grad_()
    assert value(entropy_loss(logits[:1])) == 0
    assert value(entropy_loss(logits[1:])) == pytest.approx(1)
    entropy_loss(logits).backward()
    assert logits.grad is not None
    assert not logits.grad.isnan().any()


# HiLab-git/SSL4MIS 06df604, code/train_uncertainty_rectified_pyramid_consistency_2D.py:135-203 (four scales) and
# code/train_cross_consistency_training_2D.py:135-169 (the first decoder is the main one), in float64, of the last two
# images: the loss and the sums of the absolute gradients with respect to each output.
@pytest.mark.parametrize(
    ("name", "classes", "shape", "released", "gradients"),
    [
        (
            "urpc",
            4,
            (6, 7),
            0.8538166289238106,
            [0.218675706025643, 0.25113563642886244, 0.25243749894727185, 0.21787992094407055],
        ),
        (
            "urpc",
            2,
            (4, 5, 6),
            0.9632962526218022,
            [0.18715649970487427, 0.16628381352669427, 0.16059980354874726, 0.1856795360394714],
        ),
        (
            "cct",
            4,
            (6, 7),
            0.13955449157279606,
            [0.09720852804423369, 0.03029427183651748, 0.03268779335683719, 0.02949765424433816],
        ),
        (
            "cct",
            2,
            (4, 5, 6),
            0.3736011438532077,
            [0.09133810600766684, 0.033299535830708216, 0.02810067959714168, 0.035582725287942214],
        ),
    ],
)
def test_scales_and_decoders_agree_as_released(
    name: str, classes: int, shape: tuple[int, ...], released: float, gradients: list[float]
) -> None:
    given = outputs(4, classes, shape)
    unlabelled = [each[2:] for each in given]
    if name == "urpc":
        loss = pyramid_consistency_loss(unlabelled)
    else:
        loss = cross_consistency_loss(unlabelled[0], unlabelled[1:])
    loss.backward()
    assert value(loss) == pytest.approx(released, rel=1e-5)
    found = [float(each.grad.abs().sum()) for each in given if each.grad is not None]
    assert found == pytest.approx(gradients, rel=1e-4)


def test_scales_that_are_certain_of_other_classes_have_a_finite_loss_and_gradient() -> None:
    sure = [(500 * torch.nn.functional.one_hot(torch.tensor([k]), 3)).double().reshape(1, 3, 1) for k in (0, 1)]
    for each in sure:
        each.requires_grad_()
    for loss in (pyramid_consistency_loss(sure), cross_consistency_loss(sure[0], sure[1:])):
        assert 0 < value(loss) < math.inf
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, sure))
    assert value(pyramid_consistency_loss([sure[0]] * 4)) == pytest.approx(0, abs=1e-6)
    assert value(cross_consistency_loss(sure[0], [sure[0]] * 3)) == 0
