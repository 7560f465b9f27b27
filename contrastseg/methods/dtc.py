"""Dual-task consistency: a segmentation and a map of signed distances say the same of unlabelled images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastseg.errors import SuiteError
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn


class DTC(Method):
    """A second head regresses signed distances; the mask that follows from them is drawn to the segmentation."""

    name = "dtc"
    card = Card(
        title="Dual-task Consistency (DTC)",
        paper="Luo et al., Semi-supervised Medical Image Segmentation through Dual-task Consistency, AAAI 2021",
        year=2021,
        doi="arXiv:2009.04448",
        provenance="official",
        summary="A second head with tanh regresses the signed distance to each structure's border on labelled images."
        " On all images the mask that a steep sigmoid makes of it and the segmentation are drawn together.",
        differs=(
            "The release segments one structure with a sigmoid. Here every foreground class has a map of distances, and"
            " its probability is that of the softmax; with one class they are the same.",
            "The segmentation loss is the suite's; the release has Dice alone.",
            "The head stands on the finest decoder map. V-Net's dropout before the classifier, which the release's two"
            " heads share, does not reach it.",
            "The weight rises at every step. In the release it rises once in 150 steps.",
            "The release is in 3D. Here the same formula serves 2D.",
        ),
        options={
            "distance_weight": "0.3, as released",
            "consistency_weight": "1, as released",
            "ramp_share": "1: 6,000 of 6,000 steps, as released",
            "steepness": "1500, as released",
            "border": "inner, as released: the distance is 0 at a structure's outermost pixels",
            "absent": "zero, as released: the map of a structure that the image lacks is 0; `unknown` leaves it out",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        "distance_weight": 0.3,
        "consistency_weight": 1.0,
        "ramp_share": 1.0,
        "steepness": 1500.0,
        "border": "inner",
        "absent": "zero",
    }
    choices = {"border": ("inner", "between"), "absent": ("zero", "unknown")}

    def build(self) -> Mapping[str, nn.Module]:
        """The network every method starts with, and the head for distances, drawn after it.

        Raises:
            SuiteError: The network has no decoder map.
        """
        from torch import nn

        network = self.task.build_network()
        decoder = [name for name in network.channels if name.startswith("decoder")]
        if not decoder:
            raise SuiteError(
                f"dtc: {type(network).__name__} has no decoder map for the head of distances", remedy="use unet or vnet"
            )
        self._finest = decoder[-1]
        convolution = nn.Conv2d if self.task.spatial_dims == 2 else nn.Conv3d
        return {
            "network": network,
            "distance": convolution(network.channels[self._finest], self.task.num_classes - 1, 1),
        }

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation and distances on the labelled half, and the consistency of both tasks on all images."""
        import torch

        from contrastseg.losses.signed_distance import distance_regression_loss, dual_task_loss, signed_distances

        labelled, count, settings = batch["labelled"], len(batch["labelled"].image), self.settings
        assert labelled.label is not None
        images = torch.cat([labelled.image, batch["unlabelled"].image])
        features = self.modules["network"].features(images)
        logits = self.modules["network"].classify(features)
        predicted = torch.tanh(self.modules["distance"](features[self._finest]).float())
        truth = signed_distances(
            labelled.label, self.task.num_classes, border=settings["border"], absent=settings["absent"]
        )
        distance = distance_regression_loss(predicted[:count], truth)
        consistency = dual_task_loss(logits, predicted, settings["steepness"])
        return {
            "segmentation": self.segmentation_loss(logits[:count], labelled.label),
            "distance": settings["distance_weight"] * distance,
            "consistency": ramped(self, "consistency_weight", step) * consistency,
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded: distances are computed on the device."""
        return None
