"""How the networks are laid out and compiled: the same function, computed in another order."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from contrastseg.networks.features import FeatureNetwork
from contrastseg.training.settings import TrainingSettings

MemoryFormat = Literal["contiguous", "channels_last"]
_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
_COMPILED = ("features", "encode", "classify")


def memory_format(training: TrainingSettings, device: str, precision: str) -> MemoryFormat:
    """The layout of the networks' weights and so of their feature maps; `auto` is what was measured to be faster.

    Args:
        training: Its `memory_format` wins unless it is `auto`.
        device: `cpu` or `cuda`.
        precision: As Lightning Fabric calls it.
    """
    if training.memory_format != "auto":
        return training.memory_format
    # benchmarks/speed/results/options-*.csv; no measurement on a GPU stands behind another choice there.
    return "channels_last" if device == "cpu" and precision == "32-true" else "contiguous"


def lay_out(modules: nn.Module, spatial_dims: int, chosen: MemoryFormat) -> None:
    """Put the convolutions' weights into a layout; what they compute takes it over."""
    if chosen == "channels_last":
        modules.to(memory_format=_CHANNELS_LAST[spatial_dims])  # type: ignore[call-overload]


def compile_networks(modules: nn.Module, mode: Literal["off", "default", "reduce-overhead"]) -> None:
    """Compile what the networks compute; names of parameters stay as they are, so checkpoints fit either way.

    `reduce-overhead` records CUDA graphs on a GPU. Attached blocks are compiled with the network they are part of.
    """
    if mode == "off":
        return
    for network in modules.modules():
        if isinstance(network, FeatureNetwork):
            for name in _COMPILED:
                setattr(network, name, torch.compile(getattr(network, name), mode=mode))
