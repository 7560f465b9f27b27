"""One process on one device: the part of Lightning Fabric that the loop calls, without importing Fabric.

Fabric imports torch's compiler, which takes as long as importing torch. Several processes, and float16, whose gradients
have to be scaled, stay with Fabric.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor, nn


class SingleDevice:
    """The interface of `lightning_fabric.Fabric` for one process, with the same numbers bit for bit.

    Args:
        accelerator: `cpu` or `cuda`.
        precision: `32-true`, or `bf16-mixed`: autocast.

    Attributes:
        device: Where to compute.
    """

    world_size = 1
    global_rank = 0
    is_global_zero = True

    def __init__(self, accelerator: str, precision: Literal["32-true", "bf16-mixed"]) -> None:
        self.device = torch.device(accelerator, 0) if accelerator == "cuda" else torch.device(accelerator)
        self._mixed = precision == "bf16-mixed"

    def launch(self) -> None:
        """Start the other processes: there are none."""

    def barrier(self) -> None:
        """Wait for the other processes: there are none."""

    def all_reduce(self, data: Tensor) -> Tensor:
        """The mean of a value over the processes: the value."""
        return data

    def setup(self, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Move a module that returns loss terms to the device, and let it compute in the precision."""
        module.to(self.device)
        return (_Mixed(module, self) if self._mixed else module), optimiser

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of what is computed inside."""
        return torch.autocast(self.device.type, torch.bfloat16) if self._mixed else contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradients to those of the parameters."""
        loss.backward()

    def clip_gradients(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, *, max_norm: float, error_if_nonfinite: bool
    ) -> Tensor:
        """Scale the gradients of an optimiser's parameters down to a norm.

        Args:
            module: What `setup` made of the module; it is not looked at.
            optimiser: Moves the parameters.
            max_norm: Largest norm that gradients keep.
            error_if_nonfinite: Whether a norm that is not finite raises an error, for which the host has to wait.

        Returns:
            The norm before, 0-dimensional.
        """
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        return nn.utils.clip_grad_norm_(parameters, max_norm, error_if_nonfinite=error_if_nonfinite)


class _Mixed(nn.Module):
    """A step under autocast; its loss terms are float32."""

    def __init__(self, module: nn.Module, device: SingleDevice) -> None:
        super().__init__()
        self._module, self._device = module, device

    def forward(self, *inputs: Any) -> dict[str, Tensor]:
        with self._device.autocast():
            terms = self._module(*inputs)
        return {name: term.float() for name, term in terms.items()}
