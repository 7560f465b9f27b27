"""Uncertainty-aware feature re-weighting: a block that attenuates features where a small classifier is unsure."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError, unknown_name

_NORM: dict[str, dict[int, type[nn.Module]]] = {
    "batch": {2: nn.BatchNorm2d, 3: nn.BatchNorm3d},
    "instance": {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d},
}


class UncertaintyReweighting(nn.Module):
    """y = x + x · (1 − U), U = −Σ P log P / log M ∈ [0, 1], P = softmax of a small head with M outputs.

    The head is conv 3×3 → norm → ReLU → dropout → conv 1×1; the first has a bias in 3D alone, as released. There is no
    auxiliary loss: P is learned through y alone.

    Args:
        channels: Width of the feature map.
        spatial_dims: 2 or 3.
        hidden: Width inside the head; the released code has 16 in 2D and a quarter of `channels` in 3D.
        outputs: M; 2 in the paper, whatever the number of classes.
        kernel: Side of the first convolution, an odd number; 3 in the released code.
        dropout: Share of values dropped before the last convolution.
        norm: `batch`, as released in 2D and 3D, or `instance`.

    Raises:
        SuiteError: Fewer than two outputs, an even kernel, a share that is none, or a norm that does not exist.

    Source:
        Li et al., Contrastive and Selective Hidden Embeddings for Medical Image Segmentation, IEEE TMI 2022,
        doi 10.1109/TMI.2022.3186677, and its released code.

    Example:
        >>> block = UncertaintyReweighting(channels=4, spatial_dims=2)
        >>> block(torch.ones(2, 4, 8, 8)).shape
        torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        spatial_dims: int,
        hidden: int | None = None,
        outputs: int = 2,
        kernel: int = 3,
        dropout: float = 0.0,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        if outputs < 2:
            raise SuiteError(f"uafr: an uncertainty of {outputs} outputs", remedy="set outputs to 2 or more")
        if kernel < 1 or kernel % 2 == 0:
            raise SuiteError(f"uafr: kernel is {kernel}", remedy="set it to an odd number, such as 1, 3 or 5")
        if not 0 <= dropout < 1:
            raise SuiteError(f"uafr: dropout is {dropout}", remedy="set it to a number from 0 to below 1")
        if norm not in _NORM:
            raise SuiteError(unknown_name("norm of uafr", norm, list(_NORM)))
        convolution = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
        if hidden is None:
            hidden = 16 if spatial_dims == 2 else max(1, channels // 4)
        self.outputs = outputs
        self.head = nn.Sequential(
            convolution(channels, hidden, kernel, padding=kernel // 2, bias=spatial_dims == 3),
            _NORM[norm][spatial_dims](hidden, affine=True),
            nn.ReLU(inplace=True),
            *([nn.Dropout(dropout)] if dropout > 0 else []),
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
