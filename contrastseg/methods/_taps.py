"""Finding a network's feature maps by stride, by name or by extent, for methods that look inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from contrastseg.errors import SuiteError, unknown_name


def maps_of_strides(
    method: str, network: Any, part: Literal["encoder", "decoder"], strides: Sequence[int], setting: str
) -> list[str]:
    """Names of the encoder or decoder maps with these (largest) strides; of several, the last one computed.

    Args:
        method: Who asks, for the message.
        network: A `FeatureNetwork`.
        part: Where to look.
        strides: The strides wanted, one map each.
        setting: The setting that names them, for the message.

    Raises:
        SuiteError: The network has no map of that stride; the message lists those it has.
    """
    by_stride = {max(s): name for name, s in network.strides.items() if name.startswith(part)}
    for stride in strides:
        if stride not in by_stride:
            raise SuiteError(
                f"{method}: the network has no {part} map of stride {stride}; there are: {sorted(by_stride)}",
                remedy=f"change {setting} of {method}, or the network",
            )
    return [by_stride[stride] for stride in strides]


def maps_of_names(method: str, network: Any, names: Sequence[str], setting: str) -> list[str]:
    """These names, when the network has maps of all of them.

    Args:
        method: Who asks, for the message.
        network: A `FeatureNetwork`.
        names: Names of its maps.
        setting: The setting that lists them, for the message.

    Raises:
        SuiteError: It is not a list of names, or the network has no map of that name; the message lists those it has.
    """
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise SuiteError(f"{method}: {setting} is {names!r}", remedy="give a list of names of feature maps")
    for name in names:
        if name not in network.channels:
            raise SuiteError(
                f"{method}: {unknown_name('feature map', name, list(network.channels))}",
                remedy=f"change {setting} of {method}, or the network",
            )
    return list(names)


def deepest_map(method: str, network: Any, patch_size: Sequence[int], cells: int) -> str:
    """Name of the deepest encoder map that has so many cells on a patch; the deepest of all if no patch is known.

    Args:
        method: Who asks, for the message.
        network: A `FeatureNetwork`.
        patch_size: Shape of the images it will see; empty where it is not known.
        cells: How many positions the map must have.

    Raises:
        SuiteError: No map has so many.
    """
    encoder = [(name, strides) for name, strides in network.strides.items() if name.startswith("encoder")]
    for name, strides in reversed(encoder):
        if not patch_size or math.prod(-(-n // s) for n, s in zip(patch_size, strides, strict=True)) >= cells:
            return name
    raise SuiteError(
        f"{method}: no encoder map has {cells} cells on a patch of {list(patch_size)}",
        remedy="use larger patches, or ask for fewer cells",
    )
