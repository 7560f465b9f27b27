"""SimSiam: one view predicts the other's projection, whose gradient is stopped; neither negatives nor averages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods._pretraining import (
    POOLING,
    POOLING_OPTION,
    POOLINGS,
    STRONG_VIEWS,
    EncoderPretraining,
    encoder_width,
)
from contrastseg.methods.contract import Batch, Card

if TYPE_CHECKING:
    from torch import Tensor, nn


class SimSiam(EncoderPretraining):
    """Prediction of the other view's projection, then supervised training of the network with that encoder."""

    name = "simsiam"
    card = Card(
        title="SimSiam",
        paper="Chen and He, Exploring Simple Siamese Representation Learning, CVPR 2021",
        year=2021,
        doi="10.1109/CVPR46437.2021.01549",
        provenance="published",
        summary="Pre-trains the encoder so that a predictor finds, from one view, the projection of the other, which"
        " gets no gradient; then trains with the labels.",
        differs=(
            STRONG_VIEWS,
            "Both views pass in one batch, so that batch norm in the heads sees twice as many.",
            "The predictor's learning rate falls with all others.",
        ),
        options={
            **POOLING_OPTION,
            "dim": "unset: the encoder's width, as 2048 is ResNet-50's",
            "bottleneck": "unset: a quarter of `dim`, as the paper's 512 of 2048",
        },
    )
    defaults = {**POOLING, "dim": None, "bottleneck": None}
    choices = POOLINGS

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """The head of three layers, batch norm without weights after the last, and the predictor."""
        from torch import nn

        from contrastseg.networks.heads import vector_head

        width = encoder_width(network)
        dim = self.settings["dim"] or width
        head = vector_head(width, dim, dim, layers=3, norm=True)
        head.append(nn.BatchNorm1d(dim, affine=False))
        bottleneck = self.settings["bottleneck"] or max(1, dim // 4)
        return {"head": head, "predictor": vector_head(dim, bottleneck, dim, norm=True)}

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """½ D(p₁, z₂) + ½ D(p₂, z₁), D the negative cosine with the gradient stopped at z."""
        from contrastseg.losses.alignment import negative_cosine_loss

        projections = self.modules["head"](self.vectors(self.both_images(batch)))
        first, second = projections.chunk(2)
        from_first, from_second = self.modules["predictor"](projections).chunk(2)
        loss = 0.5 * negative_cosine_loss(from_first, second) + 0.5 * negative_cosine_loss(from_second, first)
        return {"negative_cosine": loss}
