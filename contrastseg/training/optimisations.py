"""How the networks are laid out and compiled: the same function, computed in another order."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from contrastseg.networks.features import FeatureNetwork

MemoryFormat = Literal["contiguous", "channels_last"]
_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
_COMPILED = ("features", "encode", "classify")


def lay_out(modules: nn.Module, spatial_dims: int, chosen: MemoryFormat) -> None:
    """Put the convolutions' weights into a layout; what they compute takes it over.

    Random numbers that a dropout draws over feature maps come in the order of memory, so they change with it.
    """
    if chosen == "channels_last":
        modules.to(memory_format=_CHANNELS_LAST[spatial_dims])  # type: ignore[call-overload]


def compile_networks(modules: nn.Module, mode: Literal["off", "default", "reduce-overhead"]) -> None:
    """Compile what the networks compute; names of parameters stay as they are, so checkpoints fit either way.

    `reduce-overhead` records CUDA graphs on a GPU. A run has few shapes, each compiled for itself. Attached blocks are
    compiled with the network they are part of.
    """
    if mode == "off":
        return
    for network in modules.modules():
        if isinstance(network, FeatureNetwork):
            for name in _COMPILED:
                setattr(network, name, torch.compile(getattr(network, name), mode=mode, dynamic=False))
