"""DeepLabV3+: the paper's decoder, the aligned Xception, and the maps the released code of PDCR looks into."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from contrastseg.errors import SuiteError, TrainingError
from contrastseg.networks import _xception, registry
from contrastseg.networks.deeplabv3plus import DeepLabV3Plus, build

PAPER: dict[str, Any] = {"encoder": "xception65", "decoder": "paper", "atrous_rates": [6, 12, 18]}
# lzh19961031/PDCR_UAFR-MIS 1d59c53, 2D/models/backbones/xception_bcl_att2.py at output stride 16, and its decoder.
RELEASED = {
    "encoder_conv1": (32, 2),
    "encoder_conv2": (64, 2),
    "encoder_block1": (128, 4),
    "encoder_block2": (256, 8),
    "encoder_block3": (728, 16),
    "encoder_block19": (728, 16),
    "encoder_block20": (1024, 16),
    "encoder_conv3": (1536, 16),
    "encoder_conv4": (1536, 16),
    "encoder_conv5": (2048, 16),
    "aspp": (256, 16),
    "low_level": (48, 4),
    "decoder2": (304, 4),
    "decoder1": (256, 4),
    "decoder0": (256, 4),
}


def make(**options: Any) -> DeepLabV3Plus:
    torch.manual_seed(0)
    return build(spatial_dims=2, in_channels=3, num_classes=2, **options)


def on_meta(**options: Any) -> DeepLabV3Plus:
    """Without memory or arithmetic: shapes alone."""
    with torch.device("meta"):
        return make(**{**PAPER, **options}).eval()


def test_the_xceptions_maps_have_the_released_names_widths_and_strides() -> None:
    network = on_meta()
    features = network.features(torch.zeros(1, 3, 96, 64, device="meta"))
    assert {name: (x.shape[1], 96 // x.shape[2]) for name, x in features.items()} == RELEASED
    assert {name: 64 // x.shape[3] for name, x in features.items()} == {n: s for n, (_, s) in RELEASED.items()}
    assert list(features) == list(RELEASED) == list(network.channels) == list(network.strides)
    assert network.channels == {name: width for name, (width, _) in RELEASED.items()}
    assert network.strides == {name: (stride, stride) for name, (_, stride) in RELEASED.items()}
    assert network.classify(features).shape == (1, 2, 96, 64)
    assert network.divisor == (16, 16)
    # 39,916,312 of timm 1.0.22, xception65, less 2,049,000 of its classifier.
    assert sum(p.numel() for p in network.encoder.parameters()) == 37_867_312


@pytest.mark.parametrize("options", [{"output_stride": 8}, {"decoder": "separable"}])
def test_the_xception_at_stride_8_and_with_the_other_decoder(options: dict[str, Any]) -> None:
    network = on_meta(**options)
    features = network.features(torch.zeros(1, 3, 64, 64, device="meta"))
    assert {name: (64 // x.shape[2],) * 2 for name, x in features.items()} == network.strides
    assert {name: x.shape[1] for name, x in features.items()} == network.channels
    assert network.classify(features).shape == (1, 2, 64, 64)
    assert network.strides["encoder_conv5"] == (options.get("output_stride", 16),) * 2


def test_an_xception_trains_and_is_timms_between_its_parts() -> None:
    """What it computes is timm's network but for the ReLU on `block1`; blocks attached are part of it."""
    network = make(**{**PAPER, "width": 8}).train()
    x = torch.randn(2, 3, 32, 32)
    network(x).square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    network.eval()
    with torch.no_grad():
        maps = network.encode(x)
        encoder = network.encoder
        assert torch.equal(maps["encoder_block1"], encoder.blocks[0](encoder.stem(x)).relu())
        assert torch.equal(maps["encoder_conv5"], encoder.blocks[1:](maps["encoder_block1"]))
        network.attach("encoder_conv4", nn.ReLU6())
        changed = network.encode(x)
        assert torch.equal(changed["encoder_conv4"], maps["encoder_conv4"].clamp(max=6))
        assert torch.equal(changed["encoder_conv3"], maps["encoder_conv3"])


