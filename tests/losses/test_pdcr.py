"""PDCR against a slow loop in float64, its limits, and its gradient."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from contrastseg.losses.pdcr import (
    affinity_regression,
    class_shares,
    divergence,
    dragsaw_loss,
    gather_features,
    grid_positions,
    guarded,
    patch_centres,
    patch_dice,
)
from tests.learning import falls


def slow_shares(label: np.ndarray, centres: np.ndarray, size: tuple[int, ...], num_classes: int) -> np.ndarray:
    """One position, one pixel at a time."""
    shares = np.zeros((len(label), len(centres), num_classes - 1))
    for b, image in enumerate(label):
        for n, centre in enumerate(centres):
            present = 0
            counts = np.zeros(num_classes)
            for offset in np.ndindex(size):
                where = tuple(int(c + o - s // 2) for c, o, s in zip(centre, offset, size, strict=True))
                if all(0 <= w < extent for w, extent in zip(where, image.shape, strict=True)) and image[where] != 255:
                    present += 1
                    counts[image[where]] += 1
            if present:
                shares[b, n] = counts[1:] / present
    return shares


def slow_loss(rows: torch.Tensor, columns: torch.Tensor, d: torch.Tensor, temperature: float) -> float:
    """The formula, pair by pair, in float64."""
    rows, columns, d = rows.double(), columns.double(), d.double()
    s = torch.tensor(
        [
            [[float(F.cosine_similarity(u, v, dim=0)) / temperature for v in cs] for u in rs]
            for rs, cs in zip(rows, columns, strict=True)
        ],
        dtype=torch.float64,
    )
    s = s - s.max()
    total, count = 0.0, 0
    for size in d:
        for b in range(len(rows)):
            for i in range(rows.shape[1]):
                log_sum = math.log(sum(math.exp(size[b, i, k] * s[b, i, k]) for k in range(columns.shape[1])))
                for j in range(columns.shape[1]):
                    total += -(1 - float(size[b, i, j])) * float(s[b, i, j]) + log_sum
                    count += 1
    return total / count


@pytest.mark.parametrize(
    ("shape", "sizes"), [((13, 17), [(5, 5), (9, 9), (4, 6)]), ((5, 9, 8), [(3, 5, 5), (7, 7, 7)])]
)
def test_shares_equal_a_loop_over_pixels(shape: tuple[int, ...], sizes: list[tuple[int, ...]]) -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 4, (2, *shape), generator=generator)
    label[label == 3] = 255
    label[0, 0] = 3
    centres = torch.cartesian_prod(*[torch.tensor([0, n // 2, n - 1]) for n in shape])
    shares = class_shares(label, centres, sizes, num_classes=4)
    for index, size in enumerate(sizes):
        np.testing.assert_allclose(shares[index], slow_shares(label.numpy(), centres.numpy(), size, 4), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 1.0])
def test_loss_equals_a_loop_over_pairs(temperature: float) -> None:
    generator = torch.Generator().manual_seed(1)
    rows, columns = torch.randn(2, 6, 5, generator=generator), torch.randn(2, 7, 5, generator=generator)
    phi, psi = torch.rand(3, 2, 6, 2, generator=generator) / 2, torch.rand(3, 2, 7, 2, generator=generator) / 2
    d = divergence(phi, psi)
    assert d.shape == (3, 2, 6, 7)
    ours = float(dragsaw_loss(rows, columns, d, temperature))
    assert ours == pytest.approx(slow_loss(rows, columns, d, temperature), rel=1e-5)


def test_the_sum_is_over_images_and_pairs_and_the_mean_over_patch_sizes() -> None:
    generator = torch.Generator().manual_seed(1)
    rows, columns = torch.randn(2, 6, 5, generator=generator), torch.randn(2, 7, 5, generator=generator)
    d = torch.rand(3, 2, 6, 7, generator=generator)
    for loss in (dragsaw_loss, affinity_regression):
        for divergences in (d, d[0]):
            whole = loss(rows, columns, divergences, reduction="sum")
            torch.testing.assert_close(whole, 2 * 6 * 7 * loss(rows, columns, divergences))


@pytest.mark.parametrize(("rule", "factor"), [("divide", 0.001), ("drop", 0.0)])
def test_a_guarded_loss_is_made_small_above_the_limit_alone(rule: Literal["divide", "drop"], factor: float) -> None:
    for value, expected in ((1000.0, 1.0), (1000.1, factor)):
        loss = torch.tensor(value, requires_grad=True)
        kept = guarded(loss, 0.1, rule)
        kept.backward()
        assert kept.item() == pytest.approx(value * expected)
        assert loss.grad is not None
        assert loss.grad.item() == pytest.approx(expected)


@pytest.mark.parametrize("power", [1, 2])
def test_the_regression_equals_a_loop_over_pairs(power: int) -> None:
    generator = torch.Generator().manual_seed(4)
    rows, columns = torch.randn(2, 3, 5, generator=generator), torch.randn(2, 4, 5, generator=generator)
    d = torch.rand(2, 2, 3, 4, generator=generator)
    expected = 0.0
    for s, b, i, j in np.ndindex(*d.shape):
        cosine = float(F.cosine_similarity(rows[b, i], columns[b, j], dim=0))
        expected += abs(1 / (1 + math.exp(-cosine / 0.5)) - (1 - float(d[s, b, i, j]))) ** power / d.numel()
    assert float(affinity_regression(rows, columns, d, 0.5, power)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("shape", "sizes"), [((9, 8), [(3, 3), (5, 5)]), ((5, 6, 7), [(3, 3, 3)])])
def test_dice_of_patches_equals_a_loop(shape: tuple[int, ...], sizes: list[tuple[int, ...]]) -> None:
    generator = torch.Generator().manual_seed(5)
    label = torch.randint(0, 3, (2, *shape), generator=generator)
    label[0, 0] = 255
    label[1] = 0
    label[1, 3:] = 1
    centres = torch.cartesian_prod(*[torch.tensor([0, n - 2]) for n in shape])
    dice = patch_dice(label, centres, sizes, num_classes=3)
    assert dice.shape == (len(sizes), 2, len(centres), len(centres))
    for s, b, i, j in np.ndindex(*dice.shape):
        shared, total = 0, 0
        for offset in np.ndindex(sizes[s]):
            pair = []
            for centre in (centres[i], centres[j]):
                where = tuple(int(c) + o - n // 2 for c, o, n in zip(centre, offset, sizes[s], strict=True))
                inside = all(0 <= w < extent for w, extent in zip(where, shape, strict=True))
                pair.append(int(label[b][where]) if inside and int(label[b][where]) != 255 else 0)
            shared += pair[0] == pair[1] > 0
            total += (pair[0] > 0) + (pair[1] > 0)
        assert float(dice[s, b, i, j]) == pytest.approx(2 * shared / total if total else 1.0, abs=1e-6)


def test_separated_classes_cost_less_than_collapsed_and_those_less_than_mixed() -> None:
    phi = torch.zeros(1, 16, 1)
    phi[:, 8:] = 1
    d = divergence(phi, phi)
    u = torch.tensor([1.0, 0.0, 0.0])
    values = {
        "separated": torch.stack([u] * 8 + [-u] * 8),
        "collapsed": torch.stack([u] * 16),
        "mixed": torch.stack([u, -u] * 8),
    }
    losses = {name: float(dragsaw_loss(v[None], v[None], d, 1.0)) for name, v in values.items()}
    assert losses == pytest.approx({"separated": 2.206, "collapsed": 2.773, "mixed": 3.029}, abs=1e-3)


def test_the_released_sign_prefers_the_mixed_classes() -> None:
    phi = torch.zeros(1, 16, 1)
    phi[:, 8:] = 1
    d = 1 - divergence(phi, phi)
    u = torch.tensor([1.0, 0.0, 0.0])
    separated, mixed = torch.stack([u] * 8 + [-u] * 8)[None], torch.stack([u, -u] * 8)[None]
    assert float(dragsaw_loss(mixed, mixed, d, 1.0)) < float(dragsaw_loss(separated, separated, d, 1.0))


def test_order_of_points_and_length_of_features_do_not_matter() -> None:
    generator = torch.Generator().manual_seed(2)
    v, phi = torch.randn(2, 12, 4, generator=generator), torch.rand(2, 12, 3, generator=generator)
    order = torch.randperm(12, generator=generator)
    scales = torch.rand(2, 12, 1, generator=generator) + 0.5
    once = dragsaw_loss(v, v, divergence(phi, phi))
    w, psi = (v * scales)[:, order], phi[:, order]
    torch.testing.assert_close(dragsaw_loss(w, w, divergence(psi, psi)), once)


@pytest.mark.parametrize("content", ["no foreground", "all foreground", "one class", "all ignored"])
def test_finite_with_its_gradient_at_a_small_temperature(content: str) -> None:
    label = torch.zeros(2, 16, 16, dtype=torch.int64)
    if content == "all foreground":
        label[:] = 1
        label[:, 8:] = 2
    elif content == "one class":
        label[:, 4:12, 4:12] = 1
    elif content == "all ignored":
        label[:] = 255
    features = torch.randn(2, 8, 4, 4, requires_grad=True)
    positions = grid_positions((4, 4), 16)
    shares = class_shares(label, patch_centres(positions, (4, 4)), [(5, 5), (9, 9)], 3)
    picked = gather_features(features, positions)
    loss = dragsaw_loss(picked, picked, divergence(shares, shares), temperature=0.005)
    loss.backward()
    assert torch.isfinite(loss)
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


@pytest.mark.learns
def test_gradient_descent_separates_the_classes() -> None:
    phi = torch.zeros(1, 8, 1)
    phi[:, 4:] = 1
    d = divergence(phi, phi)
    v = torch.randn(1, 8, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    optimiser = torch.optim.SGD([v], lr=5.0)
    losses = []
    for _ in range(200):
        loss = dragsaw_loss(v, v, d, 0.5)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    unit = F.normalize(v[0], dim=-1)
    similarity = unit @ unit.T
    assert falls(losses)
    assert float(similarity[:4, :4].min()) > 0.9
    assert float(similarity[:4, 4:].max()) < 0


@pytest.mark.parametrize(
    ("shape", "points", "expected"),
    [((24, 24), 64, 64), ((24, 24), 32, 32), ((4, 16, 16), 64, 64), ((1, 3, 3), 32, 4), ((2, 2), 64, 4)],
)
def test_grid_is_inside_regular_and_no_larger_than_asked(shape: tuple[int, ...], points: int, expected: int) -> None:
    positions = grid_positions(shape, points)
    assert positions.shape == (expected, len(shape))
    assert len(positions.unique(dim=0)) == expected
    assert (positions >= 0).all()
    assert (positions < torch.tensor(shape)).all()
    for axis in range(len(shape)):
        steps = positions[:, axis].unique().diff()
        assert steps.numel() == 0 or int(steps.max() - steps.min()) <= 1


def test_gathered_features_are_the_maps_values() -> None:
    features = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).float()
    positions = torch.tensor([[0, 0], [3, 4], [1, 2]])
    picked = gather_features(features, positions)
    for n, (y, x) in enumerate(positions.tolist()):
        assert torch.equal(picked[:, n], features[:, :, y, x])
