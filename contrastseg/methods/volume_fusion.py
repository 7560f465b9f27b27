"""Volume fusion: the whole network learns to see how much of which image a pixel has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods._pretraining import (
    DECODER_STAGES,
    EncoderPretraining,
    decoder_maps,
    decoder_output,
    require_several,
)
from contrastseg.methods.contract import Batch, Card

if TYPE_CHECKING:
    from torch import Tensor, nn


class VolumeFusion(EncoderPretraining):
    """Segments the mixing level of two fused images, then trains the network with the labels."""

    name = "volume_fusion"
    card = Card(
        title="Volume Fusion",
        paper="Wang et al., MIS-FM: 3D Medical Image Segmentation using Foundation Models Pretrained on a Large-scale"
        " Unannotated Dataset, arXiv 2023",
        year=2023,
        doi="arXiv:2306.16925",
        provenance="official",
        summary="Mixes two unlabelled images in random boxes, each by one of five levels, and pre-trains encoder and"
        " decoder to segment the level; then trains with the labels.",
        differs=(
            "Followed in nnssl (MIC-DKFZ), which re-implements the paper. Optimiser, budget and network are the"
            " suite's; nnssl and the paper have their own.",
            "An image of the batch is the foreground of one mix and the background of the next. nnssl loads two images"
            " for every mix.",
            "Images are augmented as the suite's labelled ones are. nnssl mirrors them and changes noise, blur,"
            " resolution, brightness, contrast and gamma.",
            "The levels are segmented by a 1×1 convolution of its own on the decoder's last map; the network's own head"
            " starts anew in training.",
            "The same in 2D, where both sources have volumes only.",
        ),
        options={
            "levels": "5, α ∈ {0, ¼, ½, ¾, 1}, as in nnssl",
            "boxes_fewest": "10, as in nnssl and the paper",
            "boxes_most": "39: both draw below 40",
            "box_smallest": "8 pixels, as in nnssl and the paper, or the largest side where that is less",
            "box_largest": "0.625 of the axis, as in nnssl and the paper",
        },
    )
    stages = DECODER_STAGES
    defaults = {"levels": 5, "boxes_fewest": 10, "boxes_most": 39, "box_smallest": 8, "box_largest": 0.625}

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """The head that segments the levels."""
        from contrastseg.networks.heads import dense_head

        width, levels = network.channels[decoder_maps(network)[-1]], self.settings["levels"]
        return {"head": dense_head(width, levels, levels, self.task.spatial_dims, layers=1)}

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Cross-entropy plus Dice of the levels, every level a class, image by image."""
        from contrastseg.losses.fusion import draw_boxes, fuse, level_map
        from contrastseg.losses.segmentation import segmentation_loss

        settings, images = self.settings, batch["images"].image
        require_several(batch["images"], self.name)
        boxes = draw_boxes(
            images,
            settings["levels"],
            settings["boxes_fewest"],
            settings["boxes_most"],
            settings["box_smallest"],
            settings["box_largest"],
        )
        level = level_map(boxes, images.shape[2:])
        fused = fuse(images, images.roll(1, 0), level, settings["levels"])
        logits = decoder_output(self.modules["network"], self.modules["head"], fused)
        return {"fusion": segmentation_loss(logits, level, combine="sum", background=True, per_image=True)}
