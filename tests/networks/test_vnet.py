"""V-Net: the published widths and counts, residual connections, dropout, strides."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from contrastseg.errors import SuiteError
from contrastseg.networks.vnet import VNet, build


def make(dims: int = 2, channels: int = 1, **options: Any) -> VNet:
    torch.manual_seed(0)
    return build(spatial_dims=dims, in_channels=channels, num_classes=2, **options)


def test_its_size_is_that_of_the_described_layers() -> None:
    """Sum over the description: kernels of 3³ in the blocks, 2³ between levels, two numbers of norm per channel."""
    widths, counts = [16, 32, 64, 128, 256], [1, 2, 3, 3, 3]
    expected = (27 * 1 + 2) * 16 + 16 * 2 + 2
    expected += sum((27 * width + 2) * width * count for width, count in zip(widths[1:], counts[1:], strict=True))
    expected += sum((27 * width + 2) * width * count for width, count in zip(widths[:-1], counts[:-1], strict=True))
    for fine, coarse in itertools.pairwise(widths):
        expected += (8 * fine + 2) * coarse + (8 * coarse + 2) * fine
    network = make(3)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network.channels["encoder4"] == 256
    assert network.divisor == (16, 16, 16)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_residual_connections_add_the_input(dims: int, channels: int) -> None:
    network = make(dims, channels, residual=True, width=4).eval()
    x = torch.randn(1, channels, *[16] * dims)
    assert network(x).shape == (1, 2, *[16] * dims)
    block = network.encoder[1][1]
    inside = torch.rand(1, 8, *[4] * dims)
    torch.testing.assert_close(block(inside), torch.relu(block.convolutions(inside) + inside))
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
    assert torch.equal(block(inside), inside)
    plain = make(dims, channels, width=4).encoder[1][1]
    torch.testing.assert_close(plain(inside), torch.relu(plain.convolutions(inside)))


def test_dropout_is_for_training_alone_and_leaves_the_encoders_maps() -> None:
    network = make(2, width=4)
    x = torch.randn(2, 1, 32, 32)
    deepest = [network.train(mode).features(x)["encoder4"] for mode in (True, False)]
    assert deepest[0].shape == deepest[1].shape
    network.eval()
    torch.testing.assert_close(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))
    without = make(2, width=4, dropout=0.0)
    assert torch.equal(without(x), without(x))


def test_anisotropic_strides_and_their_errors() -> None:
    network = make(3, width=4, strides=[[1, 2, 2], [1, 2, 2], 2, 2])
    assert network.divisor == (4, 16, 16)
    assert network(torch.randn(1, 1, 8, 32, 32)).shape == (1, 2, 8, 32, 32)
    for wrong in ([2, 2], [[2, 2], 2, 2, 2]):
        with pytest.raises(SuiteError, match="give 4 strides of 3 numbers"):
            make(3, strides=wrong)
