"""DeepLabV3+ in 2D, with a ResNet or the aligned Xception as encoder, and one of three decoders.

Source: Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018,
arXiv 1802.02611. Theirs has an Xception encoder, a pyramid at rates 6, 12 and 18 at output stride 16, and two
convolutions after the maps are joined; so has `encoder: xception65`, `decoder: paper` with `atrous_rates: [6, 12, 18]`.
The default is segmentation_models_pytorch's: ResNet-50, separable convolutions in pyramid and decoder, rates 12, 24 and
36, one more convolution after the pyramid, and one where the paper has two. `decoder: aspp` is DeepLabV3 (Chen et al.,
Rethinking Atrous Convolution, arXiv 1706.05587): plain convolutions, one after the pyramid, and no low-level map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.networks._smp import (
    Encoder,
    Normalise,
    SMPNetwork,
    Weights,
    check_encoder,
    encoder_maps,
    normalised_input,
    resnet_encoder,
    with_weights,
)
from contrastseg.networks._xception import Xception

Decoder = Literal["separable", "paper", "aspp"]
LOW_LEVEL = 48
DROPOUT = (0.5, 0.1)


class _PaperDecoder(nn.Module):
    """Pyramid, low-level branch and two 3×3 convolutions with dropout, as the released code of PDCR builds them.

    Convolutions of the pyramid's unpooled branches, its projection and the low-level branch start from He's normal
    distribution there, the others from torch's default.
    """

    def __init__(
        self, deepest: int, low_level: int, width: int, rates: Sequence[int], scale: int, dropout: Sequence[float]
    ) -> None:
        super().__init__()
        from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP

        def block(inside: int, outside: int, kernel: int) -> list[nn.Module]:
            convolution = nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=False)
            return [convolution, nn.BatchNorm2d(outside), nn.ReLU()]

        self.aspp = ASPP(deepest, width, rates, separable=False, dropout=dropout[0])
        self.up = nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=True)
        self.block1 = nn.Sequential(*block(low_level, LOW_LEVEL, 1))
        self.block2 = nn.Sequential(*block(width + LOW_LEVEL, width, 3), nn.Dropout(dropout[1]))
        self.block3 = nn.Sequential(*block(width, width, 3), nn.Dropout(dropout[2]))
        for layers in (*self.aspp.convs[:4], self.aspp.project, self.block1):
            nn.init.kaiming_normal_(layers[0].weight)


class _PyramidDecoder(nn.Module):
    """DeepLabV3's: the pyramid and one 3×3 convolution, on the encoder's deepest grid."""

    def __init__(self, deepest: int, width: int, rates: Sequence[int], dropout: float) -> None:
        super().__init__()
        from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP

        self.aspp = ASPP(deepest, width, rates, separable=False, dropout=dropout)
        convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.block = nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())


class DeepLabV3Plus(SMPNetwork):
    """The encoder's maps, `aspp`, `low_level` (stride 4), the joined map (the first `decoder…`) … `decoder0`.

    With DeepLabV3's decoder there is no `low_level`, and `decoder1` is `aspp`.

    Args:
        encoder: A ResNet or an `Xception`.
        decoder: With `aspp`, `up`, the low-level branch `block1`, and the convolutions `block2` and maybe `block3`; or
            a `_PyramidDecoder`.
        head: From `decoder0` to logits on the input's grid.
        width: Width of the pyramid and the decoder.
        before: What images go through before the encoder.
    """

    def __init__(self, encoder: Any, decoder: Any, head: nn.Module, width: int, before: nn.Module) -> None:
        super().__init__(encoder, before)
        self.decoder = decoder
        self.head = head
        self._deepest = list(self.channels)[-1]
        self._fine = low_level_map(encoder)
        self.strides["aspp"] = self.strides[self._deepest]
        if isinstance(decoder, _PyramidDecoder):
            self.channels |= dict.fromkeys(("aspp", "decoder1", "decoder0"), width)
            self.strides |= dict.fromkeys(("decoder1", "decoder0"), self.strides["aspp"])
            return
        convolutions = len(self._blocks())
        joined = f"decoder{convolutions}"
        self.channels |= {"aspp": width, "low_level": LOW_LEVEL, joined: width + LOW_LEVEL}
        self.channels |= {f"decoder{index}": width for index in reversed(range(convolutions))}
        names = list(self.channels)
        self.strides |= dict.fromkeys(names[names.index("low_level") :], (4, 4))

    def _blocks(self) -> dict[int, nn.Module]:
        """The convolutions after the joined map, by how many are left with each."""
        if isinstance(self.decoder, _PyramidDecoder):
            return {1: self.decoder.block}
        if isinstance(self.decoder, _PaperDecoder):
            return {2: self.decoder.block2, 1: self.decoder.block3}
        return {1: self.decoder.block2}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.features`.

        Raises:
            SuiteError: A batch of one image in training: the pooled branch normalises one vector per image.
        """
        if self.training and len(images) < 2:
            raise SuiteError("deeplabv3plus trains on batches of at least two images", remedy="raise batch_size")
        return self.decode(self.encode(images), images.shape[2:])

    def decode(self, encoded: Mapping[str, Tensor], size: Sequence[int]) -> dict[str, Tensor]:
        """See `FeatureNetwork.decode`."""
        decoder = self.decoder
        maps = dict(encoded)
        maps["aspp"] = self.attached("aspp", decoder.aspp(maps[self._deepest]))
        x = maps["aspp"]
        if not isinstance(decoder, _PyramidDecoder):
            maps["low_level"] = self.attached("low_level", decoder.block1(maps[self._fine]))
            x = torch.cat([decoder.up(x), maps["low_level"]], dim=1)
        for left, block in self._blocks().items():
            x = maps[f"decoder{left}"] = self.attached(f"decoder{left}", x)
            x = block(x)
        maps["decoder0"] = self.attached("decoder0", x)
        return maps


