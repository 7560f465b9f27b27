"""A network whose strides need not divide the images."""

from __future__ import annotations

from itertools import chain

import torch.nn.functional as F
from torch import Tensor, nn

from contrastseg.networks.features import FeatureNetwork


class Padded(nn.Module):
    """Pads images with zeros at the end of each axis to multiples of a network's strides, and cuts the logits.

    Where its deepest map would have one position, the last axis is padded to two: instance norm needs them.

    Args:
        network: Any.

    Example:
        >>> import torch
        >>> from contrastseg.networks.unet import build
        >>> network = build(spatial_dims=2, in_channels=1, num_classes=3, channels=(4, 8, 8))
        >>> Padded(network)(torch.zeros(1, 1, 9, 12)).shape
        torch.Size([1, 3, 9, 12])
    """

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, *spatial) for images (B, C, *spatial)."""
        size, steps = images.shape[2:], self.network.divisor
        missing = [-length % step for length, step in zip(size, steps, strict=True)]
        if all(length <= step for length, step in zip(size, steps, strict=True)):
            missing[-1] += steps[-1]
        if not any(missing):
            whole: Tensor = self.network(images)
            return whole
        padded = F.pad(images, list(chain.from_iterable((0, amount) for amount in reversed(missing))))
        logits: Tensor = self.network(padded)
        for axis, length in enumerate(size, start=2):
            logits = logits.narrow(axis, 0, length)
        return logits
