"""Finding a network's feature maps by their stride, for methods that look inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from contrastseg.errors import SuiteError


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
