"""Uncertainty-aware feature re-weighting: a block that attenuates features where a small classifier is unsure."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class UncertaintyReweighting(nn.Module):
    """y = x + x · (1 − U), U = −Σ P log P / log M ∈ [0, 1], P = softmax of a small head with M outputs.

    The head is conv 3×3 (no bias) → norm → ReLU → conv 1×1. There is no auxiliary loss: P is learned through y alone.

    Args:
        channels: Width of the feature map.
        spatial_dims: 2 or 3.
        hidden: Width inside the head; the released code has 16 in 2D and a quarter of `channels` in 3D.
        outputs: M; 2 in the paper, whatever the number of classes.

    Source:
        Li et al., Contrastive and Selective Hidden Embeddings for Medical Image Segmentation, IEEE TMI 2022,
        doi 10.1109/TMI.2022.3186677, and its released code.
    """

    def __init__(self, channels: int, spatial_dims: int, hidden: int | None = None, outputs: int = 2) -> None:
        super().__init__()
        if outputs < 2:
            raise ValueError(f"an uncertainty needs at least 2 outputs, got {outputs}")
        convolution = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        # As released: batch norm in the 2D network, instance norm in the 3D one.
        norm = nn.BatchNorm2d if spatial_dims == 2 else nn.InstanceNorm3d
        if hidden is None:
            hidden = 16 if spatial_dims == 2 else max(1, channels // 4)
        self.outputs = outputs
        self.head = nn.Sequential(
            convolution(channels, hidden, 3, padding=1, bias=False),
            norm(hidden, affine=True),
            nn.ReLU(inplace=True),
            convolution(hidden, outputs, 1),
        )

    def uncertainty(self, features: Tensor) -> Tensor:
        """Normalised entropy U, (B, 1, *spatial), in [0, 1]. Computed in float32 whatever the input's precision."""
        log_p = torch.log_softmax(self.head(features).float(), dim=1)
        entropy = -(log_p.exp() * log_p).sum(dim=1, keepdim=True)
        return entropy / math.log(self.outputs)

    def forward(self, features: Tensor) -> Tensor:
        """The re-weighted map, shape and type as `features` (B, C, *spatial)."""
        return features + features * (1 - self.uncertainty(features)).to(features.dtype)
