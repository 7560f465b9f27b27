"""Tensors that losses are asked with, on a CPU or on a GPU that pretends."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tests.pretended import OnDevice, move

CPU = torch.device("cpu")


class Inputs:
    """Tensors of one device, the same numbers on each; those asked for with `leaf` get gradients."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.leaves: list[Tensor] = []

    def put(self, tensor: Tensor) -> Tensor:
        return tensor if self.device == CPU else OnDevice(tensor)

    def random(self, *shape: int) -> Tensor:
        return self.put(torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))))

    def leaf(self, *shape: int) -> Tensor:
        self.leaves.append(self.random(*shape).requires_grad_())
        return self.leaves[-1]

    def labels(self, *shape: int, classes: int = 3) -> Tensor:
        generator = torch.Generator().manual_seed(sum(shape))
        values = torch.randint(0, classes, shape, generator=generator)
        values.flatten()[::11] = 255
        return self.put(values)

    def module(self, made: nn.Module) -> nn.Module:
        if self.device != CPU:
            move(made)
        return made


def of_seed(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make()
