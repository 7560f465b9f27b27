"""Perturbed feature maps, as cross-consistency training and URPC perturb them.

Source: Ouali et al., Semi-Supervised Semantic Segmentation with Cross-Consistency Training, CVPR 2020, in the shape of
SSL4MIS. Everything random is drawn on the map's device from torch's global generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def feature_noise(feature: Tensor, strength: float) -> Tensor:
    """Multiply by 1 + u, u uniform in ±strength for every value of a map, one field for all images of the batch.

    Args:
        feature: (B, C, *spatial).
        strength: Of the noise, relative to the value.

    Example:
        >>> noisy = feature_noise(torch.ones(2, 1, 4, 4), 0.3)
        >>> bool(((noisy >= 0.7) & (noisy <= 1.3)).all()), torch.equal(noisy[0], noisy[1])
        (True, True)
    """
    return feature * (1 + torch.empty_like(feature[:1]).uniform_(-strength, strength))


def value_dropout(feature: Tensor, share: float) -> Tensor:
    """Set single values to 0, each with probability `share`; the others grow by 1 / (1 − share).

    Args:
        feature: (B, C, *spatial).
        share: From 0 to below 1.

    Example:
        >>> value_dropout(torch.ones(1, 1, 2, 2), 0.5).unique().tolist() in ([0.0], [0.0, 2.0], [2.0])
        True
    """
    return F.dropout(feature, share)


def feature_dropout(feature: Tensor, shares: Sequence[float]) -> Tensor:
    """Set to 0 where the network looks most: where the mean over the channels reaches a share of its largest value.

    Args:
        feature: (B, C, *spatial).
        shares: Bounds of the share, which is drawn uniformly, one for the batch.

    Example:
        >>> feature_dropout(torch.tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), (0.7, 0.7))
        tensor([[[[1., 2., 0., 0.]]]])
    """
    attention = feature.mean(dim=1, keepdim=True)
    share = torch.empty((), dtype=attention.dtype, device=feature.device).uniform_(*shares)
    threshold = attention.amax(dim=tuple(range(1, feature.dim())), keepdim=True) * share
    return feature * (attention < threshold)


def perturbation(
    name: str, *, noise: float, dropout: float, feature_dropout_shares: Sequence[float]
) -> Callable[[Tensor], Tensor]:
    """Get a perturbation by name.

    Args:
        name: `noise`, `dropout` or `feature_dropout`.
        noise: Strength of `noise`.
        dropout: Share of `dropout`.
        feature_dropout_shares: Bounds of the share of `feature_dropout`.

    Returns:
        A function from a map to the perturbed map.

    Example:
        >>> quiet = perturbation("noise", noise=0.0, dropout=0.5, feature_dropout_shares=(0.7, 0.9))
        >>> quiet(torch.ones(1, 1, 2))
        tensor([[[1., 1.]]])
    """
    known: dict[str, Callable[[Tensor], Tensor]] = {
        "noise": lambda feature: feature_noise(feature, noise),
        "dropout": lambda feature: value_dropout(feature, dropout),
        "feature_dropout": lambda feature: feature_dropout(feature, feature_dropout_shares),
    }
    return known[name]
