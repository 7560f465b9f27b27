"""Mixing of images: boxes of one in another (CutMix, bidirectional copy-paste), in 2D and 3D, on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def box_mask(low: Tensor, high: Tensor, shape: Sequence[int]) -> Tensor:
    """Mark the pixels of boxes.

    Args:
        low: (B, d), index of each box's first pixel along each axis.
        high: (B, d), index after its last pixel; a box without pixels has `high` = `low`.
        shape: Of an image, d numbers.

    Returns:
        (B, *shape), bool.

    Example:
        >>> box_mask(torch.tensor([[0, 1]]), torch.tensor([[1, 3]]), (2, 3)).int().tolist()
        [[[0, 1, 1], [0, 0, 0]]]
    """
    mask = None
    for axis, extent in enumerate(shape):
        place = torch.arange(extent, device=low.device)
        inside = (place >= low[:, axis, None]) & (place < high[:, axis, None])
        inside = inside.view(len(low), *[extent if other == axis else 1 for other in range(len(shape))])
        mask = inside if mask is None else mask & inside
    assert mask is not None
    return mask


def pasted(mask: Tensor, patch: Tensor, image: Tensor) -> Tensor:
    """Take the patch where the mask is true, and the image elsewhere; a mask of one box serves a whole batch.

    Args:
        mask: (B or 1, *spatial), bool.
        patch: (B, C, *spatial) images, or (B, *spatial) labels or confidences.
        image: Like the patch.

    Example:
        >>> mask = torch.tensor([[True, False]])
        >>> pasted(mask, torch.tensor([[1, 1], [1, 1]]), torch.tensor([[0, 0], [0, 0]])).tolist()
        [[1, 0], [1, 0]]
    """
    return torch.where(mask if mask.ndim == image.ndim else mask[:, None], patch, image)
