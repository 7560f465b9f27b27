"""URPC: predictions of several scales agree with their mean, and uncertain places count less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form

PERTURBATIONS = ("noise", "feature_dropout", "dropout")
"""Of the coarser scales, the finest of them first."""


def _too_few(network: str, count: int) -> SuiteError:
    return SuiteError(
        f"urpc: {network} has {count} decoder maps, and 2 are needed",
        remedy="use a network of more levels, such as unet",
    )


class URPC(Method):
    """Heads on the decoder's maps; unlabelled images draw each scale to the mean of all, rectified by uncertainty."""

    name = "urpc"
    card = Card(
        title="Uncertainty Rectified Pyramid Consistency (URPC)",
        paper="Luo et al., Semi-supervised medical image segmentation via uncertainty rectified pyramid consistency,"
        " Medical Image Analysis 2022",
        year=2022,
        doi="10.1016/j.media.2022.102517",
        provenance="official",
        summary="Heads on the last four maps of the decoder, the three coarser ones behind dropout, feature dropout and"
        " feature noise. Labelled images train all heads; on unlabelled ones each scale is drawn to the mean of all,"
        " less where it diverges from it. The finest head predicts.",
        differs=(
            "The supervised loss is the mean over the heads of the suite's loss; with ½ (cross-entropy + Dice) it is"
            " the release's.",
            "SSL4MIS's 2D code is followed in 3D too. Its 3D network has other heads (kernel 1, trilinear), and drops"
            " whole channels on the decoder's way instead (0.5, 0.3, 0.2, 0.1).",
            "A decoder with fewer than four maps has fewer heads, and the perturbations of the finer ones.",
            "The weight rises at every step. In SSL4MIS it rises once in 150 steps.",
        ),
        options={
            "consistency_weight": "0.1, as released",
            "ramp_share": "1: the weight rises over the whole run, as released",
            "heads": "4, as released, the network's own among them",
            "head_kernel": "3, as released in 2D; 1 in the 3D release",
            "interpolation": "nearest, as released in 2D; linear in the 3D release",
            "noise": "0.3, as released",
            "dropout": "0.5, as released",
            "feature_dropout": "a share between 0.7 and 0.9 of the largest value, as released",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        "consistency_weight": 0.1,
        "ramp_share": 1.0,
        "heads": 4,
        "head_kernel": 3,
        "interpolation": "nearest",
        "noise": 0.3,
        "dropout": 0.5,
        "feature_dropout": (0.7, 0.9),
    }
    choices = {"interpolation": ("nearest", "linear")}

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """Scales are maps of the decoder."""
        if network.maps and len(network.decoder_maps) < 2:
            raise _too_few(network.title, len(network.decoder_maps))

    def build(self) -> Mapping[str, nn.Module]:
        """The network every method starts with, and a head for each coarser scale, by the map it is on.

        Raises:
            SuiteError: `heads` or `head_kernel` has no such value, or the network has fewer than two decoder maps.
        """
        from torch import nn

        count, kernel = self.settings["heads"], self.settings["head_kernel"]
        if not isinstance(count, int) or count not in (2, 3, 4):
            raise SuiteError(f"heads of urpc is {count!r}", remedy="give 2, 3 or 4")
        if isinstance(kernel, bool) or not isinstance(kernel, int) or kernel not in (1, 3):
            raise SuiteError(f"head_kernel of urpc is {kernel!r}", remedy="give 1 or 3")
        network = self.task.build_network()
        decoder = [name for name in network.channels if name.startswith("decoder")]
        if len(decoder) < 2:
            raise _too_few(type(network).__name__, len(decoder))
        convolution = nn.Conv2d if self.task.spatial_dims == 2 else nn.Conv3d
        coarser = decoder[-count:-1][::-1]
        heads = {
            name: convolution(network.channels[name], self.task.num_classes, kernel, padding=kernel // 2)
            for name in coarser
        }
        return {"network": network, "heads": nn.ModuleDict(heads)}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The heads' segmentation loss on the labelled half, and the scales' consistency on the other."""
        import torch

        from contrastseg.losses.decoder_consistency import pyramid_consistency_loss

        labelled, count = batch["labelled"], len(batch["labelled"].image)
        assert labelled.label is not None
        scales = self.scales(torch.cat([labelled.image, batch["unlabelled"].image]))
        supervised = [self.segmentation_loss(logits[:count], labelled.label) for logits in scales]
        consistency = pyramid_consistency_loss([logits[count:] for logits in scales])
        return {
            "segmentation": torch.stack(supervised).mean(),
            "consistency": ramped(self, "consistency_weight", step) * consistency,
        }

    def scales(self, images: Tensor) -> list[Tensor]:
        """Logits (B, K, *spatial) of every head in training, the finest first."""
        from torch.nn.functional import interpolate

        from contrastseg.networks.perturbations import perturbation

        settings, network = self.settings, self.modules["network"]
        linear = {"mode": "bilinear" if self.task.spatial_dims == 2 else "trilinear", "align_corners": False}
        mode = {"mode": "nearest"} if settings["interpolation"] == "nearest" else linear
        features = network.features(images)
        logits = [network.classify(features)]
        for kind, (name, head) in zip(PERTURBATIONS, self.modules["heads"].items(), strict=False):
            perturbed = perturbation(
                kind,
                noise=settings["noise"],
                dropout=settings["dropout"],
                feature_dropout_shares=settings["feature_dropout"],
            )(features[name])
            logits.append(interpolate(head(perturbed), images.shape[2:], **mode))
        return logits

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
