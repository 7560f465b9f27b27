"""Correspondences against a slow search, and under warps whose answer is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.losses.correspondence import feature_matches, geometric_matches, map_coordinates


def grid(*shape: int) -> Tensor:
    axes = torch.meshgrid(*[torch.arange(float(n)) for n in shape], indexing="ij")
    return torch.stack(axes, dim=-1)[None]


@pytest.mark.parametrize(("shape", "stride"), [((8, 12), (4, 2)), ((4, 8, 6), (1, 4, 2))])
def test_a_unit_lies_where_its_pixels_do_on_average(shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    coordinates = grid(*shape) + torch.rand(2, *shape, len(shape))
    places = map_coordinates(coordinates, stride)
    counts = [n // s for n, s in zip(shape, stride, strict=True)]
    for index, unit in enumerate(torch.cartesian_prod(*[torch.arange(n) for n in counts]).tolist()):
        block = tuple(slice(u * s, (u + 1) * s) for u, s in zip(unit, stride, strict=True))
        expected = coordinates[(slice(None), *block)].flatten(1, -2).mean(1)
        torch.testing.assert_close(places[:, index], expected)


@pytest.mark.parametrize("tolerance", [0.3, 0.5, 0.8])
def test_geometric_matches_equal_a_slow_search(tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    queries = torch.rand(2, 20, 3, generator=generator) * 10 + 500
    keys = torch.rand(2, 25, 3, generator=generator) * 10 + 500
    stride = (2, 8, 4)
    ours = geometric_matches(queries, keys, stride, tolerance)
    for b in range(2):
        for i in range(20):
            apart = [((keys[b, j] - queries[b, i]) / torch.tensor(stride)).double() for j in range(25)]
            nearest = min(range(25), key=lambda j: float(apart[j].norm()))
            expected = nearest if float(apart[nearest].abs().max()) <= tolerance else -1
            assert int(ours[b, i]) == expected
    assert (ours >= 0).any()
    assert (ours < 0).any()


def test_the_same_view_matches_itself_a_mirrored_one_its_mirror_and_a_distant_one_nothing() -> None:
    view = grid(16, 16)
    places = map_coordinates(view, (4, 4))
    assert torch.equal(geometric_matches(places, places, (4, 4)), torch.arange(16)[None])
    mirrored = map_coordinates(view.flip(2), (4, 4))
    expected = torch.arange(16).reshape(4, 4).flip(1).reshape(1, -1)
    assert torch.equal(geometric_matches(places, mirrored, (4, 4)), expected)
    assert (geometric_matches(places, places + 100, (4, 4)) == -1).all()
    moved = geometric_matches(places, places + torch.tensor([0.0, 4.0]), (4, 4)).reshape(4, 4)
    assert (moved[:, 0] == -1).all()
    assert torch.equal(moved[:, 1:], torch.arange(16).reshape(4, 4)[:, :-1])


def test_feature_matches_are_the_highest_cosines() -> None:
    queries, keys = torch.randn(2, 7, 5), torch.randn(2, 9, 5)
    ours = feature_matches(queries, keys)
    for b in range(2):
        for i in range(7):
            values = [float(F.cosine_similarity(queries[b, i], keys[b, j], dim=0)) for j in range(9)]
            assert int(ours[b, i]) == values.index(max(values))
