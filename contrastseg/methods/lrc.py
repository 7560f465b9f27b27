"""LRC-style: MoCo on the encoder and, at the same time, contrast of super-pixels on the decoder's last map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from contrastseg.errors import TrainingError
from contrastseg.methods._pretraining import LABELLED, STRONG, STRONG_VIEWS, decoder_maps, encoder_maps, pooled
from contrastseg.methods.contract import Batch, Card, InitialWeights, Sample, Stage, View
from contrastseg.methods.moco import (
    MOMENTUM_CONTRAST,
    MOMENTUM_CONTRAST_DIFFERS,
    MOMENTUM_CONTRAST_OPTIONS,
    MoCo,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

REGIONS = {
    "first": View("unlabelled", "a", superpixels=True),
    "second": View("unlabelled", "b", superpixels=True),
}
REGION_CONTRAST: dict[str, Any] = {
    "local_weight": 1.0,
    "local_temperature": 0.1,
    "local_dim": 64,
    "points": 16,
    "max_regions": 64,
    "positives": "all",
    "negatives": "image",
}
REGION_CONTRAST_CHOICES: dict[str, tuple[str, ...]] = {
    "positives": ("all", "one", "average"),
    "negatives": ("image", "batch"),
}
REGION_CONTRAST_OPTIONS = {
    "local_weight": "1",
    "local_temperature": "0.1",
    "local_dim": "64: the paper does not say how wide the embedding of a position is",
    "points": "16 per region and view; smaller regions are left out",
    "max_regions": "64 per image and step, a random choice of those both views show",
    "positives": "all points of the region in the other view, summed inside the logarithm; `one` takes a random one"
    " of them, `average` is SupCon's form",
    "negatives": "points of the other regions of the same image; `batch` adds those of the other images",
}
CARD = Card(
    title="LRC-style",
    paper="Yan et al., Localized Region Contrast for Enhancing Self-Supervised Learning in Medical Image Segmentation,"
    " MICCAI 2023",
    year=2023,
    doi="arXiv:2304.03406",
    provenance="reconstructed",
    summary="Pre-trains the encoder as MoCo v2 does and, in the same stage, the whole network so that points of one"
    " super-pixel are closer to each other across two views than to points of other super-pixels; then trains with the"
    " labels.",
    differs=(
        STRONG_VIEWS,
        MOMENTUM_CONTRAST_DIFFERS,
        "The paper's structure with a loss of our reading; its code is not public.",
        "The paper pre-trains on other, private sets than it fine-tunes on. Here both see the same training patients,"
        " unless the entry names a `pool`, as lrc.yaml does.",
    ),
    options={**MOMENTUM_CONTRAST_OPTIONS, **REGION_CONTRAST_OPTIONS},
)


class LRC(MoCo):
    """MoCo and region contrast in one stage, then supervised training of the whole network.

    Attributes:
        terms: Per pre-training stage, which of the two losses it has. Which stages there are cannot depend on a
            setting, so other stagings are methods of their own.
    """

    name = "lrc"
    card = CARD
    stages: ClassVar[tuple[Stage, ...]] = (
        Stage("pretrain", REGIONS, training=STRONG),
        Stage("train", LABELLED, init_from=(InitialWeights("pretrain", ("network",)),)),
    )
    defaults = {**MOMENTUM_CONTRAST, **REGION_CONTRAST}
    choices = {**MoCo.choices, **REGION_CONTRAST_CHOICES}
    variants = {
        "default": {},
        "one_positive": {"positives": "one"},
        "batch_negatives": {"negatives": "batch"},
    }
    memory_mb = 8000
    terms: ClassVar[Mapping[str, tuple[str, ...]]] = {"pretrain": ("global", "local")}

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """MoCo's head, averages and queue, and the 1×1 convolution on the decoder's last map."""
        from contrastseg.networks.heads import dense_head

        terms = self.terms[self.task.stage]
        modules = dict(super().build_pretraining(network)) if "global" in terms else {}
        if "local" in terms:
            width, dim = network.channels[decoder_maps(network)[-1]], self.settings["local_dim"]
            modules["local_head"] = dense_head(width, dim, dim, self.task.spatial_dims, layers=1)
        return modules

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The losses of this stage, from one pass of the network for both views."""
        if "local" not in self.terms[self.task.stage]:
            return super().pretraining_step(batch, step)
        network = self.modules["network"]
        features = network.features(self.both_images(batch))
        terms: dict[str, Tensor] = {}
        if "global" in self.terms[self.task.stage]:
            first, _ = features[encoder_maps(network)[-1]].chunk(2)
            queries = self.modules["head"](pooled(first, self.settings["pooling"]))
            terms["info_nce"] = self.contrast(queries, batch["second"])
        last = decoder_maps(network)[-1]
        local = self._region_loss(features[last], network.strides[last], batch["first"], batch["second"])
        return {**terms, "region_contrast": self.settings["local_weight"] * local}

    def _region_loss(self, features: Tensor, stride: tuple[int, ...], first: Sample, second: Sample) -> Tensor:
        """Region contrast of the decoder's last map (2B, C, *spatial / stride), the first views before the second."""
        from contrastseg.losses.region_contrast import gather_points, region_contrast_loss, sample_region_points

        settings = self.settings
        if first.superpixels is None or second.superpixels is None:
            raise TrainingError(
                f"{self.name} contrasts super-pixels, and these samples come without",
                remedy="ask for them in the suite, `preparation: {superpixels: {}}`, and prepare again",
            )
        # A unit of a map with a stride stands for the region at its centre.
        units: Any = (..., *(slice(s // 2, None, s) for s in stride))
        points = sample_region_points(
            first.superpixels[units], second.superpixels[units], settings["points"], settings["max_regions"]
        )
        embedded = self.modules["local_head"](features).chunk(2)
        return region_contrast_loss(
            gather_points(embedded[0], points.first),
            gather_points(embedded[1], points.second),
            points.valid,
            settings["local_temperature"],
            settings["positives"],
            settings["negatives"],
        )

    def after_pretraining_step(self, step: int) -> None:
        """Move MoCo's averages and queue, where the stage has them."""
        if "global" in self.terms[self.task.stage]:
            super().after_pretraining_step(step)
