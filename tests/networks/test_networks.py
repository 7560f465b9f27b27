"""What single networks promise beyond the contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.networks import registry
from contrastseg.networks.uafr import UncertaintyReweighting


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": 1}, "set outputs to 2"),
        ({"kernel": 4}, "odd number"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"norm": "layer"}, "norm of uafr 'layer'; there are: batch, instance"),
    ],
)
def test_blocks_that_cannot_be_built_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        UncertaintyReweighting(2, 2, **options)


@pytest.mark.parametrize(("dims", "norm"), [(2, nn.BatchNorm2d), (3, nn.BatchNorm3d)])
def test_blocks_have_the_released_layers_and_those_asked_for(dims: int, norm: type[nn.Module]) -> None:
    head = UncertaintyReweighting(8, dims).head
    assert [type(layer) for layer in list(head)[1:3]] == [norm, nn.ReLU]
    assert head[0].kernel_size == (3,) * dims
    assert (head[0].bias is None) == (dims == 2)
    assert head[0].out_channels == (16 if dims == 2 else 2)
    block = UncertaintyReweighting(8, dims, kernel=5, dropout=0.3, norm="instance")
    assert block.head[0].kernel_size == (5,) * dims
    assert isinstance(block.head[1], nn.InstanceNorm2d if dims == 2 else nn.InstanceNorm3d)
    assert block.head[3].p == 0.3
    x = torch.randn(2, 8, *[6] * dims)
    assert block(x).shape == x.shape
    assert not torch.equal(block(x), block(x))
    assert torch.equal(block.eval()(x), block(x))
