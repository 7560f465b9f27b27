"""Pseudo labels: what is kept, what is ignored, and the largest part of each class on the host and on a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from contrastseg.losses.pseudo_labels import confident_labels, hard_labels, largest_components


def slow(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    kept = torch.zeros_like(labels)
    for image, given in zip(kept, labels, strict=True):
        for value in range(1, num_classes):
            parts, count = ndimage.label(given == value, np.ones((3,) * given.ndim))
            sizes = [(parts == part).sum() for part in range(1, count + 1)]
            if sizes:
                image[torch.from_numpy(parts == 1 + int(np.argmax(sizes)))] = value
    return kept


@pytest.mark.parametrize(("shape", "classes"), [((3, 40, 40), 2), ((3, 40, 40), 4), ((2, 9, 12, 11), 3)])
@pytest.mark.parametrize("share", [0.2, 0.45, 0.6])
def test_the_largest_part_of_each_class_stays(
    shape: tuple[int, ...], classes: int, share: float, values_read: bool
) -> None:
    random = torch.Generator().manual_seed(int(100 * share))
    labels = torch.randint(1, classes, shape, generator=random) * (torch.rand(shape, generator=random) < share)
    labels[0] = 0
    found = largest_components(labels, classes)
    assert torch.equal(found, slow(labels, classes))
    assert not torch.equal(found, labels)
    assert not found[0].any()


@pytest.mark.usefixtures("values_read")
def test_a_long_part_is_one_and_of_equals_the_first_stays() -> None:
    winding = torch.zeros(1, 33, 33, dtype=torch.int64)
    winding[0, ::2] = 1
    winding[0, 1::4, -1] = winding[0, 3::4, 0] = 1  # one line through all rows
    assert torch.equal(largest_components(winding, 2), winding)
    equals = torch.tensor([[[0, 1, 0, 1, 0, 1]]])
    assert largest_components(equals, 2).tolist() == [[[0, 1, 0, 0, 0, 0]]]


def test_labels_are_the_most_likely_and_those_below_the_threshold_are_ignored() -> None:
    logits = torch.tensor([[[0.0, 3.0, 0.0], [1.0, 0.0, 5.0]]]).requires_grad_()
    label, confidence = hard_labels(logits)
    assert label.tolist() == [[1, 0, 1]]
    torch.testing.assert_close(confidence, logits.detach().softmax(1).amax(1))
    assert not confidence.requires_grad
    assert confident_labels(label, confidence, 0.9).tolist() == [[255, 0, 1]]
    assert confident_labels(label, confidence, 1.1).tolist() == [[255, 255, 255]]
