"""Which pixels are drawn, and what the queue of their vectors keeps."""

from __future__ import annotations

import pytest
import torch

from contrastseg.losses.pixel_sampling import ClassQueue, sample_anchors

pytestmark = pytest.mark.usefixtures("values_read")


def anchors(
    label: torch.Tensor, predicted: torch.Tensor, per_class: int, at_most: int, hard_share: float = 0.5
) -> tuple[torch.Tensor, torch.Tensor]:
    """The pixels that were drawn, of the places that there are."""
    index, classes = sample_anchors(label, predicted, 3, per_class, at_most, hard_share)
    assert len(index) == len(classes) <= max(at_most, 3)
    return index[classes != 255], classes[classes != 255]


def picture() -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of three classes, of which the network gets a half of class 1 and nothing of class 2 right."""
    label = torch.zeros(2, 10, 10, dtype=torch.int64)
    label[:, 2:6] = 1
    label[1, 8:] = 2
    predicted = label.clone()
    predicted[:, 2:4] = 0
    predicted[label == 2] = 0
    return label, predicted


def test_half_of_a_class_is_hard_and_indices_lead_to_its_pixels() -> None:
    label, predicted = picture()
    index, classes = anchors(label, predicted, per_class=12, at_most=1000)
    assert torch.equal(label.flatten()[index], classes)
    assert len(set(index.tolist())) == len(index)
    wrong = (label != predicted).flatten()[index]
    for each, hard in ((0, 0), (1, 6), (2, 12)):
        assert int((classes == each).sum()) == 12
        assert int(wrong[classes == each].sum()) == hard, "all easy, half and half, all hard"


def test_small_classes_give_all_and_the_total_is_shared() -> None:
    label, predicted = picture()
    label[1, 8:] = 0
    label[0, 0, :3] = 2
    predicted[0, 0, 0] = 2
    index, classes = anchors(label, predicted, per_class=50, at_most=90)
    assert torch.bincount(classes).tolist() == [30, 30, 3]
    index, classes = anchors(label, predicted, per_class=50, at_most=90, hard_share=1.0)
    wrong = (label != predicted).flatten()[index]
    assert int(wrong[classes == 1].sum()) == 30


def test_ignored_pixels_are_never_taken_and_none_may_be_left() -> None:
    label, predicted = picture()
    label[:, :5] = 255
    index, classes = anchors(label, predicted, 100, 1000)
    assert 255 not in classes
    assert (label.flatten()[index] != 255).all()
    index, classes = anchors(torch.full_like(label, 255), predicted, 100, 1000)
    assert index.shape == classes.shape == (0,)
    index, classes = anchors(label, predicted, 100, 1)
    assert len(index) == 3, "one of each class there is"
    index, classes = anchors(torch.zeros_like(label), predicted, 100, 1000)
    assert (classes == 0).all()
    assert len(index) == 100


def test_every_draw_is_another_and_seeds_repeat_it() -> None:
    label, predicted = picture()
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(anchors(label, predicted, 12, 1000)[0])
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_volumes_are_sampled_as_pictures_are() -> None:
    label = torch.zeros(2, 4, 4, 4, dtype=torch.int64)
    label[:, 1:3] = 1
    index, classes = anchors(label, torch.zeros_like(label), 8, 100)
    assert torch.equal(label.flatten()[index], classes)
    assert len(index) == 16


def test_the_queue_keeps_the_newest_of_each_class() -> None:
    queue = ClassQueue(3, size=4, width=2)
    vectors, classes = queue.contents()
    assert vectors.shape == (12, 2)
    assert (classes == 255).all()
    for step in range(3):
        new = torch.tensor([[step, 7.0], [step, 0.0], [step, 9.0], [step, 1.0], [step, 2.0]])
        queue.push(new, torch.tensor([255, 1, 2, 1, 1]), at_most=2)
    vectors, classes = queue.contents()
    assert classes.tolist() == [255] * 4 + [1] * 4 + [2] * 3 + [255]
    assert {tuple(v) for v in vectors[classes == 1].tolist()} == {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert {tuple(v) for v in vectors[classes == 2].tolist()} == {(0, 9), (1, 9), (2, 9)}


def test_the_queue_is_in_its_state_and_goes_on_from_there() -> None:
    one, two = ClassQueue(2, 3, 2), ClassQueue(2, 3, 2)
    one.push(torch.ones(2, 2), torch.tensor([0, 0]), 10)
    two.load_state_dict(one.state_dict())
    for queue in (one, two):
        queue.push(torch.arange(6.0).reshape(3, 2), torch.tensor([0, 0, 1]), 10)
    assert torch.equal(one.vectors, two.vectors)
    assert torch.equal(one.pushed, two.pushed)
    one.push(torch.zeros(20, 2), torch.zeros(20, dtype=torch.int64), 20)
    assert torch.equal(one.contents()[0][:3], torch.zeros(3, 2)), "more than there is room for"
