"""LRC-style after supervised pre-training: the contrast of super-pixels added to a network that the labels trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from contrastseg.methods._pretraining import LABELLED, STRONG
from contrastseg.methods.contract import Batch, InitialWeights, Stage, View
from contrastseg.methods.lrc import CARD, LRC, REGION_CONTRAST, REGION_CONTRAST_CHOICES, REGION_CONTRAST_OPTIONS
from contrastseg.methods.moco import MOMENTUM_CONTRAST_DIFFERS
from contrastseg.methods.supervised import Supervised

if TYPE_CHECKING:
    from torch import Tensor


class LRCSupervised(LRC):
    """Supervised training, region contrast on the labelled patients' images, supervised training again.

    All stages see the labelled patients alone: a stage without labels would serve every budget, and could then not
    start from a network that one budget's labels trained.
    """

    name = "lrc_supervised"
    card = replace(
        CARD,
        title="LRC-style, after supervised pre-training",
        summary="Trains the network with the labels, then so that points of one super-pixel are closer to each other"
        " across two views than to points of other super-pixels, then with the labels again.",
        differs=(
            *(text for text in CARD.differs if text != MOMENTUM_CONTRAST_DIFFERS),
            "All stages see the labelled patients of the budget alone; the paper's pre-training saw a set of its own.",
        ),
        options=REGION_CONTRAST_OPTIONS,
    )
    defaults = REGION_CONTRAST
    choices = REGION_CONTRAST_CHOICES
    stages = (
        Stage("supervised", LABELLED),
        Stage(
            "local",
            {
                "first": View("labelled", "a", superpixels=True),
                "second": View("labelled", "b", superpixels=True),
            },
            init_from=(InitialWeights("supervised", ("network",)),),
            training=STRONG,
        ),
        Stage("train", LABELLED, init_from=(InitialWeights("local", ("network",)),)),
    )
    terms = {"supervised": (), "local": ("local",)}

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The segmentation loss in the first stage, region contrast in the second."""
        if self.task.stage == "supervised":
            return Supervised.training_step(self, batch, step)
        return super().pretraining_step(batch, step)
