"""How decoders go up, which U-Net and V-Net share: MC-Net has one decoder for each way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

Upsampling = Literal["transposed", "linear", "nearest"]


def interpolation(upsampling: Upsampling, stride: Sequence[int]) -> nn.Upsample:
    """Build the layer that interpolates a map to `stride` times its size.

    Args:
        upsampling: `linear` (corners stay where they are) or `nearest`.
        stride: Per axis.

    Example:
        >>> import torch
        >>> interpolation("nearest", (1, 2))(torch.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1., 1., 2., 2.]]]])
    """
    if upsampling == "nearest":
        return nn.Upsample(scale_factor=tuple(stride), mode="nearest")
    mode = "bilinear" if len(stride) == 2 else "trilinear"
    return nn.Upsample(scale_factor=tuple(stride), mode=mode, align_corners=True)
