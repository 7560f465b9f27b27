"""Boxes and patches: exact there and back, in 2D and 3D, wherever the boxes lie."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contrastseg.methods import _query_patches as geometry

SHAPES = [(20, 26), (9, 12, 14)]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def boxes_inside(shape: tuple[int, ...], count: int, seed: int) -> Tensor:
    """Random boxes in the image, no side under 3 pixels."""
    extent = torch.tensor(shape, dtype=torch.float32)
    sides = 3 + torch.rand(count, len(shape), generator=generator(seed)) * (extent - 3)
    low = torch.rand(count, len(shape), generator=generator(seed + 1)) * (extent - sides)
    return torch.stack([low, low + sides], dim=1)


def ramps(shape: tuple[int, ...], count: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images that are linear in position, (N, 1, *shape), with their slopes (N, d) and offsets (N,)."""
    slopes = torch.randn(count, len(shape), generator=generator(seed))
    offsets = torch.randn(count, generator=generator(seed + 1))
    grid = torch.stack(torch.meshgrid(*[torch.arange(n) + 0.5 for n in shape], indexing="ij"), dim=-1)
    values = torch.einsum("...j,nj->n...", grid, slopes) + offsets.reshape(-1, *[1] * len(shape))
    return values.unsqueeze(1), slopes, offsets


@settings(max_examples=40, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    low=st.lists(st.integers(0, 6), min_size=3, max_size=3),
    sides=st.lists(st.integers(1, 3), min_size=3, max_size=3),
)
def test_boxes_are_tight_and_absent_classes_have_none(shape: tuple[int, ...], low: list[int], sides: list[int]) -> None:
    labels = torch.zeros(2, *shape, dtype=torch.int64)
    where: Any = tuple(slice(a, a + n) for a, n in zip(low, sides, strict=True))[: len(shape)]
    labels[(1, *where)] = 2
    labels[(1, *[n - 1 for n in shape])] = 3
    boxes, present = geometry.mask_boxes(labels, 4)
    assert boxes.shape == (2, 3, 2, len(shape))
    assert present.tolist() == [[False] * 3, [False, True, True]]
    assert boxes[1, 1].tolist() == [
        [float(a) for a in low[: len(shape)]],
        [float(a + n) for a, n in zip(low, sides, strict=True)][: len(shape)],
    ]
    assert boxes[1, 2].tolist() == [[float(n - 1) for n in shape], [float(n) for n in shape]]
    assert boxes[0, 0].tolist() == [[0.0] * len(shape), [float(n) for n in shape]]


@settings(max_examples=40, deadline=None)
@given(shape=st.sampled_from(SHAPES), patch=st.integers(2, 40), seed=st.integers(0, 1000))
def test_positions_there_and_back_are_the_same(shape: tuple[int, ...], patch: int, seed: int) -> None:
    """Every patch pixel's place in the image, taken back by the formula of the way back, is the pixel itself."""
    boxes = boxes_inside(shape, 3, seed)
    sizes = [patch + axis for axis in range(len(shape))]
    positions = geometry.patch_positions(boxes, sizes)
    broadcast = (3,) + (1,) * len(shape) + (len(shape),)
    low, sides = boxes[:, 0].reshape(broadcast), (boxes[:, 1] - boxes[:, 0]).reshape(broadcast)
    back = (positions - low) / sides * torch.tensor(sizes)
    pixels = torch.stack(torch.meshgrid(*[torch.arange(n) + 0.5 for n in sizes], indexing="ij"), dim=-1)
    torch.testing.assert_close(back, pixels.expand_as(back), atol=1e-3, rtol=1e-4)
    forth = geometry.image_positions(boxes, shape, sizes) / torch.tensor(sizes) * sides + low
    centres = torch.stack(torch.meshgrid(*[torch.arange(n) + 0.5 for n in shape], indexing="ij"), dim=-1)
    torch.testing.assert_close(forth, centres.expand_as(forth), atol=1e-3, rtol=1e-4)


