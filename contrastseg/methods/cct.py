"""Cross-consistency training: decoders on perturbed feature maps agree with the one on clean maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form


class CCT(Method):
    """One encoder, one decoder on its maps, and one for each perturbation of them."""

    name = "cct"
    card = Card(
        title="Cross-Consistency Training (CCT)",
        paper="Ouali et al., Semi-Supervised Semantic Segmentation with Cross-Consistency Training, CVPR 2020",
        year=2020,
        doi="arXiv:2003.09005",
        provenance="official",
        summary="Three further decoders see the encoder's maps with noise, with dropout, and without the places of most"
        " attention. Labelled images train all decoders; on unlabelled ones the further decoders and the main one are"
        " drawn together (MSE of softmax). The main decoder predicts.",
        differs=(
            "SSL4MIS is followed. In the paper only the main decoder learns from labels, its prediction is a fixed"
            " target, the further decoders are light, and there are more kinds of perturbation.",
            "The supervised loss is the mean over the decoders of the suite's loss; with ½ (cross-entropy + Dice) it is"
            " the release's.",
            "The weight rises at every step. In SSL4MIS it rises once in 150 steps.",
            "SSL4MIS has it in 2D alone. Here the same formula serves 3D.",
        ),
        options={
            "consistency_weight": "0.1, as released",
            "ramp_share": "1: the weight rises over the whole run, as released",
            "perturbations": "the three of the release, one decoder each",
            "noise": "0.3, as released",
            "dropout": "0.3, as released",
            "feature_dropout": "a share between 0.7 and 0.9 of the largest value, as released",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        "consistency_weight": 0.1,
        "ramp_share": 1.0,
        "perturbations": ("noise", "dropout", "feature_dropout"),
        "noise": 0.3,
        "dropout": 0.3,
        "feature_dropout": (0.7, 0.9),
    }
    choices = {"perturbations": ("noise", "dropout", "feature_dropout")}
    memory_mb = 6000

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """The further decoders see perturbed maps of one encoder."""
        if not network.decodes:
            raise SuiteError(
                f"cct: {network.title} has no decoder that works on the maps of another encoder",
                remedy="use unet or vnet, or leave cct out of this suite",
            )

    def build(self) -> Mapping[str, nn.Module]:
        """The network every method starts with, and a further decoder for each perturbation, drawn after it.

        Raises:
            SuiteError: The network has no decoder that stands alone.
        """
        from torch import nn

        from contrastseg.networks.decoders import without_encoder

        network = self.task.build_network()
        decoders = [without_encoder(self.task.build_network()) for _ in self.settings["perturbations"]]
        return {"network": network, "decoders": nn.ModuleList(decoders)}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The decoders' segmentation loss on the labelled half, and their consistency on the other."""
        import torch

        from contrastseg.losses.decoder_consistency import cross_consistency_loss
        from contrastseg.networks.perturbations import perturbation

        labelled, count = batch["labelled"], len(batch["labelled"].image)
        settings, network = self.settings, self.modules["network"]
        assert labelled.label is not None
        images = torch.cat([labelled.image, batch["unlabelled"].image])
        encoded, size = network.encode(images), images.shape[2:]
        logits = [network.classify(network.decode(encoded, size))]
        for kind, decoder in zip(settings["perturbations"], self.modules["decoders"], strict=True):
            perturb = perturbation(
                kind,
                noise=settings["noise"],
                dropout=settings["dropout"],
                feature_dropout_shares=settings["feature_dropout"],
            )
            perturbed = {name: perturb(feature) for name, feature in encoded.items()}
            logits.append(decoder.classify(decoder.decode(perturbed, size)))
        supervised = [self.segmentation_loss(each[:count], labelled.label) for each in logits]
        consistency = cross_consistency_loss(logits[0][count:], [each[count:] for each in logits[1:]])
        return {
            "segmentation": torch.stack(supervised).mean(),
            "consistency": ramped(self, "consistency_weight", step) * consistency,
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
