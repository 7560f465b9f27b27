"""PDCR: features of image patches with like labels are dragged together, of unlike ones apart. Needs labels only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from contrastseg.methods._taps import maps_of_strides
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER = "Li et al., Contrastive and Selective Hidden Embeddings for Medical Image Segmentation, IEEE TMI 2022"
DOI = "10.1109/TMI.2022.3186677"
PARTS: tuple[Literal["encoder", "decoder"], ...] = ("encoder", "decoder")


class PDCR(Method):
    """Segmentation loss plus patch-dragsaw terms within encoder and decoder layers and across two encoder layers."""

    name = "pdcr"
    card = Card(
        title="PDCR",
        paper=PAPER,
        year=2022,
        doi=DOI,
        provenance="official",
        summary="Regularises hidden features of labelled images: pairs of grid positions attract by 1 − d and repel"
        " by d, d the difference of the class shares in the label patches around them.",
        differs=(
            "Follows the released 3D form without its faults (classes by rank, lost border row, divisor).",
            "Mean over pairs, so the released 2D weights, which belong to a sum, do not carry over.",
            "'Patch position encoding' is in the paper's ablation and nowhere in the released code: left out.",
            "The sign exchange of the released 2D code is the variant `swapped_sign`, an ablation.",
            "Attached to this benchmark's network by stride, where the paper used DeepLabV3+ and nnU-Net.",
        ),
        options={
            "encoder_weight": "0.01, the best of 0.01, 0.03, 0.1 for all three on ACDC's validation patients, one seed",
            "decoder_weight": "as encoder_weight; also the released 3D value",
            "cross_weight": "0.01, the released factor; the release halves it once more, since it divides its one pair"
            " of layers by two",
            "encoder_strides": "4 and 8, the strides of the released 3D code's taps; points 64 and 32 as released",
            "decoder_strides": "4 and 8 with the released 32 and 8 points; which decoder maps is not said",
            "temperature": "1 in 2D and 0.5 in 3D, the released values; unset means that",
            "patches": "hierarchical, the paper's best; receptive_field has side 6·stride − 1: 23 and 47 as released",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled")}),)
    defaults = {
        "encoder_weight": 0.01,
        "decoder_weight": 0.01,
        "cross_weight": 0.01,
        "temperature": None,
        "patches": "hierarchical",
        "patch_sizes": (5, 7, 9),
        "encoder_strides": (4, 8),
        "encoder_points": (64, 32),
        "decoder_strides": (4, 8),
        "decoder_points": (32, 8),
        "cross_points": 32,
        "swapped_sign": False,
    }
    choices = {"patches": ("hierarchical", "receptive_field")}
    variants = {"default": {}, "rf": {"patches": "receptive_field"}, "swapped_sign": {"swapped_sign": True}}

    def build(self) -> Mapping[str, nn.Module]:
        """The network, and the two adapters that bring two encoder layers to one width and grid."""
        from torch import nn

        network = self.build_network()
        self._taps(network, "decoder")  # says now what is missing, not at the first step
        fine, coarse = self._taps(network, "encoder")
        width = min(network.channels[fine], network.channels[coarse])
        step = tuple(b // a for a, b in zip(network.strides[fine], network.strides[coarse], strict=True))
        convolution: Any = nn.Conv2d if self.task.spatial_dims == 2 else nn.Conv3d
        norm = nn.BatchNorm2d if self.task.spatial_dims == 2 else nn.InstanceNorm3d

        def adapter(channels: int, stride: tuple[int, ...] | int) -> nn.Sequential:
            return nn.Sequential(
                convolution(channels, width, 3, stride, 1, bias=False), norm(width, affine=True), nn.ReLU()
            )

        return {
            "network": network,
            "fine_adapter": adapter(network.channels[fine], step),
            "coarse_adapter": adapter(network.channels[coarse], 1),
        }

    def build_network(self) -> Any:
        """The network the terms look into; `pdcr_uafr` attaches its blocks here."""
        return self.task.build_network()

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation loss and the three patch-dragsaw terms."""
        from contrastseg.losses.segmentation import dice_ce_loss

        sample = batch["labelled"]
        assert sample.label is not None
        network = self.modules["network"]
        features = network.features(sample.image)
        segmentation = dice_ce_loss(network.classify(features), sample.label)
        return {"segmentation": segmentation, **self.regularisation(features, sample.label)}

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def regularisation(self, features: Mapping[str, Tensor], label: Tensor) -> dict[str, Tensor]:
        """The three patch-dragsaw terms, weighted.

        Args:
            features: Maps of the network by name, (B, C, *spatial / stride).
            label: (B, *spatial), int64, 255 = ignore.
        """
        import torch

        network, settings = self.modules["network"], self.settings
        terms = {}
        # In full precision: pixels of a patch are counted, which bfloat16 does to 256 and float16 to 2048.
        with torch.autocast(label.device.type, enabled=False):
            for part in PARTS:
                taps = self._taps(network, part)
                losses = [
                    self._term(features[tap], features[tap], network.strides[tap], points, label)
                    for tap, points in zip(taps, settings[f"{part}_points"], strict=True)
                ]
                terms[f"pdcr_{part}"] = settings[f"{part}_weight"] * sum(losses[1:], losses[0]) / len(losses)
            fine, coarse = self._taps(network, "encoder")
            terms["pdcr_cross"] = settings["cross_weight"] * self._term(
                self.modules["fine_adapter"](features[fine].float()),
                self.modules["coarse_adapter"](features[coarse].float()),
                network.strides[coarse],
                settings["cross_points"],
                label,
            )
        return terms

    def _term(self, rows: Tensor, columns: Tensor, stride: tuple[int, ...], points: int, label: Tensor) -> Tensor:
        """The loss between two maps (B, C, *spatial) of one grid, at regularly spaced points."""
        from contrastseg.losses import pdcr

        positions, centres = pdcr.grid_on_device(tuple(rows.shape[2:]), points, tuple(stride), label.device)
        shares = pdcr.class_shares(label, centres, self._sizes(stride), self.task.num_classes)
        divergences = pdcr.divergence(shares, shares)
        if self.settings["swapped_sign"]:
            divergences = 1 - divergences
        temperature = self.settings["temperature"] or (1.0 if self.task.spatial_dims == 2 else 0.5)
        picked = pdcr.gather_features(rows, positions)
        others = picked if columns is rows else pdcr.gather_features(columns, positions)
        return pdcr.dragsaw_loss(picked, others, divergences, temperature)

    def _taps(self, network: Any, part: Literal["encoder", "decoder"]) -> list[str]:
        """Names of the maps the settings ask for."""
        setting = f"{part}_strides"
        return maps_of_strides("pdcr", network, part, self.settings[setting], setting)

    def _sizes(self, stride: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Sides of the label patches around a unit of this stride, in input pixels."""
        if self.settings["patches"] == "receptive_field":
            return [tuple(6 * s - 1 for s in stride)]
        return [(size,) * self.task.spatial_dims for size in self.settings["patch_sizes"]]
