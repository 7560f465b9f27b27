"""U-Net in 2D and 3D, by default with strided convolutions down and transposed ones up.

By default it does not interpolate: the backward pass of that has no deterministic CUDA kernel. Windows of max-pooling
do not overlap, so that every voxel gets at most one gradient and the order of additions does not matter.
Source: Ronneberger et al., MICCAI 2015, in the shape nnU-Net gave it (instance norm, leaky ReLU, strided convolutions).
SSL4MIS's U-Net has `norm: batch`, `pooling: max`, `upsampling: linear` (its transposed convolutions are never built),
`dropout: [0.05, 0.1, 0.2, 0.3, 0.5]` and `head_kernel: 3`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.networks._upsampling import Upsampling, interpolation
from contrastseg.networks.features import FeatureNetwork

Norm = Literal["instance", "batch"]
Pooling = Literal["strided", "max"]

_CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
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
        *,
        channels: Sequence[int],
        strides: Sequence[int | Sequence[int]],
        convolutions: int,
        norm: Norm,
        pooling: Pooling,
        upsampling: Upsampling,
        dropout: Sequence[float],
        head_kernel: int,
    ) -> None:
        super().__init__()
        steps = [(s,) * spatial_dims if isinstance(s, int) else tuple(s) for s in strides]
        if len(steps) != len(channels) - 1 or any(len(s) != spatial_dims for s in steps):
            raise SuiteError(
                f"unet: strides of {len(channels)} levels in {spatial_dims}D are {list(strides)}",
                remedy=f"give {len(channels) - 1} strides of {spatial_dims} numbers each",
            )
        conv, norms = _CONV[spatial_dims], _NORM[norm]
        self.upsampling = upsampling

        def block(inside: int, outside: int, stride: tuple[int, ...], dropped: float = 0.0) -> nn.Sequential:
            layers: list[nn.Module] = []
            if pooling == "max" and max(stride) > 1:
                layers.append(_POOL[spatial_dims](stride, stride))
                stride = (1,) * spatial_dims
            for index in range(convolutions):
                layers += [
                    conv(inside if index == 0 else outside, outside, 3, stride if index == 0 else 1, 1, bias=False),
                    norms[spatial_dims](outside, affine=True),
                    nn.LeakyReLU(0.01, inplace=True),
                ]
                if index == 0 and dropped > 0:
                    layers.append(nn.Dropout(dropped))
            return nn.Sequential(*layers)

        def up(inside: int, outside: int, stride: tuple[int, ...]) -> nn.Module:
            if upsampling == "transposed":
                return _TRANSPOSED[spatial_dims](inside, outside, stride, stride)
            return nn.Sequential(conv(inside, outside, 1), interpolation(upsampling, stride))

        levels = len(channels)
        total = [(1,) * spatial_dims]
        for step in steps:
            total.append(tuple(a * b for a, b in zip(total[-1], step, strict=True)))
        self.encoder = nn.ModuleList(
            block(
                in_channels if level == 0 else channels[level - 1],
                channels[level],
                (1,) * spatial_dims if level == 0 else steps[level - 1],
                dropout[level],
            )
            for level in range(levels)
        )
        self.up = nn.ModuleList(up(channels[level + 1], channels[level], steps[level]) for level in range(levels - 1))
        self.decoder = nn.ModuleList(
            block(2 * channels[level], channels[level], (1,) * spatial_dims) for level in range(levels - 1)
        )
        self.head = conv(channels[0], num_classes, head_kernel, padding=head_kernel // 2)
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
        return self.decode(self.encode(images), images.shape[2:])

    def decode(self, encoded: Mapping[str, Tensor], size: Sequence[int]) -> dict[str, Tensor]:
        """See `FeatureNetwork.decode`."""
        maps = dict(encoded)
        x = maps[f"encoder{len(self.decoder)}"]
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
    norm: Norm = "instance",
    pooling: Pooling = "strided",
    upsampling: Upsampling = "transposed",
    dropout: float | Sequence[float] = 0.0,
    head_kernel: int = 1,
) -> UNet:
    """Build a U-Net.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        channels: Width of every level.
        strides: Stride from each level to the next, one number or one per axis; 2 everywhere if unset.
        convolutions: Convolutions per block.
        norm: Normalisation; `instance` does not depend on the rest of the batch.
        pooling: How the encoder goes down: `strided` (a level's first convolution) or `max` (max-pooling before it).
        upsampling: How the decoder goes up: `transposed` convolutions, or a 1×1 convolution and interpolation, `linear`
            or `nearest`.
        dropout: Share of values dropped after the first convolution of the encoder's blocks, for all levels or for
            each; the decoder has none, as in SSL4MIS.
        head_kernel: Side of the classifier's kernel, an odd number.

    Raises:
        SuiteError: A value that does not exist or does not fit the number of levels.

    Example:
        >>> import torch
        >>> network = build(spatial_dims=2, in_channels=1, num_classes=4, channels=(4, 8, 16))
        >>> network(torch.zeros(1, 1, 16, 16)).shape, network.divisor
        (torch.Size([1, 4, 16, 16]), (4, 4))
    """
    for kind, value, known in (
        ("norm", norm, Norm),
        ("pooling", pooling, Pooling),
        ("upsampling", upsampling, Upsampling),
    ):
        if value not in get_args(known):
            raise SuiteError(unknown_name(f"{kind} of network unet", value, get_args(known)))
    if strides is None:
        strides = [2] * (len(channels) - 1)
    shares = [dropout] * len(channels) if isinstance(dropout, int | float) else list(dropout)
    if len(shares) != len(channels) or not all(0 <= share < 1 for share in shares):
        raise SuiteError(
            f"unet: dropout of {len(channels)} levels is {dropout}",
            remedy=f"give one number from 0 to below 1, or {len(channels)} of them",
        )
    if head_kernel < 1 or head_kernel % 2 == 0:
        raise SuiteError(f"unet: head_kernel is {head_kernel}", remedy="set it to an odd number, such as 1 or 3")
    return UNet(
        spatial_dims,
        in_channels,
        num_classes,
        channels=channels,
        strides=strides,
        convolutions=convolutions,
        norm=norm,
        pooling=pooling,
        upsampling=upsampling,
        dropout=shares,
        head_kernel=head_kernel,
    )
