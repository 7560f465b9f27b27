"""Volume fusion: two images mixed in random boxes, and how much of each a pixel has.

Source:
    Wang et al., MIS-FM: 3D Medical Image Segmentation using Foundation Models Pretrained on a Large-scale Unannotated
    Dataset, arXiv 2306.16925; the numbers of boxes and sides are those of nnssl's trainer of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from contrastseg.tensors import constant


class Boxes(NamedTuple):
    """Boxes of a batch, later ones on top of earlier ones.

    Attributes:
        start: (B, N, d), int64, first pixel along each axis.
        stop: (B, N, d), one behind the last.
        level: (B, N), int64, what the pixels inside get.
        number: (B,), int64: how many of the N there are.
    """

    start: Tensor
    stop: Tensor
    level: Tensor
    number: Tensor


def draw_boxes(
    images: Tensor,
    levels: int,
    fewest: int = 10,
    most: int = 39,
    smallest: int = 8,
    largest: float = 0.625,
) -> Boxes:
    """Draw boxes, from torch's global generator of the images' device: every whole number alike, limits included.

    Args:
        images: (B, C, *spatial), for the shape.
        levels: L; levels go from 0 to L − 1.
        fewest: Boxes in an image at least.
        most: Boxes in an image at most.
        smallest: Side in pixels at least, along every axis; where `largest` is less, that.
        largest: Side at most, as a share of the axis.

    Example:
        >>> boxes = draw_boxes(torch.zeros(2, 1, 32, 32), levels=5)
        >>> boxes.start.shape, bool((boxes.stop - boxes.start).max() <= 20)
        (torch.Size([2, 39, 2]), True)
    """
    device, batch, shape = images.device, len(images), images.shape[2:]

    def drawn(low: Tensor | int, high: Tensor | int, *size: int) -> Tensor:
        return (torch.rand(*size, dtype=torch.float64, device=device) * (high - low + 1)).long() + low

    highest = [max(1, int(largest * side)) for side in shape]
    lowest = [min(smallest, side) for side in highest]
    extent, high, low = (constant(tuple(each), device, torch.int64) for each in (shape, highest, lowest))
    size = drawn(low, high, batch, most, len(shape))
    start = drawn(0, extent - size, *size.shape)
    return Boxes(start, start + size, drawn(0, levels - 1, batch, most), drawn(fewest, most, batch))


def level_map(boxes: Boxes, shape: Sequence[int]) -> Tensor:
    """(B, *shape), int64: the level of the last box that a pixel lies in, 0 where it lies in none.

    Args:
        boxes: Of B images.
        shape: Of an image.

    Example:
        >>> boxes = Boxes(*(torch.tensor(each) for each in ([[[0], [1]]], [[[3], [2]]], [[1, 2]], [2])))
        >>> level_map(boxes, [4])
        tensor([[1, 2, 1, 0]])
    """
    number, device = boxes.level.shape[1], boxes.level.device
    # From 1 on, the place of a box in the order; 0 where a box does not reach, or is not there.
    order = torch.arange(1, number + 1, dtype=torch.uint8, device=device)
    inside = torch.where(order <= boxes.number[:, None], order, 0).reshape(len(boxes.level), number, *[1] * len(shape))
    for axis, side in enumerate(shape):
        position = torch.arange(side, device=device)
        reached = (position >= boxes.start[..., axis, None]) & (position < boxes.stop[..., axis, None])
        view = [1] * len(shape)
        view[axis] = side
        inside = inside * reached.reshape(*reached.shape[:2], *view)
    top = inside.amax(1).long()
    levels = torch.cat([torch.zeros_like(boxes.level[:, :1]), boxes.level], dim=1)
    return levels.gather(1, top.flatten(1)).view_as(top)


def fuse(foreground: Tensor, background: Tensor, level: Tensor, levels: int) -> Tensor:
    """Compute α · foreground + (1 − α) · background, α = level / (L − 1).

    Args:
        foreground: (B, C, *spatial).
        background: (B, C, *spatial).
        level: (B, *spatial), from 0 to L − 1.
        levels: L.

    Example:
        >>> fuse(torch.ones(1, 1, 3), torch.zeros(1, 1, 3), torch.tensor([[0, 1, 4]]), levels=5)
        tensor([[[0.0000, 0.2500, 1.0000]]])
    """
    share = level.unsqueeze(1).to(foreground.dtype) / (levels - 1)
    return share * foreground + (1 - share) * background
