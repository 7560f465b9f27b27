"""MC-Net and MC-Net+: decoders that differ in how they upsample learn from each other's sharpened predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, Task, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form

RELEASED: dict[int, dict[str, float]] = {
    2: {"segmentation_weight": 1.0, "consistency_weight": 0.1, "ramp_share": 1.0},
    3: {"segmentation_weight": 0.5, "consistency_weight": 1.0, "ramp_share": 0.4},
}
"""The released values in 2D (ACDC) and in 3D (LA), for settings that are unset."""
UPSAMPLINGS = ("linear", "transposed", "nearest")


def _one_way(network: str) -> SuiteError:
    return SuiteError(
        f"mcnet: decoders must differ in upsampling, and {network} has one way only",
        remedy="use unet or vnet, or leave mcnet out of this suite",
    )


class MCNet(Method):
    """One encoder, up to three decoders; each prediction is drawn towards the others' sharpened ones."""

    name = "mcnet"
    card = Card(
        title="Mutual Consistency Network (MC-Net+)",
        paper="Wu et al., Mutual consistency learning for semi-supervised medical image segmentation, Medical Image"
        " Analysis 2022",
        year=2022,
        doi="10.1016/j.media.2022.102530",
        provenance="official",
        summary="One encoder and three decoders that upsample differently (two in `v1`, MC-Net, MICCAI 2021); on all"
        " images the squared difference of each prediction to each other one sharpened. The first decoder predicts.",
        differs=(
            "The segmentation loss is the suite's; the release has Dice alone. Its Dice in 2D lacks the factor 2, so a"
            " perfect prediction costs ½ and gradients are half as large.",
            "The first decoder is the suite's network, and the others have the upsampling that it lacks, in the order"
            " linear, transposed, nearest. With U-Net and linear interpolation in 2D, and with V-Net in 3D, these are"
            " the release's.",
            "V-Net drops channels of the deepest map in each decoder by itself. The release's decoders share them.",
            "The weight of the consistency rises at every step. In the release it rises once in 150 steps.",
            "The release keeps the checkpoint that is best on its validation set, in 3D on the test set.",
        ),
        options={
            "decoders": "3, as in MC-Net+; 2 is MC-Net, and 1 has no consistency",
            "segmentation_weight": "1 in 2D and 0.5 in 3D where unset, as released, for the sum over the decoders",
            "consistency_weight": "0.1 in 2D and 1 in 3D where unset, as released, for the sum over ordered pairs",
            "ramp_share": "1 in 2D (30,000 of 30,000 steps) and 0.4 in 3D (6,000 of 15,000) where unset, as released",
            "temperature": "0.1, as released",
            "sharpening": "binary, as released: each class against 1 − p; `classes` keeps their sum at 1",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        "decoders": 3,
        "segmentation_weight": None,
        "consistency_weight": None,
        "ramp_share": None,
        "temperature": 0.1,
        "sharpening": "binary",
    }
    choices = {"sharpening": ("binary", "classes")}
    variants = {"default": {}, "v1": {"decoders": 2}}
    memory_mb = 6000

    def __init__(self, task: Task, settings: Mapping[str, Any]) -> None:
        released = RELEASED[task.spatial_dims]
        super().__init__(
            task, {**settings, **{name: value for name, value in released.items() if settings[name] is None}}
        )

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """Several decoders need several ways of going up."""
        if settings["decoders"] != 1 and not network.upsamplings:
            raise _one_way(network.title)

    def build(self) -> Mapping[str, nn.Module]:
        """The network every method starts with, and the further decoders, drawn after it.

        Raises:
            SuiteError: A setting has no such value, or the network's decoder has one way of upsampling only.
        """
        from torch import nn

        from contrastseg.networks.decoders import without_encoder

        count = self.settings["decoders"]
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(UPSAMPLINGS):
            raise SuiteError(f"decoders of mcnet is {count!r}", remedy="give 1, 2 or 3")
        for name in RELEASED[self.task.spatial_dims]:
            value = self.settings[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise SuiteError(f"{name} of mcnet is {value!r}", remedy="give a number, or null for the released one")
        network = self.task.build_network()
        own = getattr(network, "upsampling", None)
        if own is None and count > 1:
            raise _one_way(type(network).__name__)
        kinds = [kind for kind in UPSAMPLINGS if kind != own][: count - 1]
        decoders = [without_encoder(self.task.build_network(upsampling=kind)) for kind in kinds]
        return {"network": network, "decoders": nn.ModuleList(decoders)}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The decoders' segmentation losses on the labelled half, and their consistency on all images."""
        import torch

        from contrastseg.losses.decoder_consistency import mutual_consistency_loss

        labelled, count, network = batch["labelled"], len(batch["labelled"].image), self.modules["network"]
        assert labelled.label is not None
        images = torch.cat([labelled.image, batch["unlabelled"].image])
        maps, size = network.encode(images), images.shape[2:]
        logits = [decoder.classify(decoder.decode(maps, size)) for decoder in (network, *self.modules["decoders"])]
        supervised = torch.stack([self.segmentation_loss(each[:count], labelled.label) for each in logits]).sum()
        consistency = mutual_consistency_loss(logits, self.settings["temperature"], self.settings["sharpening"])
        return {
            "segmentation": self.settings["segmentation_weight"] * supervised,
            "consistency": ramped(self, "consistency_weight", step) * consistency,
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
