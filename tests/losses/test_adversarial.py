"""Virtual adversarial training: the released values, an independent version, norms left alone, the worst direction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrastseg.losses.adversarial import soft_dice_distance, virtual_adversarial_loss
from tests.losses.test_reference_values import close, waves


class Sines(nn.Module):
    """Logits (B, K, *spatial) of images (B, 1, *spatial)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([2 * torch.sin((k + 1) * images + k) for k in range(self.classes)], 1)


# ycwu1997/SS-Net c0a8bf6, code/utils/losses.py: softDiceLoss, Binary_dice_loss, VAT2d and VAT3d.
@pytest.mark.parametrize(
    ("distance", "released"), [("dice_per_class", 0.2704852543372621), ("dice_joint", 0.7517516717346434)]
)
def test_distance(distance: Any, released: float) -> None:
    first, second = (waves(2, 4, 3, 5, frequency=frequency).softmax(1) for frequency in (0.5, 1.9))
    close(soft_dice_distance(first, second, distance), released, 1e-5)


@pytest.mark.parametrize(
    ("shape", "classes", "epsilon", "distance", "released"),
    [
        ((2, 1, 6, 7), 4, 6.0, "dice_per_class", 0.3141376662687037),
        ((2, 1, 4, 5, 6), 2, 10.0, "dice_joint", 0.4751062884064571),
    ],
)
def test_adversarial(
    shape: tuple[int, ...],
    classes: int,
    epsilon: float,
    distance: Any,
    released: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a fixed field for the random start."""
    monkeypatch.setattr(torch, "rand_like", lambda images: (waves(*images.shape, frequency=0.77) + 1) / 2)
    network, images = Sines(classes), waves(*shape, frequency=0.61)
    loss = virtual_adversarial_loss(network, images, network(images).softmax(1), 10.0, epsilon, distance)
    close(loss, released, 1e-5)


def test_the_change_has_its_length_and_is_worse_than_a_random_one() -> None:
    torch.manual_seed(0)
    network, images = nn.Conv2d(1, 3, 3, padding=1), torch.randn(2, 1, 8, 8)
    clean = network(images).softmax(1)
    seen: list[Tensor] = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach() - images))
    loss = float(virtual_adversarial_loss(network, images, clean, 1.0, 0.5).detach())
    lengths = [change.flatten(1).norm(dim=1) for change in seen]
    torch.testing.assert_close(lengths[0], torch.ones(2), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(lengths[1], torch.full((2,), 0.5), rtol=1e-4, atol=1e-4)
    others = []
    for _ in range(20):
        change = torch.randn(2, 1, 8, 8)
        change = 0.5 * change / change.flatten(1).norm(dim=1).reshape(2, 1, 1, 1)
        others.append(float(soft_dice_distance(network(images + change).softmax(1), clean).detach()))
    assert loss > max(others)


def test_running_statistics_stay_and_count_again_after() -> None:
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 1))
    images = torch.randn(2, 1, 8, 8)
    clean = network(images).softmax(1)
    before = [buffer.clone() for buffer in network.buffers()]
    virtual_adversarial_loss(network, images, clean).backward()
    assert all(torch.equal(old, new) for old, new in zip(before, network.buffers(), strict=True))
    assert all(parameter.grad is not None for parameter in network.parameters())
    network(images)
    assert not torch.equal(before[0], next(iter(network.buffers())))
