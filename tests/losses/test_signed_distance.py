"""Signed distances against a search over all pixels, and the regression where they are unknown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from contrastseg.losses.signed_distance import distance_regression_loss, signed_distances


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
