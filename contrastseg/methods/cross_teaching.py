"""Cross teaching between a CNN and a transformer: each learns from the other's hard labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn


class CrossTeaching(Method):
    """The suite's network and a partner of another kind, by default a transformer; the first predicts."""

    name = "cross_teaching"
    card = Card(
        title="Cross Teaching between CNN and Transformer (CTCT)",
        paper="Luo et al., Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and Transformer,"
        " MIDL 2022",
        year=2022,
        doi="arXiv:2112.04894",
        provenance="official",
        summary="The suite's network and a transformer learn from the labels. On unlabelled images each learns from the"
        " other's most likely classes (Dice, no gradient through the label). The suite's network predicts.",
        differs=(
            "The partner is MONAI's SwinUNETR with random weights, in 2D and in 3D. The release has Swin-UNet with"
            " ImageNet weights, in 2D alone.",
            "The release has slices of 224×224 and batches of 8 labelled and 8 unlabelled. Here both are the suite's."
            " The partner sees patches padded with zeros to multiples of its strides.",
            "The supervised loss is the suite's; with ½ (cross-entropy + Dice) it is the release's.",
            "One optimiser has both networks, with the suite's rate and clipping; the release has two of one rate.",
            "The weight rises at every step. In the release it rises once in 150 steps.",
        ),
        options={
            "partner": "network and options as a suite writes them; SwinUNETR of MONAI's default width",
            "cross_weight": "0.1, as released",
            "ramp_share": "1: the weight rises over the whole run, as released",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        "partner": {"name": "monai", "model": "SwinUNETR", "feature_size": 24},
        "cross_weight": 0.1,
        "ramp_share": 1.0,
    }
    memory_mb = 8000

    def build(self) -> Mapping[str, nn.Module]:
        """The network every method starts with, and the partner, drawn after it.

        Raises:
            SuiteError: There is no such partner.
        """
        from contrastseg.networks.padded import Padded
        from contrastseg.networks.registry import build

        task = self.task
        network = task.build_network()
        partner = build(
            self.settings["partner"],
            spatial_dims=task.spatial_dims,
            in_channels=task.in_channels,
            num_classes=task.num_classes,
        )
        return {"network": network, "partner": Padded(partner)}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Both networks' segmentation losses, and the Dice of each with the other's labels of the unlabelled half."""
        import torch

        from contrastseg.losses.segmentation import segmentation_loss

        labelled, count = batch["labelled"], len(batch["labelled"].image)
        assert labelled.label is not None
        images = torch.cat([labelled.image, batch["unlabelled"].image])
        logits = [self.modules[name](images) for name in ("network", "partner")]
        taught = [each[count:] for each in logits]
        hard = [each.detach().argmax(dim=1) for each in taught]
        cross = [
            segmentation_loss(each, label, loss="dice", background=True, squared=True)
            for each, label in zip(taught, reversed(hard), strict=True)
        ]
        return {
            "segmentation": self.segmentation_loss(logits[0][:count], labelled.label),
            "segmentation_partner": self.segmentation_loss(logits[1][:count], labelled.label),
            "cross": ramped(self, "cross_weight", step) * (cross[0] + cross[1]),
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
