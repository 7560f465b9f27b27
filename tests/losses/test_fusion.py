"""Volume fusion: the released mix of the same boxes, a slow version, and where boxes are drawn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from contrastseg.losses.fusion import Boxes, draw_boxes, fuse, level_map
from contrastseg.losses.segmentation import segmentation_loss
from tests.losses.test_reference_values import close, waves

SHAPE, NUMBER = (12, 10, 11), 14


def made_up() -> Boxes:
    """Fourteen boxes in a volume of 12×10×11, from sines."""
    size = [((waves(NUMBER, frequency=0.5 + axis) + 1) * 2.5).long() + 1 for axis in range(3)]
    start = [((waves(NUMBER, frequency=1.5 + axis) + 1) / 2 * (SHAPE[axis] - size[axis])).long() for axis in range(3)]
    level = ((waves(NUMBER, frequency=2.9) + 1) * 2.5).long().clamp(max=4)
    first = torch.stack(start, dim=1)[None]
    return Boxes(first, first + torch.stack(size, dim=1)[None], level[None], torch.tensor([NUMBER]))


def painted(boxes: Boxes, image: int, shape: tuple[int, ...]) -> Tensor:
    """One box after the other."""
    result = torch.zeros(shape, dtype=torch.int64)
    for box in range(int(boxes.number[image])):
        limits = zip(boxes.start[image, box].tolist(), boxes.stop[image, box].tolist(), strict=True)
        result[tuple(slice(*each) for each in limits)] = boxes.level[image, box]
    return result


# MIC-DKFZ/nnssl 70448644, ssl_data/dataloading/volume_fusion_transform.py: _overlay_bbox and _mix_image.
def test_the_released_mix() -> None:
    level, weights = level_map(made_up(), SHAPE), waves(1, *SHAPE, frequency=0.37)
    assert int(level.sum()) == 711
    close((level * weights).sum(), 16.79286231313591)
    foreground, background = (waves(1, 1, *SHAPE, frequency=frequency) for frequency in (0.61, 1.37))
    close((fuse(foreground, background, level, 5)[:, 0] * weights).sum(), -5.875825679416949)


# The same, training/loss/compound_losses.py, DC_and_CE_loss with the trainer's arguments; it lacks the 1 of 1 − Dice.
def test_the_released_loss() -> None:
    logits = 3 * waves(2, 5, 6, 5, 4, frequency=0.8)
    level = ((waves(2, 6, 5, 4, frequency=1.3) + 1) * 2.5).long().clamp(max=4)
    ours = segmentation_loss(logits, level, combine="sum", background=True, per_image=True)
    close(ours - 1, 2.9573795946153005, 1e-5)


@pytest.mark.parametrize("shape", [(32, 24), (16, 24, 20)])
def test_later_boxes_lie_on_top(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    boxes = draw_boxes(torch.zeros(3, 1, *shape), 5, 2, 9, 3)
    expected = torch.stack([painted(boxes, image, shape) for image in range(3)])
    assert torch.equal(level_map(boxes, shape), expected)
    assert len(expected.unique()) > 2


def test_boxes_are_drawn_from_all_there_are() -> None:
    torch.manual_seed(0)
    boxes = draw_boxes(torch.zeros(400, 1, 64, 32), 5)
    size = boxes.stop - boxes.start
    assert size.amin((0, 1)).tolist() == [8, 8]
    assert size.amax((0, 1)).tolist() == [40, 20]
    assert boxes.start.amin((0, 1)).tolist() == [0, 0]
    assert boxes.stop.amax((0, 1)).tolist() == [64, 32]
    assert (int(boxes.number.min()), int(boxes.number.max())) == (10, 39)
    torch.testing.assert_close(
        boxes.level.flatten().bincount() / boxes.level.numel(), torch.full((5,), 0.2), atol=0.02, rtol=0
    )
    small = draw_boxes(torch.zeros(2, 1, 8, 8), 5)
    assert (small.stop - small.start).unique().tolist() == [5]
