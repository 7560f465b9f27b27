"""Cross pseudo supervision: two networks label the unlabelled images for each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, View
from contrastseg.methods.tunable import LogUniform, Uniform

if TYPE_CHECKING:
    from torch import Tensor, nn


class CPS(Method):
    """Two networks from different initialisations; each is trained by the labels and by the other's hard labels."""

    name = "cps"
    card = Card(
        title="Cross Pseudo Supervision (CPS)",
        paper="Chen et al., Semi-Supervised Semantic Segmentation with Cross Pseudo Supervision, CVPR 2021",
        year=2021,
        doi="arXiv:2106.01226",
        provenance="published",
        summary="Two networks of one architecture and two initialisations; the most likely class of either is the"
        " other's target (cross-entropy, no gradient through the label). The first predicts.",
        differs=(
            "The supervised loss is the suite's, by default ½ (cross-entropy + Dice); the paper's is cross-entropy.",
            "No CutMix, which the paper adds for its best numbers.",
            "Labelled and unlabelled images pass apart, as in the authors' code; the medical code base joins them.",
            "With ImageNet weights the two encoders start alike, and only the decoders differ.",
        ),
        options={
            "cross_weight": "0.1 with a ramp, as in the medical literature's common code base; the paper: 1.5 on VOC",
            "ramp_share": "1: the weight rises over the whole run, as in the medical code base; the authors have none",
            "scope": "unlabelled, as in the medical code base; `all` adds the labelled images, as in the paper",
        },
        tunable={
            "cross_weight": LogUniform(0.01, 10.0),
            "ramp_share": Uniform(0.1, 1.0),
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {"cross_weight": 0.1, "ramp_share": 1.0, "scope": "unlabelled"}
    choices = {"scope": ("unlabelled", "all")}
    variants = {"default": {}, "paper_scope": {"scope": "all"}}
    memory_mb = 6000

    def build(self) -> Mapping[str, nn.Module]:
        """The network every method starts with, and one drawn after it."""
        return {"network": self.task.build_network(), "partner": self.task.build_network()}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Both networks' segmentation losses, and what each says of the other's labels."""
        import torch

        from contrastseg.losses.segmentation import cross_entropy_loss

        labelled = batch["labelled"]
        assert labelled.label is not None
        networks = [self.modules[name] for name in ("network", "partner")]
        # Apart, so that batch norm takes each by itself. In one batch the loss of the labelled images has a gradient on
        # the unlabelled ones through the statistics they share; what these then show becomes the other's label.
        supervised = [network(labelled.image) for network in networks]
        taught = [network(batch["unlabelled"].image) for network in networks]
        if self.settings["scope"] == "all":
            taught = [torch.cat(pair) for pair in zip(supervised, taught, strict=True)]
        hard = [logits.detach().argmax(dim=1) for logits in taught]
        cross = cross_entropy_loss(taught[0], hard[1]) + cross_entropy_loss(taught[1], hard[0])
        return {
            "segmentation": self.segmentation_loss(supervised[0], labelled.label),
            "segmentation_partner": self.segmentation_loss(supervised[1], labelled.label),
            "cross": ramped(self, "cross_weight", step) * cross,
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
