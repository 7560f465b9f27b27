"""Entropy minimisation: the network is asked to be certain, on the images without labels too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor


class Entropy(Method):
    """The segmentation loss on the labelled images, and the mean entropy of the prediction on all."""

    name = "entropy"
    card = Card(
        title="Entropy minimisation",
        paper="Vu et al., ADVENT: Adversarial Entropy Minimization for Domain Adaptation in Semantic Segmentation,"
        " CVPR 2019",
        year=2019,
        doi="arXiv:1811.12833",
        provenance="official",
        summary="Adds the mean entropy of the softmax, as a share of ln K, to the segmentation loss, as SSL4MIS does.",
        differs=(
            "SSL4MIS is followed, not ADVENT's code: that adapts between domains and has no ramp.",
            "Entropies are divided by ln K. SSL4MIS writes the number of classes of its data there, 4 in 2D and 2 in"
            " 3D, which is the same; it adds 1e-6 inside the logarithm, ours needs no such number.",
            "The weight rises at every step. In SSL4MIS it rises once in 150 steps.",
        ),
        options={
            "entropy_weight": "0.1, as released",
            "ramp_share": "1: the weight rises over the whole run, as released",
            "scope": "all, as released: labelled images count too; `unlabelled` leaves them out",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {"entropy_weight": 0.1, "ramp_share": 1.0, "scope": "all"}
    choices = {"scope": ("all", "unlabelled")}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation loss on the labelled half, entropy on all or on the other; one pass for both."""
        import torch

        from contrastseg.losses.consistency import entropy_loss

        labelled, count = batch["labelled"], len(batch["labelled"].image)
        assert labelled.label is not None
        logits = self.modules["network"](torch.cat([labelled.image, batch["unlabelled"].image]))
        first = 0 if self.settings["scope"] == "all" else count
        return {
            "segmentation": self.segmentation_loss(logits[:count], labelled.label),
            "entropy": ramped(self, "entropy_weight", step) * entropy_loss(logits[first:]),
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