def test_the_papers_decoder_has_the_released_layers() -> None:
    network = make(encoder="resnet18", decoder="paper", atrous_rates=[6, 12, 18])
    decoder = network.decoder
    branches = [layers[0] for layers in decoder.aspp.convs[:4]]
    assert [(c.kernel_size[0], c.dilation[0], c.groups) for c in branches] == [
        (1, 1, 1),
        (3, 6, 1),
        (3, 12, 1),
        (3, 18, 1),
    ]
    assert [m.p for m in decoder.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5, 0.1]
    convolutions = [block[0] for block in (decoder.block1, decoder.block2, decoder.block3)]
    assert [tuple(c.weight.shape) for c in convolutions] == [(48, 64, 1, 1), (256, 304, 3, 3), (256, 256, 3, 3)]
    # He's normal distribution: variance 2 / fan-in. torch's default has a sixth of it.
    for convolution in (branches[1], decoder.aspp.project[0], decoder.block1[0]):
        weight = convolution.weight.detach()
        assert float(weight.var() * weight[0].numel()) == pytest.approx(2, rel=0.1)
    assert float(decoder.block2[0].weight.detach().var() * 304 * 9) == pytest.approx(1 / 3, rel=0.1)


def test_the_low_level_map_is_joined_with_the_pyramids() -> None:
    for options, levels in (({"decoder": "paper", "decoder_dropout": [0.2, 0.3]}, 2), ({}, 1)):
        network = make(encoder="resnet18", width=16, **options).eval()
        maps = network.features(torch.randn(1, 3, 32, 32))
        joined = maps[f"decoder{levels}"]
        assert joined.shape[1] == 16 + 48
        assert torch.equal(joined[:, 16:], maps["low_level"])
        torch.testing.assert_close(joined[:, :16, 0, 0], maps["aspp"][:, :, 0, 0])  # corners are aligned
        assert [name for name in maps if name.startswith("decoder")] == [f"decoder{n}" for n in range(levels, -1, -1)]
    assert [
        m.p
        for m in make(encoder="resnet18", decoder="paper", decoder_dropout=[0.2, 0.3]).modules()
        if isinstance(m, nn.Dropout)
    ] == [0.5, 0.2, 0.3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "xception"}, "encoder of network deeplabv3plus 'xception'; there are: .*xception65"),
        ({"decoder": "plain"}, "decoder of network deeplabv3plus 'plain'; there are: aspp, paper, separable"),
        ({"atrous_rates": [6, 12]}, "three branches"),
        ({"decoder_dropout": [0.5, 0.1]}, "decoder_dropout is the paper decoder's"),
        ({"decoder": "paper", "decoder_dropout": [0.5]}, "two convolutions"),
    ],
)
def test_what_does_not_exist_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        make(**options)


def test_the_xception_is_this_networks_alone() -> None:
    with pytest.raises(SuiteError, match="encoder of network resnet_unet 'xception65'"):
        registry.build({"name": "resnet_unet", "encoder": "xception65"}, spatial_dims=2, in_channels=1, num_classes=2)


def test_the_xceptions_weights_are_timms_and_their_absence_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    class Offline(nn.Module):
        def __init__(self, in_channels: int, output_stride: int, pretrained: bool) -> None:
            asked.append(pretrained)
            raise OSError("no route to the hub")

    monkeypatch.setattr("contrastseg.networks.deeplabv3plus.Xception", Offline)
    with pytest.raises(TrainingError, match="weights of xception65 cannot be downloaded: no route to the hub"):
        make(encoder="xception65", weights="imagenet")
    assert asked == [True]
    assert _xception.WEIGHTS == "xception65.tf_in1k"


def test_deeplabv3_has_no_low_level_map_and_torchvision_s_parameters() -> None:
    from torchvision.models.segmentation.deeplabv3 import DeepLabHead

    network = registry.build(
        {"name": "deeplabv3plus", "encoder": "resnet18", "decoder": "aspp", "output_stride": 8, "width": 256},
        spatial_dims=2,
        in_channels=1,
        num_classes=3,
    ).eval()
    maps = network.features(torch.rand(2, 1, 64, 72))
    assert "low_level" not in maps
    assert list(maps) == list(network.channels)
    assert maps["decoder0"].shape == (2, 256, 8, 9)
    assert network.classify(maps).shape == (2, 3, 64, 72)
    count = sum(p.numel() for part in (network.decoder, network.head) for p in part.parameters())
    assert count == sum(p.numel() for p in DeepLabHead(512, 3).parameters())
