"""Masked image modelling: how many blocks go, that they are blocks, and the released error."""

from __future__ import annotations

import pytest
import torch

from contrastseg.losses.masked_images import block_mask, masked_error
from tests.losses.test_reference_values import close, waves


# MIC-DKFZ/nnssl 70448644, training/loss/mse_loss.py, MAEMSELoss.
def test_the_released_error() -> None:
    output, images = (waves(2, 1, 6, 5, 4, frequency=frequency) for frequency in (0.8, 1.9))
    mask = waves(2, 1, 6, 5, 4, frequency=0.45) > 0
    close(masked_error(output, images, mask), 0.9937869969646487, 1e-5)
    assert masked_error(output, images, torch.zeros_like(mask)).item() == 0


def test_only_masked_pixels_have_a_gradient() -> None:
    output, mask = torch.randn(1, 2, 4, 4, requires_grad=True), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    mask[..., :2] = True
    masked_error(output, torch.zeros(1, 2, 4, 4), mask).backward()
    assert output.grad is not None
    assert torch.equal(output.grad != 0, mask.expand(1, 2, 4, 4))


@pytest.mark.parametrize(
    ("shape", "share", "sides", "blocks"),
    [
        ((64, 96), 0.75, (16, 16), 24),
        ((64, 64, 64), 0.75, (16, 16, 16), 64),
        ((64, 64), 0.6, (16, 16), 16),
        ((8, 32, 40), 0.75, (2, 8, 10), 64),  # a block is at most a quarter of an axis
    ],
)
def test_a_share_of_the_blocks_is_left_out(
    shape: tuple[int, ...], share: float, sides: tuple[int, ...], blocks: int
) -> None:
    torch.manual_seed(0)
    mask = block_mask(torch.zeros(3, 1, *shape), share=share)
    assert mask.shape == (3, 1, *shape)
    corners = mask[(slice(None), 0, *(slice(None, None, side) for side in sides))].flatten(1)
    assert corners.shape == (3, blocks)
    assert corners.sum(1).tolist() == [int(share * blocks)] * 3
    assert not torch.equal(corners[0], corners[1])
    whole = corners.reshape(3, *(size // side for size, side in zip(shape, sides, strict=True)))
    for axis, side in enumerate(sides, start=1):
        whole = whole.repeat_interleave(side, axis)
    assert torch.equal(whole, mask[:, 0])


def test_blocks_at_the_border_may_be_cut() -> None:
    mask = block_mask(torch.zeros(1, 1, 70, 64))
    assert mask.shape == (1, 1, 70, 64)
    assert mask[0, 0, 64:].float().std(0).sum() == 0
