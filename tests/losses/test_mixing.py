"""Boxes are where their corners say, and mixing takes each pixel from one of the two."""

from __future__ import annotations

import pytest
import torch

from contrastseg.losses.mixing import box_mask, pasted


@pytest.mark.parametrize("shape", [(5, 6), (4, 5, 6)])
def test_a_box_has_its_pixels_and_no_others(shape: tuple[int, ...]) -> None:
    low = torch.tensor([[1] * len(shape), [0] * len(shape), [2] * len(shape)])
    high = torch.tensor([[3] * len(shape), list(shape), [2] * len(shape)])
    mask = box_mask(low, high, shape)
    expected = torch.zeros(3, *shape, dtype=torch.bool)
    expected[0][(slice(1, 3),) * len(shape)] = True
    expected[1] = True
    assert torch.equal(mask, expected)
    assert torch.equal(box_mask(low.float(), high.float(), shape), expected)


def test_images_labels_and_batches_are_mixed_by_one_mask() -> None:
    mask = box_mask(torch.tensor([[0, 1]]), torch.tensor([[2, 3]]), (2, 3))
    images = pasted(mask, torch.ones(4, 2, 2, 3), torch.zeros(4, 2, 2, 3))
    labels = pasted(mask, torch.ones(4, 2, 3), torch.zeros(4, 2, 3))
    assert images.shape == (4, 2, 2, 3)
    assert torch.equal(images, labels[:, None].expand_as(images))
    assert torch.equal(labels[3], torch.tensor([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
