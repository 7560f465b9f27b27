"""One step of training: forward, backward, optimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from contrastseg.methods.contract import Batch, Method
from contrastseg.training.optimisations import begin_iteration
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.single_device import SingleDevice

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class OpaqueBatch:
    """A batch that Fabric does not look into: under mixed precision it would round every float, coordinates included.

    Args:
        batch: What it holds.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class MethodStep(nn.Module):
    """A method's modules and its step as one module, which is what `fabric.setup` wraps.

    Under autocast the images of a batch are rounded to its type, and nothing else is: in bfloat16 a coordinate beyond
    128 pixels would be off by up to half a pixel, beyond 256 by up to one.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.all = method.modules
        self._method = [method]  # in a list, so that it is not taken for a submodule

    def forward(self, opaque: OpaqueBatch, step: int) -> dict[str, Tensor]:
        """The method's terms."""
        batch = opaque.batch
        device = next(iter(batch.values())).image.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
            batch = {view: replace(sample, image=sample.image.to(dtype)) for view, sample in batch.items()}
        return self._method[0].training_step(batch, step)


@dataclass(frozen=True)
class StepResult:
    """What a step has computed; all of it on the device, so that nothing waits.

    Attributes:
        loss: Sum of the terms.
        terms: By name.
        gradient_norm: Before the gradients were clipped; None where they are not.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    gradient_norm: Tensor | None


class Steps:
    """Takes steps, one operation after the other.

    Args:
        module: A `MethodStep`, set up by `fabric`.
        optimiser: Likewise.
        training: Settings of the stage.
        fabric: Precision, and how gradients are computed and clipped.
        seed_of: Seed of torch's global generators for a step.
        rate_on_device: Whether the learning rate lies on the device, where a recorded step finds it; the optimiser has
            to be fused for that.
    """

    def __init__(
        self,
        module: nn.Module,
        optimiser: torch.optim.Optimizer,
        training: TrainingSettings,
        fabric: Fabric | SingleDevice,
        seed_of: Callable[[int], int],
        *,
        rate_on_device: bool,
    ) -> None:
        self.optimiser = optimiser
        self.device = fabric.device
        self.seed_of = seed_of
        self._module = module
        self._training = training
        self._fabric = fabric
        self._rate = torch.zeros((), device=self.device) if rate_on_device else None

    def __call__(self, batch: Batch, step: int, rate: float) -> StepResult:
        """Take a step with this learning rate."""
        self.prepare(step, rate)
        return self.take(batch, step)

    def prepare(self, step: int, rate: float) -> None:
        """Set the learning rate and torch's global generators for a step."""
        if self._rate is not None:
            self._rate.fill_(rate)
        for group in self.optimiser.param_groups:
            group["lr"] = rate if self._rate is None else self._rate
        torch.manual_seed(self.seed_of(step))

    def take(self, batch: Batch, step: int) -> StepResult:
        """Take a step with the learning rate and the random numbers as they are."""
        begin_iteration(self._training.compile)
        self.optimiser.zero_grad(set_to_none=True)
        terms = self._module(OpaqueBatch(batch), step)
        loss = torch.stack(list(terms.values())).sum()
        self._fabric.backward(loss)
        norm, largest = None, self._training.optimiser.clip_norm
        if largest is not None:
            # Scaled gradients (16-mixed) are unscaled first; an infinite one skips the step without an error.
            norm = self._fabric.clip_gradients(self._module, self.optimiser, max_norm=largest, error_if_nonfinite=False)
        self.optimiser.step()
        return StepResult(loss.detach(), {name: term.detach() for name, term in terms.items()}, norm)
