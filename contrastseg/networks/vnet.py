"""V-Net in 2D and 3D, as the semi-supervised literature trains it: strided convolutions down, transposed ones up.

Source: Milletari et al., V-Net, 3DV 2016, arXiv 1606.04797, in the shape of SSL4MIS (kernels of side 3, ReLU, batch
norm, skips added, not concatenated; no residual connections there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.networks._upsampling import Upsampling, interpolation
from contrastseg.networks.features import FeatureNetwork

CONVOLUTIONS = (1, 2, 3, 3, 3)

_CONV: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_DROPOUT: dict[int, Any] = {2: nn.Dropout2d, 3: nn.Dropout3d}
_NORM: dict[str, dict[int, Any]] = {
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
}


class _Block(nn.Module):
    """Convolutions of one level; with `residual`, the input is added before the last activation."""

    def __init__(self, inside: int, outside: int, count: int, dims: int, norm: str, residual: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(count):
            # The norm subtracts a mean, so a bias would do nothing.
            convolution = _CONV[dims](inside if index == 0 else outside, outside, 3, padding=1, bias=False)
            layers += [convolution, _NORM[norm][dims](outside, affine=True), nn.ReLU(inplace=True)]
        self.convolutions = nn.Sequential(*layers[:-1])
        self.activation = nn.ReLU(inplace=True)
        self.shortcut: nn.Module | None = None
        if residual:
            self.shortcut = nn.Identity() if inside == outside else _CONV[dims](inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        result = self.convolutions(x)
        if self.shortcut is not None:
            result = result + self.shortcut(x)
        activated: Tensor = self.activation(result)
        return activated


class VNet(FeatureNetwork):
    """Encoder `encoder0`…`encoder4`, decoder `decoder3`…`decoder0`; the width doubles from level to level."""

    encoder: nn.ModuleList

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        num_classes: int,
        *,
        width: int,
        strides: Sequence[int | Sequence[int]],
        norm: Literal["batch", "instance"],
        residual: bool,
        dropout: float,
        upsampling: Upsampling,
    ) -> None:
        super().__init__()
        levels = len(CONVOLUTIONS)
        steps = [(s,) * spatial_dims if isinstance(s, int) else tuple(s) for s in strides]
        if len(steps) != levels - 1 or any(len(s) != spatial_dims for s in steps):
            raise SuiteError(
                f"vnet: strides of {levels} levels in {spatial_dims}D are {list(strides)}",
                remedy=f"give {levels - 1} strides of {spatial_dims} numbers each",
            )
        channels = [width * 2**level for level in range(levels)]
        self.upsampling = upsampling

        def resample(*layers: nn.Module, outside: int) -> nn.Sequential:
            return nn.Sequential(*layers, _NORM[norm][spatial_dims](outside, affine=True), nn.ReLU(inplace=True))

        def up(inside: int, outside: int, step: tuple[int, ...]) -> nn.Sequential:
            if upsampling == "transposed":
                widened = [_TRANSPOSED[spatial_dims](inside, outside, step, step, bias=False)]
            else:
                convolution = _CONV[spatial_dims](inside, outside, 3, padding=1, bias=False)
                widened = [interpolation(upsampling, step), convolution]
            return resample(*widened, outside=outside)

        def block(inside: int, level: int) -> _Block:
            return _Block(inside, channels[level], CONVOLUTIONS[level], spatial_dims, norm, residual)

        first = block(in_channels, 0)
        self.encoder = nn.ModuleList([first])
        for level in range(1, levels):
            step = steps[level - 1]
            down = _CONV[spatial_dims](channels[level - 1], channels[level], step, step, bias=False)
            down = resample(down, outside=channels[level])
            self.encoder.append(nn.Sequential(down, block(channels[level], level)))
        self.up = nn.ModuleList(up(channels[level + 1], channels[level], steps[level]) for level in range(levels - 1))
        self.decoder = nn.ModuleList(block(channels[level], level) for level in range(levels - 1))
        self.dropout = _DROPOUT[spatial_dims](dropout)
        self.head = _CONV[spatial_dims](width, num_classes, 1)
        total = [(1,) * spatial_dims]
        for step in steps:
            total.append(tuple(a * b for a, b in zip(total[-1], step, strict=True)))
        order = [f"encoder{level}" for level in range(levels)]
        order += [f"decoder{level}" for level in reversed(range(levels - 1))]
        self.strides = {name: total[int(name[7:])] for name in order}
        self.channels = {name: channels[int(name[7:])] for name in order}

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.encode`."""
        maps: dict[str, Tensor] = {}
        x = images
        for level, stage in enumerate(self.encoder):
            x = maps[f"encoder{level}"] = self.attached(f"encoder{level}", stage(x))
        return maps

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.features`."""
        return self.decode(self.encode(images), images.shape[2:])

    def decode(self, encoded: Mapping[str, Tensor], size: Sequence[int]) -> dict[str, Tensor]:
        """See `FeatureNetwork.decode`."""
        maps = dict(encoded)
        x = self.dropout(maps[f"encoder{len(self.decoder)}"])
        for level in reversed(range(len(self.decoder))):
            joined = self.up[level](x) + maps[f"encoder{level}"]
            x = maps[f"decoder{level}"] = self.attached(f"decoder{level}", self.decoder[level](joined))
        return maps

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureNetwork.classify`."""
        logits: Tensor = self.head(self.dropout(features["decoder0"]))
        return logits


def build(
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    width: int = 16,
    strides: Sequence[int | Sequence[int]] = (2, 2, 2, 2),
    norm: Literal["batch", "instance"] = "batch",
    residual: bool = False,
    dropout: float = 0.5,
    upsampling: Upsampling = "transposed",
) -> VNet:
    """Build a V-Net of five levels with 1, 2, 3, 3 and 3 convolutions.

    Args:
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        width: Width of the first level; every further one has twice as much.
        strides: Stride from each level to the next, one number or one per axis.
        norm: Normalisation.
        residual: Whether blocks add their input, as Milletari's do and SSL4MIS's do not. Where widths differ (the
            image and the first level) a 1×1 convolution brings the input to the block's width.
        dropout: Share of whole channels dropped after the deepest block and before the classifier; SSL4MIS's 0.5.
        upsampling: How the decoder goes up: `transposed` convolutions, or interpolation, `linear` or `nearest`, and a
            convolution of side 3, as MC-Net's further decoders do.

    Raises:
        SuiteError: A value that does not exist, or strides that do not fit the five levels.

    Example:
        >>> import torch
        >>> network = build(spatial_dims=2, in_channels=1, num_classes=2, width=4)
        >>> network(torch.zeros(1, 1, 32, 32)).shape
        torch.Size([1, 2, 32, 32])
    """
    if upsampling not in get_args(Upsampling):
        raise SuiteError(unknown_name("upsampling of network vnet", upsampling, get_args(Upsampling)))
    return VNet(
        spatial_dims,
        in_channels,
        num_classes,
        width=width,
        strides=strides,
        norm=norm,
        residual=residual,
        dropout=dropout,
        upsampling=upsampling,
    )
