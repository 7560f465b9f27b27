"""Second decoders: one for any network (interpolation and convolutions), and a network's own without its encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.networks.features import FeatureNetwork


class InterpolatingDecoder(nn.Module):
    """From the deepest encoder map up: interpolate to the next finer one, join the two, convolve; logits at the end.

    Args:
        channels: Width of every encoder map by name, in order of computation.
        num_classes: Classes including background.
        spatial_dims: 2 or 3.
        noise: x becomes x (1 + u), u uniform in ±noise, for every value of the encoder's maps, in training only (the
            feature noise of Ouali et al., Cross-Consistency Training, CVPR 2020).
        widest: Widths inside are those of the maps, but never above this.
    """

    def __init__(
        self, channels: Mapping[str, int], num_classes: int, spatial_dims: int, noise: float = 0.0, widest: int = 256
    ) -> None:
        super().__init__()
        self.names = list(channels)
        self.noise = noise
        self.mode = "bilinear" if spatial_dims == 2 else "trilinear"
        convolution: Any = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        norm = nn.InstanceNorm2d if spatial_dims == 2 else nn.InstanceNorm3d
        self.blocks = nn.ModuleList()
        width = channels[self.names[-1]]
        for name in reversed(self.names[:-1]):
            narrower = min(channels[name], widest)
            self.blocks.append(
                nn.Sequential(
                    convolution(width + channels[name], narrower, 3, 1, 1, bias=False),
                    norm(narrower, affine=True),
                    nn.LeakyReLU(0.01, inplace=True),
                )
            )
            width = narrower
        self.head = convolution(width, num_classes, 1)

    def forward(self, features: Mapping[str, Tensor], size: Sequence[int]) -> Tensor:
        """Logits (B, K, *size) from the encoder's maps by name (others are not looked at)."""
        maps = [self._perturbed(features[name]) for name in self.names]
        x = maps[-1]
        for block, finer in zip(self.blocks, reversed(maps[:-1]), strict=True):
            x = block(torch.cat([self._resized(x, finer.shape[2:]), finer], dim=1))
        return self._resized(self.head(x), size)

    def _perturbed(self, x: Tensor) -> Tensor:
        if not self.training or self.noise == 0:
            return x
        return x * (1 + torch.empty_like(x).uniform_(-self.noise, self.noise))

    def _resized(self, x: Tensor, size: Sequence[int]) -> Tensor:
        if tuple(x.shape[2:]) == tuple(size):
            return x
        return F.interpolate(x, tuple(size), mode=self.mode, align_corners=False)


def without_encoder(network: FeatureNetwork) -> FeatureNetwork:
    """Take the encoder out of a network: `decode` and `classify` are left, for the maps of another network's encoder.

    Args:
        network: Changed in place.

    Returns:
        The same network.

    Raises:
        SuiteError: The network has no decoder that stands alone.

    Example:
        >>> from contrastseg.networks.unet import build
        >>> sizes = {"spatial_dims": 2, "in_channels": 1, "num_classes": 3, "channels": (4, 8)}
        >>> first, second = build(**sizes), without_encoder(build(**sizes))
        >>> maps = first.encode(torch.zeros(1, 1, 8, 8))
        >>> second.classify(second.decode(maps, (8, 8))).shape
        torch.Size([1, 3, 8, 8])
    """
    if type(network).decode is FeatureNetwork.decode:
        raise SuiteError(
            f"{type(network).__name__} has no decoder that works on the maps of another encoder",
            remedy="use unet or vnet for methods with several decoders",
        )
    network.encoder = nn.Identity()
    return network
