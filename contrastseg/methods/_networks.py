"""Averages of networks, and how networks are asked: as at a prediction, or with their encoder's maps perturbed."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


def average_of(network: nn.Module) -> nn.Module:
    """Make a teacher: a copy of the network that gets no gradient, for `losses.consistency.update_moving_average`."""
    return copy.deepcopy(network).requires_grad_(False)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Within it the network is as at a prediction: no dropout, running statistics; without gradient."""
    import torch

    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train()


def with_dropped_channels(network: Any, images: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Logits of images twice, from the encoder's maps as they are and with channels dropped; the decoder sees both.

    Args:
        network: A `FeatureNetwork`.
        images: (B, C, *spatial).
        share: Of the channels of every encoder map.

    Returns:
        Logits (B, K, *spatial), plain and perturbed.
    """
    import torch

    from contrastseg.losses.perturbation import channel_dropout

    maps = network.encode(images)
    both = {name: torch.cat([each, channel_dropout(each, share)]) for name, each in maps.items()}
    plain, dropped = network.classify(network.features_with(both, torch.cat([images, images]))).chunk(2)
    return plain, dropped
