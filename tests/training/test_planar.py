"""Parts of in-plane warps: each is what it is called, and a sample has those of its group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from contrastseg.training import augmentation
from contrastseg.training.planar import Chosen, draw_planar_warp, has_more_parts
from contrastseg.training.seeds import generator
from contrastseg.training.settings import AugmentationSettings
from tests.training.test_augmentation import STILL, look


def settings(**changes: Any) -> AugmentationSettings:
    return AugmentationSettings.model_validate({**STILL.model_dump(), **changes})


def drawn(
    asked: AugmentationSettings, batch: int = 400, dims: int = 2, seed: int = 0
) -> tuple[augmentation.Warp, Chosen]:
    chosen = Chosen.draw(generator(seed, "chosen"), batch, asked)
    return draw_planar_warp(generator(seed), generator(seed, "more"), batch, dims, asked, chosen), chosen


def plane(asked: AugmentationSettings, **more: Any) -> np.ndarray:
    return drawn(asked, **more)[0].matrix[:, -2:, -2:].numpy()


@pytest.mark.parametrize("dims", [2, 3])
def test_without_more_parts_it_is_the_warp_that_is_drawn_otherwise(dims: int) -> None:
    asked = AugmentationSettings(elastic=3.0)
    assert not has_more_parts(asked)
    warp, other = drawn(asked, 6, dims)[0], augmentation.draw_warp(generator(0), 6, dims, asked)
    torch.testing.assert_close(warp.matrix, other.matrix, rtol=1e-5, atol=1e-6)
    assert warp.elastic is not None
    assert other.elastic is not None
    assert torch.equal(warp.elastic, other.elastic)


@pytest.mark.parametrize(
    "change",
    [{"shear": 5}, {"scale_per_axis": True}, {"rot90": True}, {"flip_rule": "one"}, {"one_of": [["flip"], []]}],
)
def test_any_of_them_is_more(change: dict[str, Any]) -> None:
    assert has_more_parts(settings(**change))


@pytest.mark.parametrize("dims", [2, 3])
def test_quarter_turns_are_exact_and_as_frequent(dims: int) -> None:
    asked = settings(rot90=True)
    found = plane(asked, dims=dims)
    values, counts = np.unique(found.reshape(-1, 4), axis=0, return_counts=True)
    assert set(map(tuple, values)) == {(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)}
    assert counts.min() > 70
    shape = (3, 7, 7)[-dims:]
    image = torch.randn(8, 1, *shape)
    turned = look(image, drawn(asked, 8, dims)[0], shape)
    for one, other in zip(image, turned, strict=True):
        assert sum(torch.allclose(torch.rot90(one, k, (-2, -1)), other, atol=1e-5) for k in range(4)) == 1


def test_one_mirror_image_or_each_of_two() -> None:
    one = np.unique(plane(settings(flip_rule="one", flip_axes=[0, 1])).reshape(-1, 4), axis=0)
    assert one.tolist() == [[-1, 0, 0, 1], [1, 0, 0, -1]]
    assert (plane(settings(flip_rule="one", flip_axes=[1])) == np.diag([1, -1])).all()
    assert (plane(settings(flip_rule="one", flip_axes=[])) == np.eye(2)).all()
    each = np.unique(plane(settings(flip_axes=[0, 1], rot90=True)).reshape(-1, 4), axis=0)
    assert len(each) == 8


def test_rows_and_columns_have_a_scale_each() -> None:
    """The larger picture looks at the smaller part; along both axes alike without it."""
    asked = {"scale": (0.8, 1.25), "rot90": True}
    apart = 1 / np.abs(plane(settings(**asked, scale_per_axis=True))).sum(axis=2)
    assert 0.8 <= apart.min() < 0.81 < 1.23 < apart.max() <= 1.251
    assert abs(np.corrcoef(apart.T)[0, 1]) < 0.15
    together = 1 / np.abs(plane(settings(**asked))).sum(axis=2)
    np.testing.assert_allclose(together[:, 0], together[:, 1], rtol=1e-5)


def test_a_shear_leans_both_axes_by_up_to_its_angle() -> None:
    found = plane(settings(shear=20))
    np.testing.assert_allclose(np.linalg.det(found), 1, rtol=1e-5)
    for slope in (found[:, 0, 1], found[:, 1, 0]):
        degrees = np.degrees(np.arctan(slope))
        assert -20.001 <= degrees.min() < -18.9 < 18.9 < degrees.max() <= 20.001
        assert np.abs(degrees).mean() == pytest.approx(10, abs=1)
    assert abs(np.corrcoef(found[:, 0, 1], found[:, 1, 0])[0, 1]) < 0.15


def test_a_sample_has_the_parts_of_its_group_and_those_of_none() -> None:
    asked = settings(
        flip_axes=[0, 1],
        flip_rule="one",
        rotation_degrees=20,
        scale=(1.3, 1.4),
        elastic=2.0,
        one_of=[["flip", "elastic"], ["rotation"], []],
        one_of_shares=[2, 1, 1],
    )
    warp, chosen = drawn(asked)
    found, still = warp.matrix.numpy(), np.eye(2)
    unscaled = found / np.sqrt(np.abs(np.linalg.det(found)))[:, None, None]
    mirrored, turned = np.linalg.det(found) < 0, np.abs(found[:, 0, 1]) > 1e-6
    assert not (mirrored & turned).any()
    assert mirrored.mean() == pytest.approx(0.5, abs=0.08)
    assert turned.mean() == pytest.approx(0.25, abs=0.08)
    np.testing.assert_allclose(
        unscaled[~mirrored & ~turned], np.broadcast_to(still, (400, 2, 2))[: (~mirrored & ~turned).sum()], atol=1e-6
    )
    assert (np.abs(np.linalg.det(found)) < 0.6).all(), "no group names the scale"
    assert warp.elastic is not None
    np.testing.assert_array_equal(warp.elastic.abs().amax((1, 2, 3)).numpy() > 0, mirrored)
    np.testing.assert_array_equal(chosen.has("flip"), mirrored)
    assert chosen.has("scale") is None


def test_shares_belong_to_groups_and_groups_to_parts() -> None:
    for wrong in ({"one_of": [["flip"]]}, {"one_of": [["turn"], []]}, {"one_of_shares": [1, 1]}, {"flip_axes": [2]}):
        with pytest.raises(ValidationError):
            settings(**wrong)
    with pytest.raises(ValidationError, match="2 groups"):
        settings(one_of=[["flip"], []], one_of_shares=[1])


@pytest.mark.parametrize("dims", [2, 3])
def test_the_largest_block_holds_every_warp(dims: int) -> None:
    asked = settings(
        rotation_degrees=30, rot90=True, shear=20, scale=(0.8, 1.2), scale_per_axis=True, elastic=2, flip_axes=[0, 1]
    )
    patch = (4, 20, 12)[-dims:]
    largest = augmentation.largest_block(patch, asked)
    for seed in range(10):
        warp = drawn(asked, 40, dims, seed)[0]
        assert all(one <= most for one, most in zip(augmentation.block_shape(warp, patch), largest, strict=True))
    assert max(largest) < 2.5 * math.hypot(20, 12)
