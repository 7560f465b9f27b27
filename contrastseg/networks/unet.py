"""U-Net in 2D and 3D, with strided convolutions down and transposed ones up.

Neither max-pooling nor interpolation is used: their backward passes have no deterministic CUDA kernels in 3D.
Source: Ronneberger et al., MICCAI 2015, in the shape nnU-Net gave it (instance norm, leaky ReLU, strided convolutions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.networks.features import FeatureNetwork

_CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_NORM: dict[str, dict[int, type[nn.Module]]] = {
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
}


class UNet(FeatureNetwork):
    """Encoder `encoder0`…`encoderL`, decoder `decoderL-1`…`decoder0`; strides multiply from level to level."""

    encoder: nn.ModuleList

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int],
        strides: Sequence[int | Sequence[int]],
        convolutions: int,
        norm: Literal["instance", "batch"],
    ) -> None:
        super().__init__()
        steps = [(s,) * spatial_dims if isinstance(s, int) else tuple(s) for s in strides]
        if len(steps) != len(channels) - 1 or any(len(s) != spatial_dims for s in steps):
            raise SuiteError(
                f"unet: {len(channels)} levels in {spatial_dims}D need {len(channels) - 1} strides"
                f" of {spatial_dims} numbers, not {list(strides)}"
            )
        conv, norms = _CONV[spatial_dims], _NORM[norm]

        def block(inside: int, outside: int, stride: tuple[int, ...]) -> nn.Sequential:
            layers: list[nn.Module] = []
            for index in range(convolutions):
                layers += [
                    conv(inside if index == 0 else outside, outside, 3, stride if index == 0 else 1, 1, bias=False),
                    norms[spatial_dims](outside, affine=True),
                    nn.LeakyReLU(0.01, inplace=True),
                ]
            return nn.Sequential(*layers)

        levels = len(channels)
        total = [(1,) * spatial_dims]
        for step in steps:
            total.append(tuple(a * b for a, b in zip(total[-1], step, strict=True)))
        self.encoder = nn.ModuleList(
            block(
                in_channels if level == 0 else channels[level - 1],
                channels[level],
                (1,) * spatial_dims if level == 0 else steps[level - 1],
            )
            for level in range(levels)
        )
        self.up = nn.ModuleList(
            _TRANSPOSED[spatial_dims](channels[level + 1], channels[level], steps[level], steps[level])
            for level in range(levels - 1)
        )
        self.decoder = nn.ModuleList(
            block(2 * channels[level], channels[level], (1,) * spatial_dims) for level in range(levels - 1)
        )
        self.head = conv(channels[0], num_classes, 1)
        self.strides = {f"encoder{level}": total[level] for level in range(levels)}
        self.strides |= {f"decoder{level}": total[level] for level in reversed(range(levels - 1))}
        self.channels = {name: channels[int(name[7:])] for name in self.strides}

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.encode`."""
        maps: dict[str, Tensor] = {}
        x = images
        for level, block in enumerate(self.encoder):
            x = maps[f"encoder{level}"] = self.attached(f"encoder{level}", block(x))
        return maps

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.features`."""
        maps = self.encode(images)
        x = maps[f"encoder{len(self.encoder) - 1}"]
        for level in reversed(range(len(self.decoder))):
            joined = torch.cat([self.up[level](x), maps[f"encoder{level}"]], dim=1)
            x = maps[f"decoder{level}"] = self.attached(f"decoder{level}", self.decoder[level](joined))
        return maps

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureNetwork.classify`."""
        logits: Tensor = self.head(features["decoder0"])
        return logits


def build(
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    channels: Sequence[int] = (16, 32, 64, 128, 256),
    strides: Sequence[int | Sequence[int]] | None = None,
    convolutions: int = 2,
    norm: Literal["instance", "batch"] = "instance",
) -> UNet:
    """A U-Net.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        channels: Width of every level.
        strides: Stride from each level to the next, one number or one per axis; 2 everywhere if unset.
        convolutions: Convolutions per block.
        norm: Normalisation; `instance` does not depend on the rest of the batch.
    """
    if strides is None:
        strides = [2] * (len(channels) - 1)
    return UNet(spatial_dims, in_channels, num_classes, channels, strides, convolutions, norm)
