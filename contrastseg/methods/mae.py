"""Masked autoencoding of a convolutional network: encoder and decoder fill in blocks that are left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods._pretraining import DECODER_STAGES, EncoderPretraining, decoder_maps, decoder_output
from contrastseg.methods.contract import Batch, Card

if TYPE_CHECKING:
    from torch import Tensor, nn


class MAE(EncoderPretraining):
    """Reconstructs masked blocks of unlabelled images, then trains the network with the labels."""

    name = "mae"
    card = Card(
        title="Masked autoencoder (U-Net)",
        paper="He et al., Masked Autoencoders Are Scalable Vision Learners, CVPR 2022; for convolutional networks Wald"
        " et al., An OpenMind for 3D medical vision self-supervised learning, ICCV 2025",
        year=2022,
        doi="arXiv:2111.06377",
        provenance="official",
        summary="Sets three quarters of an image's blocks to 0 and pre-trains encoder and decoder by the squared error"
        " of what they fill in; then trains with the labels.",
        differs=(
            "Followed in nnssl (MIC-DKFZ, `BaseMAETrainer`): a U-Net sees the masked image. The first paper has a"
            " transformer that sees the blocks that are left.",
            "Optimiser, budget, augmentation and network are the suite's; nnssl has its own.",
            "The image is reconstructed by a 1×1 convolution of its own on the decoder's last map; the network's own"
            " head starts anew in training.",
            "A block is at most a quarter of an axis long, and blocks at the far border may be cut: nnssl's patches are"
            " multiples of the block.",
            "The same in 2D, where nnssl has volumes only.",
        ),
        options={
            "block": "16 pixels, as in nnssl",
            "masked_share": "0.75, as in both",
        },
    )
    stages = DECODER_STAGES
    defaults = {"block": 16, "masked_share": 0.75}

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """The head that gives intensities."""
        from contrastseg.networks.heads import dense_head

        width, channels = network.channels[decoder_maps(network)[-1]], self.task.in_channels
        return {"head": dense_head(width, channels, channels, self.task.spatial_dims, layers=1)}

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Squared error where blocks are left out."""
        from contrastseg.losses.masked_images import block_mask, masked_error

        images = batch["images"].image
        mask = block_mask(images, self.settings["block"], self.settings["masked_share"])
        output = decoder_output(self.modules["network"], self.modules["head"], images * ~mask)
        return {"reconstruction": masked_error(output, images, mask)}
