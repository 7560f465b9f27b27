"""BYOL: one view predicts what a moving average of the network makes of the other; there are no negatives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods._pretraining import (
    POOLING,
    POOLING_OPTION,
    POOLINGS,
    STRONG_VIEWS,
    EncoderPretraining,
    encoder_width,
    momentum_copy,
)
from contrastseg.methods.contract import Batch, Card

if TYPE_CHECKING:
    from torch import Tensor, nn


class BYOL(EncoderPretraining):
    """Prediction of the target's projections, then supervised training of the network with that encoder."""

    name = "byol"
    card = Card(
        title="BYOL",
        paper="Grill et al., Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning, NeurIPS 2020",
        year=2020,
        doi="arXiv:2006.07733",
        provenance="published",
        summary="Pre-trains the encoder so that a predictor finds, from one view, the projection that a moving average"
        " of encoder and head makes of the other view; then trains with the labels.",
        differs=(STRONG_VIEWS, "Both views pass in one batch, so that batch norm in the heads sees twice as many."),
        options={
            **POOLING_OPTION,
            "momentum": "0.99 rising to 1 as a cosine; the paper has 0.996 for runs of 300 epochs and more and names"
            " lower values for shorter ones",
            "dim": "256, the paper's",
            "hidden": "unset: twice the encoder's width, as 4096 is twice ResNet-50's",
        },
    )
    defaults = {**POOLING, "momentum": 0.99, "dim": 256, "hidden": None}
    choices = POOLINGS

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """Head and predictor, and the target: moving averages of network and head."""
        from contrastseg.networks.heads import vector_head

        width, dim = encoder_width(network), self.settings["dim"]
        hidden = self.settings["hidden"] or 2 * width
        head = vector_head(width, hidden, dim, norm=True)
        return {
            "head": head,
            "predictor": vector_head(dim, hidden, dim, norm=True),
            "target_network": momentum_copy(network),
            "target_head": momentum_copy(head),
        }

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """‖prediction − target‖² of unit vectors, from each view to the other."""
        import torch

        from contrastseg.losses.alignment import negative_cosine_loss

        images = self.both_images(batch)
        online = self.modules["head"](self.vectors(images))
        predictions = self.modules["predictor"](online).chunk(2)
        with torch.no_grad():
            targets = self.modules["target_head"](self.vectors(images, "target_network")).chunk(2)
        return {
            "first_to_second": 2 + 2 * negative_cosine_loss(predictions[0], targets[1]),
            "second_to_first": 2 + 2 * negative_cosine_loss(predictions[1], targets[0]),
        }

    def after_pretraining_step(self, step: int) -> None:
        """Move the target: 1 − (1 − τ)(cos(π t/T) + 1)/2 of it stays."""
        from contrastseg.losses.consistency import update_moving_average

        progress = (math.cos(math.pi * step / self.task.steps) + 1) / 2
        momentum = 1 - (1 - self.settings["momentum"]) * progress
        for name in ("network", "head"):
            update_moving_average(self.modules[f"target_{name}"], self.modules[name], momentum)
