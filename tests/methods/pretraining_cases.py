"""Methods in any of their stages, and made-up unlabelled views, for the tests of pre-training."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from contrastseg.methods import registry
from contrastseg.methods.contract import Sample, Task
from contrastseg.networks.registry import build

SIZE = 32


def make(name: str, stage: str = "pretrain", dims: int = 2, variant: str = "default", **settings: Any) -> Any:
    """A method with freshly built modules; 100 steps, three classes, a U-Net of five levels."""

    def network() -> nn.Module:
        return build({"channels": [4, 6, 8, 8, 8]}, spatial_dims=dims, in_channels=1, num_classes=3)

    method_class = registry.get(name)
    method = method_class(Task(dims, 1, 3, 100, stage, network), method_class.resolve(variant, settings))
    torch.manual_seed(0)
    method.modules = nn.ModuleDict(method.build())
    return method


def view(seed: int = 0, dims: int = 2, batch: int = 4, shift: float = 0.0, label: bool = False) -> Sample:
    """Images with two structures at places of their own, seen `shift` pixels further along the last axis."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, *[SIZE] * dims)
    content = torch.zeros(shape, dtype=torch.int64)
    for index in range(batch):
        content[index, 4 + 3 * index : 16 + 3 * index] = 1
        content[index, 20:, : 8 + 4 * index] = 2
    image = content.unsqueeze(1) + 0.3 * torch.randn(batch, 1, *[SIZE] * dims, generator=generator)
    image = image + 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    axes = torch.meshgrid(*[torch.arange(float(SIZE))] * dims, indexing="ij")
    coordinates = torch.stack(axes, dim=-1).expand(batch, *[SIZE] * dims, dims).clone()
    coordinates[..., -1] += shift
    which = torch.arange(batch)
    position = torch.linspace(0, 1, batch)
    return Sample(image, content if label else None, coordinates, which, which // 2, position)


def views(dims: int = 2, batch: int = 4) -> dict[str, Sample]:
    """A batch of two unlabelled views."""
    return {"first": view(1, dims, batch), "second": view(2, dims, batch)}


def step_once(method: Any, batch: dict[str, Sample], step: int = 0, rate: float = 0.05) -> float:
    """One step of plain gradient descent, and what follows it; the loss before."""
    loss = torch.stack(list(method.training_step(batch, step).values())).sum()
    method.modules.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in method.modules.parameters():
            if parameter.grad is not None:
                parameter -= rate * parameter.grad
    method.after_step(step)
    return float(loss.detach())