@settings(max_examples=40, deadline=None)
@given(shape=st.sampled_from(SHAPES), patch=st.integers(8, 40), seed=st.integers(0, 1000))
def test_linear_images_come_back_exactly(shape: tuple[int, ...], patch: int, seed: int) -> None:
    images, slopes, offsets = ramps(shape, 3, seed)
    boxes = boxes_inside(shape, 3, seed)
    sizes = [patch] * len(shape)
    positions = geometry.patch_positions(boxes, sizes)
    patches = geometry.sample_at(images, positions)
    extent = torch.tensor(shape)
    between = ((positions >= 0.5) & (positions <= extent - 0.5)).all(-1)
    expected = torch.einsum("n...j,nj->n...", positions, slopes) + offsets.reshape(-1, *[1] * len(shape))
    torch.testing.assert_close(patches[:, 0][between], expected[between], atol=1e-3, rtol=1e-4)
    pasted = geometry.paste(expected.unsqueeze(1), boxes, shape)
    inner = geometry.image_positions(boxes, shape, sizes)
    known = ((inner >= 0.5) & (inner <= patch - 0.5)).all(-1).unsqueeze(1)
    torch.testing.assert_close(pasted[known], images[known], atol=1e-3, rtol=1e-4)
    outside = ((inner < 0) | (inner > patch)).any(-1).unsqueeze(1)
    assert not pasted[outside].any()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_image_at_its_own_shape_is_itself_both_ways(shape: tuple[int, ...]) -> None:
    images = torch.randn(2, 3, *shape, generator=generator(0))
    boxes = torch.stack([torch.zeros(2, len(shape)), torch.tensor([shape, shape]).float()], dim=1)
    patches = geometry.sample_at(images, geometry.patch_positions(boxes, shape))
    torch.testing.assert_close(patches, images, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(geometry.paste(images, boxes, shape), images, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_keep_their_values_and_masks_end_at_the_image(shape: tuple[int, ...]) -> None:
    labels = torch.randint(0, 4, (1, 1, *shape), generator=generator(0)).float()
    labels[:, :, 3] = 255
    box = torch.stack([torch.full((1, len(shape)), -5.0), torch.tensor([shape]) + 5.0], dim=1)
    where = geometry.patch_positions(box, [30] * len(shape))
    assert set(geometry.sample_at(labels, where, nearest=True).unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 255.0}
    ones = torch.ones(1, 1, *shape)
    torch.testing.assert_close(geometry.sample_at(ones, where), torch.ones(1, 1, *[30] * len(shape)))
    masked = geometry.sample_at(ones, where, outside="zeros")
    beyond = ((where < -1) | (where > torch.tensor(shape) + 1)).any(-1).unsqueeze(1)
    assert not masked[beyond].any()
    within = ((where >= 1) & (where <= torch.tensor(shape) - 1)).all(-1).unsqueeze(1)
    torch.testing.assert_close(masked[within], torch.ones(int(within.sum())))


@settings(max_examples=40, deadline=None)
@given(margin=st.floats(0, 1), minimum=st.floats(1, 30), seed=st.integers(0, 1000))
def test_widened_boxes_hold_the_old_ones_about_the_same_centre(margin: float, minimum: float, seed: int) -> None:
    boxes = boxes_inside((20, 26), 4, seed)
    wide = geometry.widen(boxes, margin, minimum)
    torch.testing.assert_close(wide.mean(1), boxes.mean(1))
    sides, old = wide[:, 1] - wide[:, 0], boxes[:, 1] - boxes[:, 0]
    torch.testing.assert_close(sides, (old * (1 + 2 * margin)).clamp(min=minimum), atol=1e-4, rtol=1e-4)


def test_moved_boxes_are_moved_by_shares_of_their_sides() -> None:
    boxes = torch.tensor([[[0.0, 10.0], [4.0, 30.0]]])
    moved = geometry.move(boxes, torch.tensor([[0.5, -0.25]]), torch.tensor([[0.5]]))
    assert moved.tolist() == [[[3.0, 10.0], [5.0, 20.0]]]


def test_turns_and_mirrors_are_those_of_the_picture() -> None:
    images = torch.randn(1, 1, 12, 12, generator=generator(0))
    box = torch.tensor([[[0.0, 0.0], [12.0, 12.0]]])
    angle = math.pi / 2
    turn = torch.tensor([[[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]])
    turned = geometry.sample_at(images, geometry.patch_positions(box, (12, 12), turn))
    torch.testing.assert_close(turned, torch.rot90(images, -1, (2, 3)), atol=1e-4, rtol=1e-4)
    mirror = torch.tensor([[[1.0, 0.0], [0.0, -1.0]]])
    mirrored = geometry.sample_at(images, geometry.patch_positions(box, (12, 12), mirror))
    torch.testing.assert_close(mirrored, images.flip(3), atol=1e-4, rtol=1e-4)


def test_positions_are_exact_under_autocast() -> None:
    boxes = boxes_inside((400, 400), 4, 0)
    turns = torch.linalg.qr(torch.randn(4, 2, 2, generator=generator(0)))[0]
    expected = geometry.patch_positions(boxes, (32, 32), turns)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(geometry.patch_positions(boxes, (32, 32), turns), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_background_is_looked_for_where_there_is_none_of_the_organ(shape: tuple[int, ...]) -> None:
    foreground = torch.zeros(2, 1, *shape)
    foreground[:, :, : shape[0] // 2] = 1
    low = torch.zeros(2, len(shape))
    high = torch.tensor([[shape[0] // 2, *[4] * (len(shape) - 1)]] * 2).float()
    high[1] = torch.tensor(shape).float() * 2
    boxes = torch.stack([low, high], dim=1)
    centres = torch.linspace(0, 1, 5).reshape(1, 5, 1).expand(2, 5, len(shape))
    found = geometry.emptiest_boxes(foreground, boxes, centres)
    torch.testing.assert_close(found[:, 1] - found[:, 0], boxes[:, 1] - boxes[:, 0])
    torch.testing.assert_close(found[0, 1], torch.tensor(shape).float())
    # A box larger than the image has one place: about its middle.
    torch.testing.assert_close(found[1].mean(0), torch.tensor(shape) / 2)
