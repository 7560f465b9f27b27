"""Every network there is: shapes, features, attachments. Networks to come inherit these."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.networks import registry
from contrastseg.networks.uafr import UncertaintyReweighting

CASES = [(name, dims) for name in registry.names() for dims in (2, 3)]


def make(name: str, dims: int) -> nn.Module:
    torch.manual_seed(0)
    options = {"channels": [4, 8, 8, 16]} if name == "unet" else {}
    return registry.build({"name": name, **options}, spatial_dims=dims, in_channels=2, num_classes=3)


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_features_have_the_declared_strides_and_widths(name: str, dims: int) -> None:
    network = make(name, dims)
    size = [4 * d for d in network.divisor]
    features = network.features(torch.randn(1, 2, *size))
    assert features
    assert set(features) == set(network.channels) == set(network.strides)
    for key, value in features.items():
        assert value.shape[1] == network.channels[key]
        assert list(value.shape[2:]) == [n // s for n, s in zip(size, network.strides[key], strict=True)]


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_the_encoders_maps_are_the_same_without_the_decoder(name: str, dims: int) -> None:
    network = make(name, dims)
    images = torch.randn(1, 2, *[4 * d for d in network.divisor])
    features, encoded = network.features(images), network.encode(images)
    assert list(encoded) == [key for key in features if key.startswith("encoder")]
    for key, value in encoded.items():
        assert torch.equal(value, features[key])


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_logits_have_the_inputs_grid_and_every_weight_gets_a_gradient(name: str, dims: int) -> None:
    network = make(name, dims)
    images = torch.randn(2, 2, *[4 * d for d in network.divisor])
    logits = network(images)
    assert logits.shape == (2, 3, *images.shape[2:])
    torch.testing.assert_close(logits, network.classify(network.features(images)))
    logits.square().sum().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key


@pytest.mark.parametrize(("name", "dims"), CASES)
def test_attached_blocks_change_what_follows_and_only_that(name: str, dims: int) -> None:
    plain, attached = make(name, dims), make(name, dims)
    order = list(plain.channels)
    site = order[len(order) // 2]

    class Double(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    attached.attach(site, Double())
    images = torch.randn(1, 2, *[4 * d for d in plain.divisor])
    before, after = plain.features(images), attached.features(images)
    torch.testing.assert_close(after[site], 2 * before[site])
    for key in order[: order.index(site)]:
        torch.testing.assert_close(after[key], before[key])
    assert not torch.allclose(plain(images), attached(images))
    with pytest.raises(SuiteError, match="there are"):
        attached.attach("nowhere", Double())


def test_unknown_network_or_option_lists_the_known_ones() -> None:
    with pytest.raises(SuiteError, match="unet"):
        registry.build({"name": "nonet"}, spatial_dims=2, in_channels=1, num_classes=2)
    with pytest.raises(SuiteError, match="channels"):
        registry.build({"name": "unet", "chanels": [8]}, spatial_dims=2, in_channels=1, num_classes=2)
    with pytest.raises(SuiteError, match="strides"):
        registry.build({"name": "unet", "strides": [2]}, spatial_dims=2, in_channels=1, num_classes=2)


def test_anisotropic_strides() -> None:
    network = registry.build(
        {"name": "unet", "channels": [4, 8, 8], "strides": [[1, 2, 2], [2, 2, 2]]},
        spatial_dims=3,
        in_channels=1,
        num_classes=2,
    )
    assert network.divisor == (2, 4, 4)
    assert network(torch.randn(1, 1, 2, 8, 8)).shape == (1, 2, 2, 8, 8)


@pytest.mark.parametrize("dims", [2, 3])
def test_reweighting_is_the_formula_and_stays_between_once_and_twice_the_input(dims: int) -> None:
    torch.manual_seed(0)
    block = UncertaintyReweighting(8, dims)
    x = torch.randn(2, 8, *[6] * dims)
    y = block(x)
    p = torch.softmax(block.head(x), 1)
    u = -(p * p.log()).sum(1, keepdim=True) / torch.log(torch.tensor(2.0))
    torch.testing.assert_close(y, x + x * (1 - u))
    assert float(u.min()) >= 0
    assert float(u.max()) <= 1 + 1e-6
    assert (y.abs() >= x.abs() - 1e-6).all()
    assert (y.abs() <= 2 * x.abs() + 1e-6).all()


def test_reweighting_knows_certainty_from_doubt() -> None:
    block = UncertaintyReweighting(2, 2)
    with torch.no_grad():
        block.head[3].weight.zero_()
        block.head[3].bias.copy_(torch.tensor([50.0, -50.0]))
    x = torch.randn(1, 2, 4, 4)
    torch.testing.assert_close(block(x), 2 * x)
    with torch.no_grad():
        block.head[3].bias.zero_()
    torch.testing.assert_close(block(x), x)
    with pytest.raises(ValueError, match="at least 2"):
        UncertaintyReweighting(2, 2, outputs=1)
