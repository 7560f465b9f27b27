"""What every network there is or will be must do. One that is added is tested here without a line being written."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import torch
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.methods import registry as methods
from contrastseg.methods._taps import maps_of_strides
from contrastseg.methods.uafr import attach_reweighting
from contrastseg.networks import registry
from contrastseg.networks.decoders import without_encoder
from contrastseg.networks.features import FeatureNetwork

# Only to be quick: the same code at smaller widths.
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 8, 8, 16, 16]},
    "vnet": {"width": 4},
    "deeplabv3plus": {"encoder": "resnet18", "width": 16},
    "resnet_unet": {"encoder": "resnet18"},
}
# Settings that make another network of one, beside every network as it is.
FORMS: dict[str, dict[str, Any]] = {
    name: {"name": name, **SMALL.get(name, {})} for name in registry.names() if name not in ("monai", "smp")
} | {
    "unet as SSL4MIS": {
        "name": "unet",
        "channels": [4, 8, 8, 16],
        "norm": "batch",
        "pooling": "max",
        "upsampling": "linear",
        "dropout": 0.1,
        "head_kernel": 3,
    },
    "deeplabv3plus as the paper": {"name": "deeplabv3plus", **SMALL["deeplabv3plus"], "decoder": "paper"},
}
# Networks of other packages, found by running them once: three of them always, the others in the long tests.
MONAI: dict[str, dict[str, Any]] = {
    "SwinUNETR": {"depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "feature_size": 12, "window_size": 4},
    "SegResNet": {},
    "UNETR": {"img_size": 32, "feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2},
    "DynUNet": {"filters": [4, 8, 8, 16, 16]},
    "AttentionUnet": {"channels": [4, 8, 8, 16, 16]},
    "BasicUNetPlusPlus": {"features": [4, 4, 8, 8, 16, 4]},
}
FORMS |= {f"monai {model}": {"name": "monai", "model": model, **options} for model, options in MONAI.items()}
SMP: dict[str, dict[str, Any]] = {
    "UnetPlusPlus": {"encoder": "mobilenet_v2", "decoder_channels": [16, 8, 8, 4, 4]},
    "Segformer": {"encoder": "mit_b0", "decoder_segmentation_channels": 16},
    "FPN": {"encoder": "resnet18", "decoder_pyramid_channels": 32, "decoder_segmentation_channels": 32},
    "UPerNet": {"encoder": "mobilenet_v2", "decoder_channels": 16},
    "DeepLabV3Plus": {"encoder": "mobilenet_v2", "decoder_channels": 16},
    "Unet": {"encoder": "tu-convnext_atto", "decoder_channels": [16, 8, 8, 4, 4]},
}
FORMS |= {f"smp {kind}": {"name": "smp", "architecture": kind, **options} for kind, options in SMP.items()}
LONG = [f"monai {model}" for model in list(MONAI)[2:]] + [f"smp {kind}" for kind in list(SMP)[1:]]
# A volume that a Swin transformer takes has 64 voxels a side, too many for all of this: one test of its own.
DIMS = {"monai SwinUNETR": (2,)}
NETWORKS = [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in FORMS]


def forms(name: str, in_channels: int = 2) -> Iterator[tuple[int, FeatureNetwork]]:
    """The network in every dimension it is defined in."""
    settings = FORMS[name]
    refused = []
    for dims in DIMS.get(name, (2, 3)):
        torch.manual_seed(0)
        try:
            network = registry.build(settings, spatial_dims=dims, in_channels=in_channels, num_classes=3)
        except SuiteError as error:
            refused.append(error)
        else:
            yield dims, network
    assert len(refused) < 2, "a network is defined in 2D, in 3D, or in both"
    assert all(settings["name"] in error.reason and error.remedy for error in refused), (
        "who has no such form, and what to do"
    )


def images(network: FeatureNetwork, batch: int = 2, channels: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, *[2 * d for d in network.divisor], generator=generator)


class Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_features_have_the_declared_strides_and_widths_and_logits_the_inputs_grid(name: str, channels: int) -> None:
    for dims, network in forms(name, channels):
        network.eval()
        x = images(network, 1, channels)
        features = network.features(x)
        assert list(features) == list(network.channels) == list(network.strides)
        for key, value in features.items():
            assert value.shape[:2] == (1, network.channels[key])
            assert list(value.shape[2:]) == [n // s for n, s in zip(x.shape[2:], network.strides[key], strict=True)]
        logits = network(x)
        assert logits.shape == (1, 3, *x.shape[2:])
        assert len(network.divisor) == dims
        torch.testing.assert_close(logits, network.classify(features))


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_named_after_encoder_and_decoder_and_end_at_the_finest(name: str) -> None:
    for _, network in forms(name):
        encoder = [max(s) for key, s in network.strides.items() if key.startswith("encoder")]
        decoder = [max(s) for key, s in network.strides.items() if key.startswith("decoder")]
        assert len(encoder) >= 2
        assert encoder == sorted(encoder)
        assert decoder
        assert decoder == sorted(decoder, reverse=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_encoders_maps_are_the_same_without_the_decoder(name: str) -> None:
    for _, network in forms(name):
        network.eval()
        features, encoded = network.features(images(network)), network.encode(images(network))
        assert list(encoded) == [key for key in features if key.startswith("encoder")]
        for key, value in encoded.items():
            assert torch.equal(value, features[key])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_decoder_alone_works_on_the_maps_of_another_encoder(name: str) -> None:
    for _, network in forms(name):
        network.eval()
        x = images(network)
        encoded, whole = network.encode(x), network.features(x)
        if type(network).decode is FeatureNetwork.decode:
            with pytest.raises(SuiteError, match=type(network).__name__):
                without_encoder(network)
            continue
        decoder = without_encoder(copy.deepcopy(network))
        decoded = decoder.decode(encoded, x.shape[2:])
        assert list(decoded) == list(whole)
        assert all(torch.equal(decoded[key], whole[key]) for key in whole)
        assert torch.equal(decoder.classify(decoded), network(x))
        assert not [key for key, _ in decoder.named_parameters() if key.startswith("encoder")]


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_of_the_encoder_can_be_replaced_for_the_decoder(name: str) -> None:
    for _, network in forms(name):
        network.eval()
        given = images(network)
        features = network.features(given)
        again = network.features_with(network.encode(given), given)
        assert list(again) == list(features)
        for key, value in again.items():
            assert torch.equal(value, features[key]), key
        doubled = {key: 2 * value for key, value in network.encode(given).items()}
        perturbed = network.features_with(doubled, given)
        for key, value in doubled.items():
            assert torch.equal(perturbed[key], value)
        last = list(features)[-1]
        assert not torch.allclose(perturbed[last], features[last])
        assert torch.equal(network.features(given)[last], features[last]), "nothing of it stays"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_gets_a_gradient(name: str) -> None:
    for _, network in forms(name):
        network.eval()
        network(images(network)).square().sum().backward()
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", NETWORKS)
def test_the_encoder_is_what_its_maps_depend_on_and_nothing_else(name: str) -> None:
    for _, network in forms(name):
        features = network.features(images(network))
        encoder = torch.stack([value.square().sum() for key, value in features.items() if key.startswith("encoder")])
        names, parameters = zip(*network.named_parameters(), strict=True)
        gradients = torch.autograd.grad(encoder.sum(), parameters, allow_unused=True)
        used = {key for key, gradient in zip(names, gradients, strict=True) if gradient is not None}
        assert used == {f"encoder.{key}" for key, _ in network.encoder.named_parameters()}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_encoder_taken_over_makes_the_same_maps(name: str) -> None:
    for _, network in forms(name):
        other = copy.deepcopy(network)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.mul_(0.5)
        other.encoder.load_state_dict(network.encoder.state_dict())
        network.eval()
        other.eval()
        one, two = network.features(images(network)), other.features(images(network))
        for key in one:
            assert torch.equal(one[key], two[key]) == key.startswith("encoder"), key


@pytest.mark.parametrize("name", NETWORKS)
def test_seeds_decide_weights_and_training_passes(name: str) -> None:
    for (_, one), (_, two) in zip(forms(name), forms(name), strict=True):
        for key, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[key]), key
        outputs = []
        for network in (one, two):
            torch.manual_seed(5)
            outputs.append(network(images(network)))
        assert torch.equal(*outputs)
        torch.manual_seed(6)
        fresh = copy.deepcopy(one)
        fresh.apply(lambda module: module.reset_parameters() if hasattr(module, "reset_parameters") else None)
        assert not torch.equal(fresh(images(one)), outputs[0])


@pytest.mark.learns
@pytest.mark.parametrize("name", NETWORKS)
def test_attached_blocks_change_their_map_what_follows_and_nothing_before(name: str) -> None:
    for nth, (_, plain) in enumerate(forms(name)):
        # A fresh V-Net's deepest map is 1e-8: in float32 what it adds to the logits may be rounded away.
        plain.eval().double()
        x = images(plain, 1).double()
        before, logits = plain.features(x), plain(x)
        order = list(plain.channels)
        for site in order[:: 3 if nth else 1]:  # the same code in another number of dimensions
            plain.attach(site, Double())
            after = plain.features(x)
            torch.testing.assert_close(after[site], 2 * before[site])
            for key in order[: order.index(site)]:
                assert torch.equal(after[key], before[key]), (site, key)
            assert float((plain.classify(after) - logits).detach().abs().max()) > 1e-14, site
            del plain.attachments[site]
        with pytest.raises(SuiteError, match="there are"):
            plain.attach("nowhere", Double())


@pytest.mark.parametrize("name", NETWORKS)
def test_uafr_attaches_by_the_papers_rule(name: str) -> None:
    """2D: the five deepest maps of the encoder and the two finest of the decoder; 3D: the decoder's."""
    for dims, network in forms(name):
        encoder = [key for key in network.channels if key.startswith("encoder")]
        decoder = [key for key in network.channels if key.startswith("decoder")]
        attach_reweighting(network, dims, methods.get("uafr").resolve())
        expected = encoder[-5:] + decoder[-2:] if dims == 2 else decoder
        assert list(network.attachments) == expected
        network(images(network)).sum().backward()
        for key, parameter in network.attachments.named_parameters():
            assert parameter.grad is not None, key


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_maps_are_found_by_stride_or_those_there_are_are_named(name: str, part: Literal["encoder", "decoder"]) -> None:
    for _, network in forms(name):
        strides = sorted({max(s) for key, s in network.strides.items() if key.startswith(part)})
        found = maps_of_strides("pdcr", network, part, strides, "encoder_strides")
        assert [max(network.strides[key]) for key in found] == strides
        assert all(key.startswith(part) for key in found)
        with pytest.raises(SuiteError, match=rf"pdcr: .* {part} map of stride 3; there are: \[\d") as caught:
            maps_of_strides("pdcr", network, part, [3], "encoder_strides")
        assert caught.value.remedy is not None
        assert "encoder_strides" in caught.value.remedy


@pytest.mark.parametrize("name", NETWORKS)
def test_unknown_options_list_the_known_ones(name: str) -> None:
    with pytest.raises(SuiteError, match=r"no_such_option.*there are: [a-z]"):
        registry.build({**FORMS[name], "no_such_option": 1}, spatial_dims=2, in_channels=1, num_classes=2)


@pytest.mark.long
def test_a_swin_transformers_maps_in_3d_are_those_of_its_contract() -> None:
    network = registry.build(FORMS["monai SwinUNETR"], spatial_dims=3, in_channels=1, num_classes=2).eval()
    x = torch.randn(1, 1, 64, 64, 64)
    with torch.no_grad():
        before, encoded = network.features(x), network.encode(x)
        assert list(before) == list(network.channels)
        for key, value in before.items():
            assert list(value.shape[2:]) == [64 // s for s in network.strides[key]]
            assert value.shape[1] == network.channels[key]
            assert not key.startswith("encoder") or torch.equal(encoded[key], value)
        network.attach("encoder4", Double())
        after = network.features(x)
    torch.testing.assert_close(after["encoder4"], 2 * before["encoder4"])
    assert torch.equal(after["encoder3"], before["encoder3"])
    assert not torch.equal(after["decoder4"], before["decoder4"])
