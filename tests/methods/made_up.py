"""Methods on a small network and samples made up, for tests that look at single steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from contrastseg.methods import registry
from contrastseg.methods.contract import Method, Sample, Task
from contrastseg.networks.registry import build


def make(name: str, dims: int = 2, variant: str = "default", levels: int = 5, **settings: Any) -> Method:
    def network(in_channels: int = 1, num_classes: int = 3, **options: Any) -> nn.Module:
        chosen = {"channels": [4] * levels, **options}
        return build(chosen, spatial_dims=dims, in_channels=in_channels, num_classes=num_classes)

    method_class = registry.get(name)
    method = method_class(Task(dims, 1, 3, 100, "train", network), method_class.resolve(variant, settings))
    torch.manual_seed(0)
    method.modules = nn.ModuleDict(method.build())
    return method


def sample(dims: int = 2, batch: int = 2) -> Sample:
    generator = torch.Generator().manual_seed(0)
    shape = (batch, *[32] * dims)
    label = torch.zeros(shape, dtype=torch.int64)
    label[:, 8:20] = 1
    label[:, 20:, :16] = 2
    image = torch.randn(batch, 1, *[32] * dims, generator=generator) + label.unsqueeze(1)
    which = torch.arange(batch)
    return Sample(image, label, torch.zeros(*shape, dims), which, which, torch.linspace(0, 1, batch))


def paired(dims: int = 2) -> dict[str, Sample]:
    """A batch of labelled and unlabelled images that differ."""
    unlabelled = sample(dims)
    unlabelled.image, unlabelled.label = unlabelled.image.flip(-1) * 1.5, None
    return {"labelled": sample(dims), "unlabelled": unlabelled}
