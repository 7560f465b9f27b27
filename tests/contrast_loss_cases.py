"""Losses of SS-Net, U2PL, volume fusion and masked autoencoding as asked on a GPU that pretends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from contrastseg.losses import adversarial, class_memory, fusion, masked_images, unreliable
from tests.loss_inputs import Inputs, of_seed


def mask(given: Inputs, *shape: int) -> Tensor:
    return given.random(*shape) > 0


def class_memory_of(kept: Any, absent: Any) -> Callable[[Inputs], Any]:
    def case(given: Inputs) -> Any:
        made: Any = given.module(class_memory.ClassMemory(3, 4, 5))
        for number in (9, 12):
            made.renew(given.random(number, 5), given.labels(number), given.random(number), kept, absent)
        return made.vectors, made.held

    return case


def adversarial_of(distance: Any) -> Callable[[Inputs], Any]:
    def case(given: Inputs) -> Any:
        network = given.module(of_seed(lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3))))
        images = given.random(2, 1, 8, 8)
        return adversarial.virtual_adversarial_loss(
            network, images, network(images).softmax(1), 10, 6, distance
        ).detach()

    return case


def fused_levels(given: Inputs) -> Any:
    start = given.put(torch.arange(12).reshape(2, 3, 2) % 4)
    level, number = given.put(torch.tensor([[1, 2, 4], [3, 0, 1]])), given.put(torch.tensor([3, 2]))
    return fusion.level_map(fusion.Boxes(start, start + 3, level, number), (8, 8))


CONTRAST_CASES: dict[str, list[Callable[[Inputs], Any]]] = {
    "class_memory.ClassMemory": [class_memory_of("lowest", "keep"), class_memory_of("highest", "forget")],
    "class_memory.memory_distance_loss": [
        lambda g: class_memory.memory_distance_loss(
            *(g.leaf(20, 5), g.labels(20), g.random(20).sigmoid(), g.random(3, 4, 5)),
            *(g.put(torch.tensor([0, 2, 4])), g.random(3, 4).sigmoid()),
        )
    ],
    "adversarial.soft_dice_distance": [
        lambda g: adversarial.soft_dice_distance(g.leaf(2, 3, 8, 8).softmax(1), g.random(2, 3, 8, 8).softmax(1)),
        lambda g: adversarial.soft_dice_distance(
            g.leaf(2, 3, 8, 8).softmax(1), g.random(2, 3, 8, 8).softmax(1), "dice_joint"
        ),
    ],
    "adversarial.virtual_adversarial_loss": [adversarial_of("dice_per_class"), adversarial_of("dice_joint")],
    "adversarial.unit_per_image": [lambda g: adversarial.unit_per_image(g.random(2, 1, 4, 4))],
    "adversarial.running_statistics_kept": [],
    "unreliable.percentile": [
        lambda g: unreliable.percentile(g.random(5, 6), 30.0),
        lambda g: unreliable.percentile(g.random(5, 6), g.put(torch.tensor(30.0))),
    ],
    "unreliable.reliable_cross_entropy": [
        lambda g: unreliable.reliable_cross_entropy(g.leaf(2, 3, 8, 8), g.labels(2, 8, 8), mask(g, 2, 8, 8))
    ],
    "unreliable.negative_candidates": [
        lambda g: unreliable.negative_candidates(
            *(g.labels(20), g.random(20, 3).softmax(1), mask(g, 20), g.put(torch.arange(20) > 9), (1, 2), "other")
        )
    ],
    "unreliable.draw_rows": [lambda g: unreliable.draw_rows(mask(g, 3, 20), 4)],
    "unreliable.prototype_contrast_loss": [
        lambda g: unreliable.prototype_contrast_loss(
            *(g.leaf(3, 4, 5), g.random(3, 5), g.random(3, 6, 5), g.put(torch.arange(24).reshape(3, 4, 2) % 6)),
            *(mask(g, 3), g.put(torch.tensor([True] * 3))),
        )
    ],
    "fusion.Boxes": [],
    "fusion.draw_boxes": [lambda g: fusion.draw_boxes(g.random(2, 1, 16, 12), 5, 2, 9, 3)],
    "fusion.level_map": [fused_levels],
    "fusion.fuse": [lambda g: fusion.fuse(g.random(2, 1, 8, 8), g.random(2, 1, 8, 9)[..., :8], fused_levels(g), 5)],
    "masked_images.block_mask": [lambda g: masked_images.block_mask(g.random(2, 1, 16, 12))],
    "masked_images.masked_error": [
        lambda g: masked_images.masked_error(g.leaf(2, 1, 8, 8), g.random(2, 1, 8, 8), mask(g, 2, 1, 8, 8))
    ],
}
