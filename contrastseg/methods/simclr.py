"""SimCLR: two views of an image against all other images of the batch."""

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
    require_several,
)
from contrastseg.methods.contract import Batch, Card
from contrastseg.methods.tunable import Choice, LogUniform

if TYPE_CHECKING:
    from torch import Tensor, nn


class SimCLR(EncoderPretraining):
    """NT-Xent between projections of two views, then supervised training of the network with that encoder."""

    name = "simclr"
    card = Card(
        title="SimCLR",
        paper="Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020",
        year=2020,
        doi="arXiv:2002.05709",
        provenance="published",
        summary="Pre-trains the encoder so that two views of an image are closer to each other than to any other image"
        " of the batch; then trains with the labels.",
        differs=(STRONG_VIEWS, "No batch norm in the head, whose statistics mean little in small batches."),
        options={
            **POOLING_OPTION,
            "temperature": "0.1, the paper's best on ImageNet",
            "dim": "128, the paper's",
            "hidden": "unset: the encoder's width, as 2048 is ResNet-50's",
        },
        tunable={
            "temperature": LogUniform(0.03, 1.0),
            "dim": Choice((32, 64, 128, 256)),
        },
    )
    defaults = {**POOLING, "temperature": 0.1, "dim": 128, "hidden": None}
    choices = POOLINGS

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """The projection head."""
        from contrastseg.networks.heads import vector_head

        width = encoder_width(network)
        return {"head": vector_head(width, self.settings["hidden"] or width, self.settings["dim"])}

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """NT-Xent over the 2B projections."""
        from contrastseg.losses.info_nce import nt_xent_loss

        require_several(batch["first"], self.name)
        first, second = self.modules["head"](self.vectors(self.both_images(batch))).chunk(2)
        return {"nt_xent": nt_xent_loss(first, second, self.settings["temperature"])}
