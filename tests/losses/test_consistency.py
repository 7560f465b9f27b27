"""Consistency, ramp and moving average."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from contrastseg.losses.consistency import sigmoid_rampup, softmax_mse_loss, update_moving_average


def test_consistency_is_zero_for_equal_outputs_and_gives_the_teacher_no_gradient() -> None:
    student = torch.randn(2, 3, 4, 4, requires_grad=True)
    teacher = torch.randn(2, 3, 4, 4, requires_grad=True)
    assert softmax_mse_loss(student, student).item() == 0
    loss = softmax_mse_loss(student, teacher)
    loss.backward()
    assert loss.item() == pytest.approx(((student.softmax(1) - teacher.softmax(1)) ** 2).mean().item(), rel=1e-6)
    assert teacher.grad is None
    assert student.grad is not None
    assert float(student.grad.abs().sum()) > 0


def test_ramp_rises_to_one_at_its_end_and_stays() -> None:
    values = [sigmoid_rampup(step, 100) for step in range(100)]
    assert values[0] == pytest.approx(math.exp(-5))
    assert values == sorted(values)
    assert values[40] == 1
    assert values[99] == 1


def test_average_is_the_weighted_mean_and_copies_buffers() -> None:
    student, teacher = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    with torch.no_grad():
        student.weight.fill_(2.0)
        student.running_mean.fill_(7.0)  # type: ignore[union-attr]
    update_moving_average(teacher, student, 0.9)
    torch.testing.assert_close(teacher.weight.detach(), torch.full((3,), 1.1))
    assert torch.equal(teacher.running_mean, student.running_mean)  # type: ignore[arg-type]
    update_moving_average(teacher, student, 0.0)
    torch.testing.assert_close(teacher.weight.detach(), student.weight.detach())


def test_the_average_is_that_of_one_tensor_after_the_other() -> None:
    """Bit for bit, whatever the tensors' types, and buffers are those of the student."""
    torch.manual_seed(0)
    student, teacher, expected = (nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)) for _ in range(3))
    expected.load_state_dict(teacher.state_dict())
    student(torch.randn(4, 2, 5, 5))
    update_moving_average(teacher, student, 0.99)
    with torch.no_grad():
        for old, new in zip(expected.parameters(), student.parameters(), strict=True):
            old.lerp_(new, 1 - 0.99)
    for old, new in zip(expected.buffers(), student.buffers(), strict=True):
        old.copy_(new)
    assert teacher[1].num_batches_tracked == 1
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in teacher.state_dict().items())
