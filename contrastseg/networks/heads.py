"""Heads that pre-training puts on a network's features and throws away after: for vectors and for maps."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrastseg.tensors import values_at_hand


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


class ClassSelectors(nn.Module):
    """Scores vectors by a small perceptron of each one's class: two layers, batch norm over the class's own vectors.

    Args:
        num_classes: K; class 0, the background, has none.
        width: D, of the vectors and between the layers.

    Example:
        >>> scores = ClassSelectors(3, 8)(torch.randn(5, 8), torch.tensor([0, 1, 1, 2, 2]))
        >>> scores.shape, scores[0].item()
        (torch.Size([5]), 0.0)
    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(1, num_classes))
        self.norm = nn.ParameterList(nn.Parameter(torch.ones(width)) for _ in range(1, num_classes))
        self.shift = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in range(1, num_classes))
        self.score = nn.ModuleList(nn.Linear(width, 1) for _ in range(1, num_classes))

    def forward(self, vectors: Tensor, classes: Tensor) -> Tensor:
        """Scores in (0, 1), (N,), of vectors (N, D) with their classes (N,); 0 for vectors of other classes.

        On a CPU each perceptron sees the vectors of its class; elsewhere all of them, so that no shape hangs on values.
        """
        scores = torch.zeros(len(vectors), device=vectors.device)
        at_hand = values_at_hand(classes)
        for index in range(1, len(self.hidden) + 1):
            own = classes == index
            if at_hand:
                chosen = own.nonzero()[:, 0]
                scores[chosen] = self._scored(index - 1, vectors[chosen], torch.ones_like(chosen, dtype=torch.bool))
            else:
                scores = torch.where(own, self._scored(index - 1, vectors, own), scores)
        return scores

    def _scored(self, place: int, vectors: Tensor, own: Tensor) -> Tensor:
        """Scores of all vectors by one perceptron; its batch norm is over those of the class."""
        count = own.sum().clamp(min=1)
        values = self.hidden[place](vectors).float()
        mean = torch.where(own[:, None], values, 0.0).sum(0) / count
        centred = torch.where(own[:, None], values - mean, 0.0)
        variance = centred.square().sum(0) / count
        values = F.leaky_relu(centred * torch.rsqrt(variance + 1e-5) * self.norm[place] + self.shift[place], 0.2)
        scores: Tensor = self.score[place](values).float().sigmoid()[:, 0]
        return scores
