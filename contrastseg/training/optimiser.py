"""The optimiser the settings name: one launch for all parameters on a GPU, torch's own choice elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from contrastseg.training.settings import OptimiserSettings, TrainingSettings
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.torch_optimisers import SGD, Adam, AdamW

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_OF_THE_MACHINE = ("foreach", "fused", "capturable", "lr")
"""What a group of parameters holds about how its update is computed here, not about how far training is."""


def fuses(device: torch.device, training: TrainingSettings) -> bool:
    """Say whether a run's optimiser is fused: on a GPU, but not with 16-mixed.

    There gradients have to be unscaled before they are clipped, and a fused optimiser unscales them in its step.
    """
    return device.type == "cuda" and training.precision != "16-mixed"


def build_optimiser(
    parameters: Sequence[nn.Parameter], settings: OptimiserSettings, *, fused: bool = False
) -> torch.optim.Optimizer:
    """Build the optimiser the settings name.

    Args:
        parameters: What it moves.
        settings: Name and constants; the learning rate of a step is put into `param_groups` before it.
        fused: One kernel for all parameters of a type, which also takes a learning rate that lies on the device.
    """
    chosen = True if fused else None
    if settings.name == "sgd":
        return SGD(
            parameters,
            settings.learning_rate,
            settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov and settings.momentum > 0,
            fused=chosen,
        )
    kind = Adam if settings.name == "adam" else AdamW
    return kind(parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=chosen)


def load_state(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a checkpoint's state, computed as this machine does: a CPU may resume where a GPU stopped.

    Args:
        optimiser: Built for this machine.
        state: `state_dict` of the same optimiser, perhaps of another machine.
    """
    groups = [
        {**saved, **{name: own[name] for name in _OF_THE_MACHINE if name in own}}
        for saved, own in zip(state["param_groups"], optimiser.param_groups, strict=True)
    ]
    optimiser.load_state_dict({**state, "param_groups": groups})


def scaler_state(fabric: Fabric | SingleDevice) -> dict[str, Any]:
    """Get how gradients are scaled (16-mixed) at present; empty where they are not."""
    return {} if isinstance(fabric, SingleDevice) else fabric.strategy.precision.state_dict()


def load_scaler(fabric: Fabric | SingleDevice, state: dict[str, Any]) -> None:
    """Load the scale of a checkpoint; without it the first steps after it would be skipped as too large."""
    if state and not isinstance(fabric, SingleDevice):
        fabric.strategy.precision.load_state_dict(state)
