"""Signed distances against a search over all pixels, and the regression where they are unknown."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from contrastseg.losses.signed_distance import distance_regression_loss, dual_task_loss, signed_distances


def slow_map(inside: np.ndarray) -> np.ndarray:
    """Distance of every pixel to the nearest of the other kind, pair by pair, each side over its largest."""
    distances = np.zeros(inside.shape)
    for where in np.ndindex(inside.shape):
        others = np.argwhere(inside != inside[where])
        distances[where] = np.sqrt(((others - np.array(where)) ** 2).sum(1)).min()
    return np.where(inside, -distances / distances[inside].max(), distances / distances[~inside].max())


@pytest.mark.parametrize("shape", [(9, 11), (4, 6, 5)])
def test_equals_a_search_over_all_pixels(shape: tuple[int, ...]) -> None:
    label = torch.zeros(2, *shape, dtype=torch.int64)
    label[0, 1:3, 2:5] = 1
    label[0, 3:, 3:] = 2
    label[1, 2:] = 1
    maps = signed_distances(label, 3)
    assert maps.shape == (2, 2, *shape)
    for sample, index in ((0, 0), (0, 1), (1, 0)):
        np.testing.assert_allclose(maps[sample, index], slow_map((label[sample] == index + 1).numpy()), atol=1e-6)
    assert torch.isnan(maps[1, 1]).all()


def test_unknown_pixels_and_classes_cost_nothing() -> None:
    label = torch.ones(2, 6, 6, dtype=torch.int64)
    label[1, 3:] = 0
    label[1, :, 0] = 255
    maps = signed_distances(label, 2)
    assert torch.isnan(maps[0]).all()
    assert torch.isnan(maps[1, 0, :, 0]).all()
    assert not torch.isnan(maps[1, 0, :, 1:]).any()
    predicted = torch.zeros(2, 1, 6, 6, requires_grad=True)
    loss = distance_regression_loss(predicted, maps)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float((maps[1, 0, :, 1:] ** 2).mean()), rel=1e-6)
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert not predicted.grad[0].any()
    assert not predicted.grad[1, 0, :, 0].any()
    nothing = distance_regression_loss(predicted, torch.full_like(maps, torch.nan))
    assert float(nothing) == 0


def waves(*shape: int, frequency: float) -> torch.Tensor:
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(frequency * count).reshape(shape)


def blobs(shape: tuple[int, ...]) -> torch.Tensor:
    label = torch.zeros(3, *shape, dtype=torch.int64)
    label[0, 1:4, 2:] = 1
    label[0, 5:, :3] = 1
    label[1, 2:, 1:5] = 1
    return label


# HiLab-git/DTC 2525b9c, code/utils/util.py:123-150 `compute_sdf` of these labels (float64), its sum with waves and its
# absolute sum; code/train_la_dtc.py:169-171, the consistency of waves, and the sums of its absolute gradients.
@pytest.mark.parametrize(
    ("shape", "waved", "absolute", "consistency", "gradients"),
    [
        (
            (9, 11),
            -4.921627348091971,
            81.18062728061798,
            0.25124913388540815,
            [135.85410998595256, 0.09018074429928165],
        ),
        (
            (6, 7, 5),
            0.6015856230962857,
            192.12819693885223,
            0.2602932001905666,
            [137.8930085050913, 0.09205648333287286],
        ),
    ],
)
def test_maps_and_consistency_are_the_released(
    shape: tuple[int, ...], waved: float, absolute: float, consistency: float, gradients: list[float]
) -> None:
    maps = signed_distances(blobs(shape), 2, border="inner", absent="zero")[:, 0].double()
    assert float((maps * waves(3, *shape, frequency=0.61)).sum()) == pytest.approx(waved, rel=1e-5)
    assert float(maps.abs().sum()) == pytest.approx(absolute, rel=1e-6)
    assert not maps[2].any(), "the class is absent"
    distances = (2e-3 * waves(3, 1, *shape, frequency=0.71)).requires_grad_()
    logit = (3 * waves(3, 1, *shape, frequency=0.61)).requires_grad_()
    loss = dual_task_loss(torch.cat([torch.zeros_like(logit), logit], dim=1), distances)
    found = [float(gradient.abs().sum()) for gradient in torch.autograd.grad(loss, [distances, logit])]
    assert float(loss.detach()) == pytest.approx(consistency, rel=1e-5)
    assert found == pytest.approx(gradients, rel=1e-4)


def test_the_border_is_between_or_at_the_outermost_pixels_and_a_class_that_fills_all_has_none() -> None:
    label = torch.zeros(1, 7, 7, dtype=torch.int64)
    label[0, 1:6, 1:6] = 1
    between, inner = (signed_distances(label, 2, border=border)[0, 0] for border in ("between", "inner"))  # type: ignore
    outermost = label[0].bool().clone()
    outermost[2:5, 2:5] = False
    assert (between[outermost] < 0).all()
    assert (inner[outermost] == 0).all()
    assert torch.equal(between[~outermost], inner[~outermost])
    assert signed_distances(torch.ones(1, 4, 4, dtype=torch.int64), 2, absent="zero").isnan().all()


def test_many_pixels_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    from contrastseg.losses import signed_distance

    whole = signed_distances(blobs((6, 7, 5)), 2)
    monkeypatch.setattr(signed_distance, "_AT_ONCE", {"cpu": 100})
    assert torch.equal(signed_distances(blobs((6, 7, 5)), 2).nan_to_num(9), whole.nan_to_num(9))


def test_the_dual_task_is_written_out_for_every_class() -> None:
    logits, distances = waves(2, 3, 4, 5, frequency=0.4), 1e-3 * waves(2, 2, 4, 5, frequency=0.9)
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    masks = 1 / (1 + (200 * distances).exp())
    expected = sum(float(((masks[:, k] - p[:, k + 1]) ** 2).mean()) for k in range(2)) / 2
    assert float(dual_task_loss(logits, distances, 200)) == pytest.approx(expected, rel=1e-5)
