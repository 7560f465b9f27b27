"""PDCR: features of image patches with like labels are dragged together, of unlike ones apart. Needs labels only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from contrastseg.errors import SuiteError
from contrastseg.methods._taps import maps_of_names, maps_of_strides
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form

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
            "Mean over pairs and layers; the released 2D weights (0.1, 0.01, 0.01) belong to `reduction: sum`.",
            "'Patch position encoding' is in the paper's ablation and nowhere in the released code: left out.",
            "The sign exchange of the released 2D code is the variant `swapped_sign`, an ablation.",
            "Attached to this benchmark's network, by stride or by the maps' names, where the paper used DeepLabV3+ and"
            " nnU-Net.",
            "The paper's ablations `objective: l2` and `affinity: dice` are our reading: their code is not released.",
        ),
        options={
            "encoder_weight": "0.01, the best of 0.01, 0.03, 0.1 for all three on ACDC's validation patients, one seed",
            "decoder_weight": "as encoder_weight; the released 2D code has 0.01 on a sum, the 3D code no such term",
            "cross_weight": "0.01, the released factor; the release halves it once more in 3D, since it divides its one"
            " pair of layers by two",
            "encoder_maps": "unset: by strides; the released 2D maps are encoder_conv2 and encoder_block1 of the"
            " Xception in deeplabv3plus",
            "encoder_strides": "4 and 8, as in the released 3D code; the 2D code has 2 and 4",
            "encoder_points": "64 and 32, as in the released 2D code at its strides 2 and 4; the 3D code takes every"
            " 8th and 4th unit, 64 and 64 points of a patch of side 128",
            "decoder_maps": "unset: by strides; the released 2D maps are low_level and decoder1 of deeplabv3plus with"
            " the paper's decoder, with 32 and 8 points",
            "decoder_strides": "4 and 8, our choice: both released 2D maps have stride 4",
            "decoder_points": "32 and 8, the released 2D values",
            "cross_stride": "unset: that of the second encoder map, reached by 3×3 convolutions in 2D and, as in the"
            " released 3D code, by 1×1×1 ones in 3D; the 2D code has 16, by convolutions as large as their stride",
            "cross_width": "unset: that of the narrower map, as in the released 3D code; the 2D code has 32",
            "reduction": "mean, as in the released 3D code; sum is over images and pairs of points and over layers, as"
            " in the 2D code",
            "guard": "none, as in the released source. In the authors' compiled code, the weighted sum of a layer and a"
            " patch size above 100 is divided by 1,000 (November 2021, `divide`) or dropped (February 2021, `drop`)."
            " With `divide` and 4 images, the encoder's terms are 1.6 and 0.4 times the mean; with none, 1,638 and 410",
            "average": "loss, the paper's better one; shares averages the class shares of all patch sizes first",
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
        "encoder_maps": None,
        "encoder_strides": (4, 8),
        "encoder_points": (64, 32),
        "decoder_maps": None,
        "decoder_strides": (4, 8),
        "decoder_points": (32, 8),
        "cross_points": 32,
        "cross_stride": None,
        "cross_width": None,
        "average": "loss",
        "reduction": "mean",
        "guard": "none",
        "objective": "dragsaw",
        "affinity": "shares",
        "swapped_sign": False,
    }
    choices = {
        "patches": ("hierarchical", "receptive_field"),
        "average": ("loss", "shares"),
        "reduction": ("mean", "sum"),
        "guard": ("none", "divide", "drop"),
        "objective": ("dragsaw", "l1", "l2"),
        "affinity": ("shares", "dice"),
    }
    variants = {"default": {}, "rf": {"patches": "receptive_field"}, "swapped_sign": {"swapped_sign": True}}

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """The maps that the settings ask for."""
        for part in PARTS if network.maps else ():
            taps_of(network, part, settings)

    def build(self) -> Mapping[str, nn.Module]:
        """The network, and the two adapters that bring two encoder layers to one width and grid."""
        network = self.build_network()
        for part in PARTS:  # says now what is missing, not at the first step
            taps, points = taps_of(network, part, self.settings), self.settings[f"{part}_points"]
            if len(taps) != len(points):
                raise SuiteError(
                    f"pdcr: {len(taps)} {part} maps have {len(points)} numbers of points: {list(points)}",
                    remedy=f"give {part}_points of pdcr one number for each map",
                )
        if len(taps_of(network, "encoder", self.settings)) != 2:
            raise SuiteError("pdcr: the cross-layer term is between two encoder maps", remedy="name two")
        if self.settings["affinity"] == "dice" and self.settings["average"] == "shares":
            raise SuiteError("pdcr: a Dice affinity has no shares to average", remedy="set `average: loss`")
        fine, coarse = taps_of(network, "encoder", self.settings)
        width = self.settings["cross_width"] or min(network.channels[fine], network.channels[coarse])
        return {
            "network": network,
            "fine_adapter": self._adapter(network, fine, coarse, width),
            "coarse_adapter": self._adapter(network, coarse, coarse, width),
        }

    def _adapter(self, network: Any, name: str, coarse: str, width: int) -> nn.Sequential:
        """Convolution, norm and ReLU from a map to the grid and the width of the cross-layer term."""
        from torch import nn

        plane = self.task.spatial_dims == 2
        strides, wanted = network.strides[name], self._cross_stride(network, coarse)
        if any(there % here for here, there in zip(strides, wanted, strict=True)):
            raise SuiteError(
                f"pdcr: {name} has stride {list(strides)}, which does not divide the cross-layer term's {list(wanted)}",
                remedy="change cross_stride of pdcr, or the maps",
            )
        step = tuple(there // here for here, there in zip(strides, wanted, strict=True))
        kernel: Any = (3 if plane else 1) if self.settings["cross_stride"] is None else step
        padding = 1 if kernel == 3 else 0
        convolution: Any = nn.Conv2d if plane else nn.Conv3d
        norm = nn.BatchNorm2d if plane else nn.BatchNorm3d
        return nn.Sequential(
            convolution(network.channels[name], width, kernel, step, padding, bias=not plane),
            norm(width, affine=True),
            nn.ReLU(),
        )

    def _cross_stride(self, network: Any, coarse: str) -> tuple[int, ...]:
        """Stride of the cross-layer term's grid along each axis."""
        asked: int | None = self.settings["cross_stride"]
        stride: tuple[int, ...] = network.strides[coarse] if asked is None else (asked,) * self.task.spatial_dims
        return stride

    def build_network(self) -> Any:
        """The network the terms look into; `pdcr_uafr` attaches its blocks here."""
        return self.task.build_network()

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation loss and the three patch-dragsaw terms."""
        sample = batch["labelled"]
        assert sample.label is not None
        network = self.modules["network"]
        features = network.features(sample.image)
        segmentation = self.segmentation_loss(network.classify(features), sample.label)
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
                taps = taps_of(network, part, self.settings)
                weight = settings[f"{part}_weight"]
                losses = [
                    self._term(features[tap], features[tap], network.strides[tap], points, label, weight)
                    for tap, points in zip(taps, settings[f"{part}_points"], strict=True)
                ]
                layers = len(losses) if settings["reduction"] == "mean" else 1
                terms[f"pdcr_{part}"] = weight * sum(losses[1:], losses[0]) / layers
            fine, coarse = taps_of(network, "encoder", self.settings)
            terms["pdcr_cross"] = settings["cross_weight"] * self._term(
                self.modules["fine_adapter"](features[fine].float()),
                self.modules["coarse_adapter"](features[coarse].float()),
                self._cross_stride(network, coarse),
                settings["cross_points"],
                label,
                settings["cross_weight"],
            )
        return terms

    def _term(
        self,
        rows: Tensor,
        columns: Tensor,
        stride: tuple[int, ...],
        points: int,
        label: Tensor,
        weight: float,
    ) -> Tensor:
        """The loss between two maps (B, C, *spatial) of one grid, at regularly spaced points, without its weight."""
        from contrastseg.losses import pdcr

        settings, classes = self.settings, self.task.num_classes
        positions, centres = pdcr.grid_on_device(tuple(rows.shape[2:]), points, tuple(stride), label.device)
        if settings["affinity"] == "dice":
            divergences = 1 - pdcr.patch_dice(label, centres, self._sizes(stride), classes)
        else:
            shares = pdcr.class_shares(label, centres, self._sizes(stride), classes)
            if settings["average"] == "shares":
                shares = shares.mean(0, keepdim=True)
            divergences = pdcr.divergence(shares, shares)
        if settings["swapped_sign"]:
            divergences = 1 - divergences
        picked = pdcr.gather_features(rows, positions)
        others = picked if columns is rows else pdcr.gather_features(columns, positions)
        if settings["guard"] == "none":
            return self._objective(picked, others, divergences)
        sizes = [pdcr.guarded(self._objective(picked, others, d), weight, settings["guard"]) for d in divergences]
        return sum(sizes[1:], sizes[0]) / len(sizes)

    def _objective(self, rows: Tensor, columns: Tensor, divergences: Tensor) -> Tensor:
        """The objective on picked features (B, N, C) and divergences (S, B, N, N) or (B, N, N), a scalar."""
        from contrastseg.losses import pdcr

        settings = self.settings
        temperature = settings["temperature"] or (1.0 if self.task.spatial_dims == 2 else 0.5)
        if settings["objective"] == "dragsaw":
            return pdcr.dragsaw_loss(rows, columns, divergences, temperature, settings["reduction"])
        power = 1 if settings["objective"] == "l1" else 2
        return pdcr.affinity_regression(rows, columns, divergences, temperature, power, settings["reduction"])

    def _sizes(self, stride: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Sides of the label patches around a unit of this stride, in input pixels."""
        if self.settings["patches"] == "receptive_field":
            return [tuple(6 * s - 1 for s in stride)]
        return [(size,) * self.task.spatial_dims for size in self.settings["patch_sizes"]]


def taps_of(network: Any, part: Literal["encoder", "decoder"], settings: Mapping[str, Any]) -> list[str]:
    """Names of the maps that the settings ask for.

    Args:
        network: A `FeatureNetwork`, or what the catalogue knows of one.
        part: Where the maps are.
        settings: PDCR's, resolved.

    Raises:
        SuiteError: The network has no such map; the message lists those it has.
    """
    names = settings[f"{part}_maps"]
    if names is not None:
        return maps_of_names("pdcr", network, names, f"{part}_maps")
    setting = f"{part}_strides"
    return maps_of_strides("pdcr", network, part, settings[setting], setting)
