"""U-Net with a ResNet encoder, in 2D, from segmentation_models_pytorch.

Source: Ronneberger et al., MICCAI 2015, with the encoder of He et al., Deep Residual Learning, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.networks._smp import Encoder, Normalise, SMPNetwork, Weights, normalised_input, resnet_encoder


class ResNetUNet(SMPNetwork):
    """Encoder `encoder1`…`encoder5`, decoder `decoder4` (stride 16) … `decoder0` (stride 1)."""

    def __init__(self, encoder: Any, decoder: Any, head: nn.Module, widths: Sequence[int], before: nn.Module) -> None:
        super().__init__(encoder, before)
        self.decoder = decoder
        self.head = head
        for level, width in zip(reversed(range(5)), widths, strict=True):
            self.strides[f"decoder{level}"] = (2**level,) * 2
            self.channels[f"decoder{level}"] = width

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.features`."""
        return self.decode(self.encode(images), images.shape[2:])

    def decode(self, encoded: Mapping[str, Tensor], size: Sequence[int]) -> dict[str, Tensor]:
        """See `FeatureNetwork.decode`."""
        maps = dict(encoded)
        x = self.decoder.center(maps["encoder5"])
        for level, block in zip(reversed(range(5)), self.decoder.blocks, strict=True):
            skip = maps.get(f"encoder{level}")
            height, width = size if skip is None else skip.shape[2:]
            x = self.attached(f"decoder{level}", block(x, height, width, skip_connection=skip))
            maps[f"decoder{level}"] = x
        return maps


def build(
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    encoder: Encoder = "resnet50",
    weights: Weights = "none",
    widths: Sequence[int] = (256, 128, 64, 32, 16),
    normalise: Normalise = "none",
) -> ResNetUNet:
    """Build a U-Net on a ResNet.

    Args:
        spatial_dims: 2; there is no 3D form.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        encoder: `resnet18`, `resnet34`, `resnet50` or `resnet101`.
        weights: What the encoder starts from: `none` (random) or `imagenet` (downloaded).
        widths: Widths of the decoder's five levels, deepest first.
        normalise: What images in [0, 1] become first: `imagenet` (its mean and deviation), `half` (from −1 to 1) or
            `none`.

    Raises:
        SuiteError: 3D, or an option that does not exist.
        TrainingError: The ImageNet weights cannot be had.

    Example:
        >>> network = build(spatial_dims=2, in_channels=3, num_classes=2, encoder="resnet18")
        >>> network.divisor
        (32, 32)
    """
    if len(widths) != 5:
        raise SuiteError(
            f"resnet_unet: the decoder has five levels, and widths are {list(widths)}", remedy="give five widths"
        )
    before = normalised_input("resnet_unet", normalise, in_channels)
    backbone = resnet_encoder("resnet_unet", spatial_dims, in_channels, encoder, weights)
    from segmentation_models_pytorch.base import SegmentationHead
    from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    decoder = UnetDecoder(encoder_channels=backbone.out_channels, decoder_channels=widths, n_blocks=5)
    head = SegmentationHead(widths[-1], num_classes, kernel_size=3)
    initialize_decoder(decoder)
    initialize_head(head)
    return ResNetUNet(backbone, decoder, head, widths, before)
