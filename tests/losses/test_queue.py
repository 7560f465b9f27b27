"""The queue of keys and the loss without negatives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from contrastseg.losses.alignment import negative_cosine_loss
from contrastseg.losses.queue import KeyQueue


def test_keys_leave_in_the_order_they_came_and_have_length_one() -> None:
    queue = KeyQueue(5, 3)
    start = queue.keys.clone()
    torch.testing.assert_close(start.norm(dim=1), torch.ones(5))
    first, second = torch.randn(3, 3), torch.randn(4, 3)
    queue.push(first, torch.tensor([0, 1, 2]))
    assert torch.equal(queue.keys[3:], start[3:])
    queue.push(second, torch.tensor([0, 1, 2, 3]))
    expected = torch.cat([second[2:], first[2:], second[:2]])
    torch.testing.assert_close(queue.keys, F.normalize(expected, dim=1))
    assert queue.owners.tolist() == [2, 3, 2, 0, 1]
    assert int(queue.next) == 2
    assert queue.valid(torch.tensor([0, 9])).all()
    queue.push(torch.randn(12, 3), torch.arange(12))
    assert sorted(queue.owners.tolist()) == [7, 8, 9, 10, 11]


def test_a_queue_of_the_newest_is_never_larger_than_the_data() -> None:
    queue = KeyQueue(8, 3, newest_only=True)
    for _ in range(5):
        queue.push(torch.randn(3, 3), torch.tensor([4, 5, 6]))
    valid = queue.valid(torch.tensor([4, 7]))
    assert valid[0].sum() == 2
    assert valid[1].sum() == 3
    assert set(queue.owners[valid[0]].tolist()) == {5, 6}


def test_its_state_survives_a_checkpoint() -> None:
    queue = KeyQueue(6, 3, newest_only=True)
    queue.push(torch.randn(4, 3), torch.arange(4))
    again = KeyQueue(6, 3, newest_only=True)
    again.load_state_dict(queue.state_dict())
    keys = torch.randn(4, 3)
    for each in (queue, again):
        each.push(keys, torch.arange(2, 6))
    assert torch.equal(queue.keys, again.keys)
    assert torch.equal(queue.owners, again.owners)
    assert torch.equal(queue.valid(torch.arange(6)), again.valid(torch.arange(6)))


def test_negative_cosine_is_the_mean_over_rows_and_leaves_the_target_alone() -> None:
    predictions, targets = torch.randn(5, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    loss = negative_cosine_loss(predictions, targets)
    loss.backward()
    expected = -F.cosine_similarity(predictions.double(), targets.double(), dim=1).mean()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert targets.grad is None
    assert predictions.grad is not None
    assert float(predictions.grad.abs().sum()) > 0
    assert float(negative_cosine_loss(targets.detach(), targets * 3).detach()) == pytest.approx(-1)
