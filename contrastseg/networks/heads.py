"""Heads that pre-training puts on a network's features and throws away after: for vectors and for maps."""

from __future__ import annotations

from itertools import pairwise

from torch import nn


def vector_head(inside: int, hidden: int, outside: int, layers: int = 2, norm: bool = False) -> nn.Sequential:
    """Build a multi-layer perceptron for (B, inside) vectors: linear layers with ReLU between them.

    Args:
        inside: Width of the vectors.
        hidden: Width between the layers.
        outside: Width of the result.
        layers: Linear layers.
        norm: Whether batch norm follows every layer but the last.

    Example:
        >>> import torch
        >>> vector_head(8, 16, 4)(torch.zeros(2, 8)).shape
        torch.Size([2, 4])
    """
    widths = [inside, *[hidden] * (layers - 1), outside]
    parts: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        last = index == layers - 1
        parts.append(nn.Linear(before, after, bias=last or not norm))
        if not last:
            parts += [nn.BatchNorm1d(after), nn.ReLU(inplace=True)] if norm else [nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)


def dense_head(inside: int, hidden: int, outside: int, spatial_dims: int, layers: int = 2) -> nn.Sequential:
    """Build the same for maps (B, inside, *spatial): 1×1 convolutions, which give every position a vector of its own.

    Args:
        inside: Width of the map.
        hidden: Width between the layers.
        outside: Width of the result.
        spatial_dims: 2 or 3.
        layers: Convolutions.

    Example:
        >>> import torch
        >>> dense_head(8, 16, 4, spatial_dims=2)(torch.zeros(2, 8, 5, 5)).shape
        torch.Size([2, 4, 5, 5])
    """
    convolution = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
    widths = [inside, *[hidden] * (layers - 1), outside]
    parts: list[nn.Module] = []
    for before, after in pairwise(widths):
        parts += [convolution(before, after, 1), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts[:-1])
