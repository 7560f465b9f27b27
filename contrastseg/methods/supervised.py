"""The lower bound of every comparison, and at 100 % of the labels the upper one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from contrastseg.methods.contract import Batch, Card, Method, Stage, View
from contrastseg.methods.tunable import AUGMENTATION_STRENGTH, LogUniform, Uniform

if TYPE_CHECKING:
    from torch import Tensor


class Supervised(Method):
    """The suite's segmentation loss on the labelled cases, by default ½ (cross-entropy + soft Dice)."""

    name = "supervised"
    card = Card(
        title="Supervised",
        paper="Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015",
        year=2015,
        doi="10.1007/978-3-319-24574-4_28",
        provenance="published",
        summary="Trains the network on the labelled cases alone, by default with half cross-entropy, half soft Dice.",
        differs=("The loss and the network are the suite's, the same for every method.",),
        tunable={
            "training.optimiser.weight_decay": LogUniform(1e-6, 1e-1),
            "training.segmentation.dice_share": Uniform(0.0, 1.0),
            AUGMENTATION_STRENGTH: Uniform(0.0, 2.0),
        },
    )
    stages: ClassVar[tuple[Stage, ...]] = (Stage("train", {"labelled": View("labelled")}),)

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The segmentation loss."""
        sample = batch["labelled"]
        assert sample.label is not None
        return {"segmentation": self.segmentation_loss(self.modules["network"](sample.image), sample.label)}

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
