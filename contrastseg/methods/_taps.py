"""Which of a network's feature maps a method looks at, chosen by stride or by extent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from contrastseg.errors import SuiteError


def encoder_maps(network: Any) -> list[str]:
    """Names of the encoder's maps, in order of computation."""
    return [name for name in network.channels if name.startswith("encoder")]


def map_of_stride(network: Any, part: str, stride: int) -> str:
    """Name of the encoder or decoder map with this (largest) stride.

    Raises:
        SuiteError: The network has none; the message lists the strides it has.
    """
    by_stride = {max(strides): name for name, strides in network.strides.items() if name.startswith(part)}
    if stride not in by_stride:
        raise SuiteError(
            f"the network has no {part} map of stride {stride}; there are: {sorted(by_stride)}",
            remedy="choose one of these strides, or give the network more levels",
        )
    return by_stride[stride]


def deepest_map(network: Any, patch_size: Sequence[int], cells: int = 1) -> str:
    """Name of the deepest encoder map that has so many cells on a patch; the deepest of all if no patch is known.

    Raises:
        SuiteError: No map has so many.
    """
    for name in reversed(encoder_maps(network)):
        shape = [-(-size // stride) for size, stride in zip(patch_size, network.strides[name], strict=False)]
        if not patch_size or math.prod(shape) >= cells:
            return name
    raise SuiteError(
        f"no encoder map has {cells} cells on a patch of {list(patch_size)}",
        remedy="use larger patches, or ask for fewer cells",
    )
