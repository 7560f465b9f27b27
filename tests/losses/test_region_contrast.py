"""Region contrast against a slow loop in float64, its sampling, its limits, its gradient, and the memory it takes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.losses.region_contrast import gather_points, region_contrast_loss, sample_region_points
from tests.losses.memory import LargestTensor

pytestmark = pytest.mark.usefixtures("values_read")

POSITIVES: list[Any] = ["one", "all", "average"]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow(first: Tensor, second: Tensor, valid: Tensor, temperature: float, positives: str, negatives: str) -> float:
    """The formula, pair by pair, in float64."""
    a, b = F.normalize(first.double(), dim=-1), F.normalize(second.double(), dim=-1)
    batch, regions, points = first.shape[:3]
    of_regions = []
    for image in range(batch):
        for r in range(regions):
            if not valid[image, r]:
                continue
            losses = []
            for i in range(points):
                others = 0.0
                for other in range(batch):
                    for s in range(regions):
                        same_image = other == image
                        if not valid[other, s] or (same_image and s == r) or (not same_image and negatives == "image"):
                            continue
                        for j in range(points):
                            others += math.exp(float(a[image, r, i] @ b[other, s, j]) / temperature)
                own = [math.exp(float(a[image, r, i] @ b[image, r, j]) / temperature) for j in range(points)]
                if positives == "one":
                    losses.append(-math.log(own[i] / (own[i] + others)))
                elif positives == "all":
                    losses.append(-math.log(sum(own) / (sum(own) + others)))
                else:
                    losses.append(sum(-math.log(p / (sum(own) + others)) for p in own) / points)
            of_regions.append(sum(losses) / points)
    return sum(of_regions) / len(of_regions)


@pytest.mark.parametrize("temperature", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("negatives", ["image", "batch"])
@pytest.mark.parametrize("positives", POSITIVES)
def test_equals_a_loop_over_pairs(positives: Any, negatives: Any, temperature: float) -> None:
    first, second = random(2, 4, 3, 5), random(2, 4, 3, 5, seed=1)
    valid = torch.tensor([[True, True, False, True], [False, True, True, False]])
    ours = float(region_contrast_loss(first, second, valid, temperature, positives, negatives))
    assert ours == pytest.approx(slow(first, second, valid, temperature, positives, negatives), rel=1e-5)


def test_unknown_forms_list_the_known_ones() -> None:
    z, valid = random(1, 2, 2, 3), torch.ones(1, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match="one, all or average"):
        region_contrast_loss(z, z, valid, positives="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image or batch"):
        region_contrast_loss(z, z, valid, negatives="world")  # type: ignore[arg-type]


@pytest.mark.parametrize("positives", POSITIVES)
@pytest.mark.parametrize("content", ["random", "collapsed", "zero", "one region", "no region"])
def test_finite_with_its_gradient_at_a_small_temperature(content: str, positives: Any) -> None:
    first, second = random(2, 4, 3, 5), random(2, 4, 3, 5, seed=1)
    valid = torch.ones(2, 4, dtype=torch.bool)
    if content == "collapsed":
        first, second = torch.ones_like(first), torch.ones_like(second)
    elif content == "zero":
        first, second = torch.zeros_like(first), torch.zeros_like(second)
    elif content != "random":
        valid[:] = False
        valid[:, 0] = content == "one region"
    first.requires_grad_()
    loss = region_contrast_loss(first, second, valid, 0.005, positives)
    loss.backward()
    assert torch.isfinite(loss)
    assert first.grad is not None
    assert torch.isfinite(first.grad).all()
    if content == "no region":
        assert float(loss.detach()) == 0


@pytest.mark.parametrize("positives", POSITIVES)
def test_order_of_regions_and_length_of_embeddings_do_not_matter(positives: Any) -> None:
    first, second = random(2, 4, 3, 5), random(2, 4, 3, 5, seed=1)
    valid = torch.tensor([[True, True, False, True], [False, True, True, True]])
    once = region_contrast_loss(first, second, valid, 0.1, positives)
    order = torch.tensor([2, 0, 3, 1])
    again = region_contrast_loss(3 * first[:, order], second[:, order] / 2, valid[:, order], 0.1, positives)
    torch.testing.assert_close(once, again)


@pytest.mark.parametrize("positives", POSITIVES)
def test_gradient_descent_separates_the_regions(positives: Any) -> None:
    first, second = random(1, 4, 3, 5).requires_grad_(), random(1, 4, 3, 5, seed=1).requires_grad_()
    valid = torch.ones(1, 4, dtype=torch.bool)
    optimiser = torch.optim.SGD([first, second], lr=1.0)
    for _ in range(200):
        optimiser.zero_grad()
        region_contrast_loss(first, second, valid, 0.2, positives).backward()
        optimiser.step()
    with torch.no_grad():
        z = F.normalize(torch.stack([first[0], second[0]]), dim=-1)
        s = z[0].flatten(0, 1) @ z[1].flatten(0, 1).T
    region = torch.arange(4).repeat_interleave(3)
    same = region[:, None] == region
    if positives == "one":
        assert float(s.diagonal().min()) > float(s[~same].max())
    else:
        assert float(s[same].mean()) > float(s[~same].max())


def test_memory_is_that_of_the_pairs_whatever_the_width() -> None:
    first, second = random(2, 8, 4, 64).requires_grad_(), random(2, 8, 4, 64, seed=1)
    with LargestTensor() as largest:
        region_contrast_loss(first, second, torch.ones(2, 8, dtype=torch.bool)).backward()
    assert largest.elements <= max(2 * 32 * 32, 2 * 32 * 64)


@pytest.mark.parametrize("shape", [(12, 12), (4, 8, 8)])
def test_points_lie_in_their_regions_once_each_and_small_or_hidden_regions_are_left_out(shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    first = torch.zeros(2, size, dtype=torch.int64)
    first[:, :40], first[:, 40:80], first[:, 80:85], first[:, 90:120] = 1, 2, 3, 7
    second = first.roll(13, 1)
    second[1][second[1] == 2] = 0
    points = sample_region_points(first.reshape(2, *shape), second.reshape(2, *shape), 6, 10)
    assert points.valid.sum(1).tolist() == [3, 2]
    expected = [{1, 2, 7}, {1, 7}]
    for image in range(2):
        seen = set()
        for r in range(points.valid.shape[1]):
            if not points.valid[image, r]:
                continue
            regions = {int(v) for v in first[image, points.first[image, r]]}
            regions |= {int(v) for v in second[image, points.second[image, r]]}
            assert len(regions) == 1
            seen |= regions
            assert len(set(points.first[image, r].tolist())) == 6
            assert len(set(points.second[image, r].tolist())) == 6
        assert seen == expected[image]


def test_no_more_regions_than_asked_and_another_draw_takes_others() -> None:
    view = torch.arange(64).repeat_interleave(16).reshape(1, 32, 32)
    draws = []
    for seed in range(2):
        points = sample_region_points(view, view, 4, 8, torch.Generator().manual_seed(seed))
        assert points.first.shape == (1, 8, 4)
        assert points.valid.all()
        draws.append({int(v) for v in view.flatten()[points.first.flatten()]})
        assert len(draws[-1]) == 8
    assert draws[0] != draws[1]
    again = sample_region_points(view, view, 4, 8, torch.Generator().manual_seed(1))
    assert torch.equal(again.first, points.first)


def test_an_image_without_regions_has_no_valid_one() -> None:
    nothing = torch.zeros(2, 8, 8, dtype=torch.int64)
    assert not sample_region_points(nothing, nothing, 4, 8).valid.any()


def test_gathered_vectors_are_those_of_the_map() -> None:
    features, points = torch.randn(2, 5, 6, 7), torch.randint(0, 42, (2, 3, 4))
    ours = gather_points(features, points)
    for image in range(2):
        for r in range(3):
            for k in range(4):
                row, column = divmod(int(points[image, r, k]), 7)
                assert torch.equal(ours[image, r, k], features[image, :, row, column])
