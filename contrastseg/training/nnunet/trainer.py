"""nnU-Net's trainer under this project's roof: its steps, our seeds, log, validation and checkpoints."""

from __future__ import annotations

import inspect
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import Tensor, nn

from contrastseg.errors import TrainingError
from contrastseg.labels import IGNORE
from contrastseg.methods.contract import Task
from contrastseg.training.nnunet.network import Extending, Regulariser, extend_network
from contrastseg.training.seeds import stream_seed


class Trainer(nnUNetTrainer):
    """Trains on all cases (fold `all`) for a schedule, with the variant's blocks and loss terms.

    Attributes:
        method: What adds to the network.
        settings: Its settings.
        seed: The run's seed.
        on_step: Called with the number of steps done.
        on_epoch: Called after every epoch with the values for the log.
        seconds: Time in epochs so far.
    """

    method: Extending
    settings: Mapping[str, Any]
    seed: int
    on_step: Callable[[int], None]
    on_epoch: Callable[[dict[str, float]], None]
    seconds: float

    @classmethod
    def make(
        cls,
        plans: dict[str, Any],
        dataset_json: dict[str, Any],
        configuration: str,
        *,
        device: torch.device,
        method: Extending,
        settings: Mapping[str, Any],
        seed: int,
    ) -> Trainer:
        """Make a trainer with its network initialised, which depends on the seed alone.

        Args:
            plans: nnU-Net's.
            dataset_json: nnU-Net's description of the data set.
            configuration: Of the plans, such as `2d` or `3d_fullres`.
            device: Where to train.
            method: What it adds to nnU-Net.
            settings: Of the method.
            seed: The run's.
        """
        trainer: Trainer = cls({**plans, "continue_training": False}, configuration, "all", dataset_json, device)
        trainer.method, trainer.settings, trainer.seed, trainer.seconds = method, settings, seed, 0.0
        trainer.num_epochs = settings["epochs"]
        trainer.num_iterations_per_epoch = settings["iterations_per_epoch"]
        trainer.num_val_iterations_per_epoch = 0
        _seed(stream_seed(seed, "initialisation", "train"))
        trainer.initialize()
        return trainer

    def build_network_architecture(self, plans_manager: Any, *arguments: Any, **named: Any) -> nn.Module:
        """The planned network with what the variant adds."""
        network: nn.Module = super().build_network_architecture(plans_manager, *arguments, **named)
        self.regulariser, sites = extend_network(network, self.method, self.settings, self.task)
        self.features = {} if self.regulariser is None else sites.watch()
        return network

    @property
    def task(self) -> Task:
        """What the network is for, as methods are told."""
        manager = self.label_manager
        heads, steps = manager.num_segmentation_heads, self.num_epochs * self.num_iterations_per_epoch
        dims = len(self.configuration_manager.patch_size)
        return Task(dims, len(self.dataset_json["channel_names"]), heads, steps, "train", lambda: None)

    def _build_loss(self) -> nn.Module:
        own = super()._build_loss()
        return _Loss(own, self.regulariser, self.features, self.label_manager.ignore_label)

    def get_training_transforms(self, *arguments: Any, **named: Any) -> Any:
        """nnU-Net's, without a choice between algorithms by the clock: it decides about the last bits of the result.

        Without augmentation those of validation, as in nnU-Net's own trainer of that name.
        """
        if not self.settings["augmentation"]:
            kept = ("deep_supervision_scales", "is_cascaded", "foreground_labels", "regions", "ignore_label")
            given = inspect.signature(super().get_training_transforms).bind(*arguments, **named).arguments
            return self.get_validation_transforms(**{name: given[name] for name in kept if name in given})
        transforms = super().get_training_transforms(*arguments, **named)
        for transform in transforms.transforms:
            inner = getattr(transform, "transform", transform)
            if hasattr(inner, "benchmark"):
                inner.benchmark = False
        return transforms

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:
        """nnU-Net's; without augmentation patches need no margin, and nothing is mirrored in inference."""
        rotation, dummy, size, axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        if not self.settings["augmentation"]:
            self.inference_allowed_mirroring_axes = None
            size, axes = self.configuration_manager.patch_size, None
        return rotation, dummy, size, axes

    def on_epoch_start(self) -> None:
        """Seed everything that draws in this process."""
        super().on_epoch_start()
        self._started = time.perf_counter()
        _seed(stream_seed(self.seed, "epoch", self.current_epoch))

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's step."""
        result: dict[str, Any] = super().train_step(batch)
        self.features.clear()
        self._done += 1
        self.on_step(self._done)
        return result

    def on_train_epoch_start(self) -> None:
        """nnU-Net's."""
        super().on_train_epoch_start()
        self._done = self.current_epoch * self.num_iterations_per_epoch

    def on_validation_epoch_start(self) -> None:
        """Nothing: there is no pseudo validation."""

    def on_validation_epoch_end(self, val_outputs: list[dict[str, Any]]) -> None:
        """Nothing: there is no pseudo validation."""

    def on_epoch_end(self) -> None:
        """Hand the epoch's values on.

        Raises:
            TrainingError: The loss is not finite.
        """
        self.current_epoch += 1
        values = {
            "loss": float(self.logger.get_value("train_losses", step=-1)),
            **self.loss.means(),
            "learning_rate": float(self.optimizer.param_groups[0]["lr"]),
        }
        if not math.isfinite(values["loss"]):
            terms = ", ".join(f"{name} = {value}" for name, value in values.items())
            raise TrainingError(
                f"the loss is not finite in epoch {self.current_epoch}: {terms}",
                remedy="lower the variant's weights; the last good checkpoint is kept",
            )
        self.seconds += time.perf_counter() - self._started
        self.on_epoch(values)

    def save_checkpoint(self, filename: str) -> None:
        """Nothing: its own are not written atomically, `on_epoch` writes ours."""

    def plot_network_architecture(self) -> None:
        """Nothing: it needs a package that is not here."""

    def state(self) -> dict[str, Any]:
        """What a killed run resumes from, beside the weights."""
        scaler = None if self.grad_scaler is None else self.grad_scaler.state_dict()
        return {
            "optimiser": self.optimizer.state_dict(),
            "scaler": scaler,
            "epoch": self.current_epoch,
            "seconds": self.seconds,
        }

    def restore(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Resume from a state and its weights."""
        self.network.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimiser"])
        if self.grad_scaler is not None and state["scaler"] is not None:
            self.grad_scaler.load_state_dict(state["scaler"])
        self.current_epoch, self.seconds = state["epoch"], state["seconds"]

    def close(self) -> None:
        """End the augmentation's processes, if there are any, however training ended."""
        for loader in (self.dataloader_train, self.dataloader_val):
            if hasattr(loader, "_finish"):
                loader._finish()


class _Loss(nn.Module):
    """nnU-Net's loss, and the method's terms from the maps of the same forward pass."""

    def __init__(
        self, own: nn.Module, regulariser: Regulariser | None, features: dict[str, Tensor], ignore: int | None
    ) -> None:
        super().__init__()
        self.own = own
        self.features = features
        self.ignore = ignore
        self._regulariser = regulariser
        self._seen: dict[str, list[Tensor]] = {}

    def forward(self, output: Any, target: Any) -> Tensor:
        terms = {"segmentation": self.own(output, target)}
        if self._regulariser is not None:
            label = (target[0] if isinstance(target, list) else target)[:, 0].long()
            if self.ignore is not None:
                label = torch.where(label == self.ignore, IGNORE, label)
            terms |= self._regulariser.regularisation(self.features, label)
        for name, term in terms.items():
            self._seen.setdefault(name, []).append(term.detach())
        return torch.stack(list(terms.values())).sum()

    def means(self) -> dict[str, float]:
        """Mean of every term since this was last asked."""
        means = {name: float(torch.stack(values).mean()) for name, values in self._seen.items()}
        self._seen.clear()
        return means


def _seed(seed: int) -> None:
    """Seed every generator nnU-Net draws from; numpy takes 32 bits."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - nnU-Net draws from numpy's global generator
    torch.manual_seed(seed)
