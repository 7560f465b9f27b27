"""Masked image modelling: blocks of an image are left out, and the error counts where they were.

Source:
    He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022, arXiv 2111.06377; for convolutional networks
    in nnssl (Wald et al., An OpenMind for 3D medical vision self-supervised learning, arXiv 2412.17041).
"""

from __future__ import annotations

import torch
from torch import Tensor


def block_mask(images: Tensor, block: int = 16, share: float = 0.75) -> Tensor:
    """Draw which blocks are left out, from torch's global generator of the images' device.

    In every image the same number of blocks, ⌊share · blocks⌋ and at least one. A block is at most a quarter of an axis
    long, so that small images have several; blocks at the far border may be cut.

    Args:
        images: (B, C, *spatial), for the shape.
        block: Side of a block in pixels.
        share: Of the blocks that are left out.

    Returns:
        (B, 1, *spatial), bool: true where the image is left out.

    Example:
        >>> mask = block_mask(torch.zeros(2, 1, 64, 64))
        >>> mask.shape, mask.flatten(1).float().mean(1)
        (torch.Size([2, 1, 64, 64]), tensor([0.7500, 0.7500]))
    """
    shape = images.shape[2:]
    sides = [min(block, max(1, side // 4)) for side in shape]
    grid = [-(-side // length) for side, length in zip(shape, sides, strict=True)]
    order = torch.rand(len(images), torch.Size(grid).numel(), device=images.device).argsort(1)
    mask = (order < max(1, int(share * order.shape[1]))).reshape(len(images), 1, *grid)
    for axis, (side, length) in enumerate(zip(shape, sides, strict=True), start=2):
        mask = mask.repeat_interleave(length, dim=axis).narrow(axis, 0, side)
    return mask


def masked_error(output: Tensor, images: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean over the masked pixels of the squared error, summed over the channels; 0 without such pixels.

    Args:
        output: (B, C, *spatial).
        images: (B, C, *spatial).
        mask: (B, 1, *spatial), bool or 0 and 1.

    Returns:
        A scalar, float32.

    Example:
        >>> mask = torch.tensor([[[True, False, False]]])
        >>> masked_error(torch.zeros(1, 1, 3), torch.tensor([[[2.0, 5.0, 5.0]]]), mask).item()
        4.0
    """
    squares = (output.float() - images.float()).square() * mask
    return squares.sum() / mask.sum().clamp(min=1)