def low_level_map(encoder: Any) -> str:
    """Name of the encoder's map of stride 4 that the decoder joins."""
    return "encoder_block1" if isinstance(encoder, Xception) else "encoder2"


def build(
    *,
    spatial_dims: int,
    in_channels: int,
    num_classes: int,
    encoder: Encoder | Literal["xception65"] = "resnet50",
    weights: Weights = "none",
    output_stride: Literal[8, 16] = 16,
    decoder: Decoder = "separable",
    width: int = 256,
    atrous_rates: Sequence[int] = (12, 24, 36),
    dropout: float = 0.5,
    decoder_dropout: Sequence[float] | None = None,
    normalise: Normalise = "none",
) -> DeepLabV3Plus:
    """Build a DeepLabV3+.

    Args:
        spatial_dims: 2; there is no 3D form.
        in_channels: Channels of the image.
        num_classes: Classes including background.
        encoder: `resnet18`, `resnet34`, `resnet50`, `resnet101` or `xception65`.
        weights: What the encoder starts from: `none` (random) or `imagenet` (downloaded). Those of the ResNets expect
            images of ImageNet's mean and deviation, those of the Xception values from −1 to 1.
        output_stride: Stride of the deepest map.
        decoder: `separable` (segmentation_models_pytorch's), `paper`, or `aspp` (DeepLabV3's, without low-level map).
        width: Width of the pyramid and the decoder.
        atrous_rates: Dilations of the pyramid's three branches; the paper has 6, 12, 18 at output stride 16 and twice
            that at 8.
        dropout: Dropout after the pyramid.
        decoder_dropout: Dropout after the first and the second convolution of the `paper` decoder; 0.5 and 0.1 if
            unset.
        normalise: What images in [0, 1] become first: `imagenet` (its mean and deviation), `half` (from −1 to 1) or
            `none`.

    Raises:
        SuiteError: 3D, or an option that does not exist.
        TrainingError: The ImageNet weights cannot be had.

    Example:
        >>> network = build(spatial_dims=2, in_channels=3, num_classes=2, encoder="resnet18")
        >>> network.divisor
        (16, 16)
    """
    check_encoder("deeplabv3plus", spatial_dims, encoder, weights, (*get_args(Encoder), "xception65"))
    if output_stride not in (8, 16):
        raise SuiteError(f"deeplabv3plus: output_stride is {output_stride}", remedy="set it to 8 or 16")
    if decoder not in get_args(Decoder):
        raise SuiteError(unknown_name("decoder of network deeplabv3plus", decoder, get_args(Decoder)))
    if len(atrous_rates) != 3:
        raise SuiteError(
            f"deeplabv3plus: the pyramid has three branches, and atrous_rates are {list(atrous_rates)}",
            remedy="give three atrous_rates",
        )
    if decoder != "paper" and decoder_dropout is not None:
        raise SuiteError("deeplabv3plus: decoder_dropout is the paper decoder's", remedy="set `decoder: paper`")
    after = list(DROPOUT if decoder_dropout is None else decoder_dropout)
    if len(after) != 2:
        raise SuiteError(
            f"deeplabv3plus: the decoder has two convolutions, and decoder_dropout is {after}",
            remedy="give decoder_dropout two numbers",
        )
    before = normalised_input("deeplabv3plus", normalise, in_channels)
    backbone = _encoder(spatial_dims, in_channels, encoder, weights, output_stride)
    from segmentation_models_pytorch.base import SegmentationHead
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

    made: Any
    _, widths = encoder_maps(backbone)
    deepest, fine = list(widths.values())[-1], widths[low_level_map(backbone)]
    if decoder == "paper":
        made = _PaperDecoder(deepest, fine, width, atrous_rates, output_stride // 4, [dropout, *after])
    elif decoder == "aspp":
        made = _PyramidDecoder(deepest, width, atrous_rates, dropout)
    else:
        made = DeepLabV3PlusDecoder(
            encoder_channels=(in_channels, 0, fine, 0, 0, deepest),  # the two that it looks at
            encoder_depth=5,
            out_channels=width,
            atrous_rates=atrous_rates,
            output_stride=output_stride,
            aspp_separable=True,
            aspp_dropout=dropout,
        )
    head = SegmentationHead(width, num_classes, kernel_size=1, upsampling=output_stride if decoder == "aspp" else 4)
    return DeepLabV3Plus(backbone, made, head, width, before)


def _encoder(spatial_dims: int, in_channels: int, encoder: str, weights: str, output_stride: int) -> Any:
    if encoder != "xception65":
        return resnet_encoder("deeplabv3plus", spatial_dims, in_channels, encoder, weights, output_stride)
    if weights == "none":
        return Xception(in_channels, output_stride, pretrained=False)
    return with_weights("deeplabv3plus", encoder, lambda: Xception(in_channels, output_stride, pretrained=True))
