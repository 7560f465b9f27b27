"""DeepLabV3+ with a ResNet encoder, in 2D, from segmentation_models_pytorch.

Source: Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018,
arXiv 1802.02611. Theirs has an Xception encoder and two convolutions in the decoder, this package's one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.networks._smp import Encoder, SMPNetwork, Weights, resnet_encoder


class DeepLabV3Plus(SMPNetwork):
    """Encoder `encoder1`…`encoder5`, `aspp`, decoder `decoder1` (both branches joined) and `decoder0` at stride 4."""

    def __init__(self, encoder: Any, decoder: Any, head: nn.Module, width: int) -> None:
        super().__init__(encoder)
        self.decoder = decoder
        self.head = head
        low_level = decoder.block1[0].out_channels
        self.strides |= {"aspp": self.strides["encoder5"], "decoder1": (4, 4), "decoder0": (4, 4)}
        self.channels |= {"aspp": width, "decoder1": width + low_level, "decoder0": width}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.features`.

        Raises:
            SuiteError: A batch of one image in training: the pooled branch normalises one vector per image.
        """
        if self.training and len(images) < 2:
            raise SuiteError("deeplabv3plus trains on batches of at least two images", remedy="raise batch_size")
        maps = self.encode(images)
        maps["aspp"] = self.attached("aspp", self.decoder.aspp(maps["encoder5"]))
        joined = torch.cat([self.decoder.up(maps["aspp"]), self.decoder.block1(maps["encoder2"])], dim=1)
        maps["decoder1"] = self.attached("decoder1", joined)
        maps["decoder0"] = self.attached("decoder0", self.decoder.block2(maps["decoder1"]))
        return maps


def build(
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    encoder: Encoder = "resnet50",
    weights: Weights = "none",
    output_stride: Literal[8, 16] = 16,
    width: int = 256,
    atrous_rates: Sequence[int] = (12, 24, 36),
    dropout: float = 0.5,
) -> DeepLabV3Plus:
    """A DeepLabV3+.

    Args:
        spatial_dims: 2; there is no 3D form.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        encoder: `resnet18`, `resnet34`, `resnet50` or `resnet101`.
        weights: What the encoder starts from: `none` (random) or `imagenet` (downloaded).
        output_stride: Stride of the deepest map.
        width: Width of the pyramid and the decoder.
        atrous_rates: Dilations of the pyramid's three branches.
        dropout: Dropout after the pyramid.

    Raises:
        SuiteError: 3D, or an option that does not exist.
        TrainingError: The ImageNet weights cannot be had.
    """
    if output_stride not in (8, 16):
        raise SuiteError(f"deeplabv3plus: output_stride is {output_stride}; there are: 8, 16")
    backbone = resnet_encoder("deeplabv3plus", spatial_dims, in_channels, encoder, weights, output_stride)
    from segmentation_models_pytorch.base import SegmentationHead
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

    decoder = DeepLabV3PlusDecoder(
        encoder_channels=backbone.out_channels,
        encoder_depth=5,
        out_channels=width,
        atrous_rates=atrous_rates,
        output_stride=output_stride,
        aspp_separable=True,
        aspp_dropout=dropout,
    )
    return DeepLabV3Plus(backbone, decoder, SegmentationHead(width, num_classes, kernel_size=1, upsampling=4), width)
