"""U-Net: the settings that make SSL4MIS's of it, in 2D and 3D, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.networks.unet import UNet, build

SSL4MIS: dict[str, Any] = {
    "norm": "batch",
    "pooling": "max",
    "upsampling": "linear",
    "dropout": [0.05, 0.1, 0.2, 0.3, 0.5],
    "head_kernel": 3,
}
RELEASED = [
    [-12.797385, 12.130769, 3.516767],
    [-16.358223, 11.725076, -1.387177],
    [-18.695896, 10.522105, -6.145042],
    [-19.655821, 8.594835, -10.428116],
]


def make(dims: int = 2, classes: int = 4, **options: Any) -> UNet:
    torch.manual_seed(0)
    return build(spatial_dims=dims, in_channels=1, num_classes=classes, **options)


def test_ssl4mis_network_has_its_size_and_its_outputs() -> None:
    """HiLab-git/SSL4MIS 06df604, code/networks/unet.py, UNet(1, 4), in evaluation mode with the weights below.

    Theirs has 1,813,764 parameters. 1,472 of them are biases before batch norm, which subtracts them again.
    """
    network = make(**SSL4MIS).eval()
    assert sum(p.numel() for p in network.parameters()) == 1_813_764 - 1_472
    with torch.no_grad():
        for parameter in network.parameters():
            values = torch.arange(parameter.numel(), dtype=torch.float64).mul(0.7).sin()
            width = parameter[0].numel() if parameter.dim() > 1 else 1
            scaled = values * (2 / width) ** 0.5 if parameter.dim() > 1 else values / 10 + 1
            parameter.copy_(scaled.reshape(parameter.shape))
        logits = network(torch.arange(32.0 * 32).mul(0.11).sin().reshape(1, 1, 32, 32))
    torch.testing.assert_close(logits[0, :, ::13, 7], torch.tensor(RELEASED), rtol=1e-4, atol=3e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_max_pooling_halves_before_the_first_convolution(dims: int) -> None:
    network = make(dims, channels=[4, 6, 8], pooling="max", norm="batch").eval()
    x = torch.randn(1, 1, *[8] * dims)
    maps = network.encode(x)
    assert [tuple(maps[f"encoder{level}"].shape[2:]) for level in range(3)] == [(8,) * dims, (4,) * dims, (2,) * dims]
    convolutions = [m for m in network.encoder.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    assert {m.stride for m in convolutions} == {(1,) * dims}
    pooled = maps["encoder0"].unfold(2, 2, 2).amax(-1)
    for axis in range(3, 2 + dims):
        pooled = pooled.unfold(axis, 2, 2).amax(-1)
    assert torch.equal(network.encoder[1][1:](pooled), maps["encoder1"])


@pytest.mark.parametrize("dims", [2, 3])
def test_pooling_and_interpolation_follow_strides_of_each_axis(dims: int) -> None:
    step = [1, 2, 2][-dims:] if dims == 3 else [1, 2]
    network = make(dims, channels=[4, 6, 8], strides=[step, 2], pooling="max", upsampling="linear")
    shape = tuple(2 * n for n in network.divisor)
    assert network.divisor == tuple(2 * n for n in step)
    logits = network(torch.randn(2, 1, *shape))
    assert logits.shape == (2, 4, *shape)
    logits.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in network.parameters())


@pytest.mark.parametrize("dims", [2, 3])
def test_dropout_is_the_encoders_alone_with_a_share_for_each_level(dims: int) -> None:
    network = make(dims, channels=[4, 6, 8], dropout=[0.1, 0.0, 0.5], norm="batch")
    shares = [[m.p for m in block if isinstance(m, nn.Dropout)] for block in network.encoder]
    assert shares == [[0.1], [], [0.5]]
    assert not [m for m in network.decoder.modules() if isinstance(m, nn.Dropout)]
    x = torch.randn(2, 1, *[8] * dims)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
    for dropout in (0.3, [0.3] * 3):
        same = make(dims, channels=[4, 6, 8], dropout=dropout)
        assert [m.p for m in same.modules() if isinstance(m, nn.Dropout)] == [0.3] * 3


def test_defaults_have_neither_dropout_nor_pooling_and_a_head_of_one() -> None:
    network = make()
    kinds = {type(m) for m in network.modules()}
    assert not kinds & {nn.Dropout, nn.MaxPool2d, nn.Upsample}
    assert network.head.kernel_size == (1, 1)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_heads_kernel_keeps_the_grid(dims: int) -> None:
    network = make(dims, channels=[4, 6], head_kernel=3)
    assert network.head.weight.shape == (4, 4, *[3] * dims)
    assert network(torch.randn(1, 1, *[8] * dims)).shape == (1, 4, *[8] * dims)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "layer"}, "norm of network unet 'layer'; there are: batch, instance"),
        ({"pooling": "average"}, "pooling of network unet 'average'; there are: max, strided"),
        ({"upsampling": "bilinear"}, "upsampling of network unet 'bilinear'; there are: linear, nearest, transposed"),
        ({"dropout": [0.1, 0.2]}, "one number from 0 to below 1, or 5"),
        ({"dropout": 1.0}, "from 0 to below 1"),
        ({"head_kernel": 2}, "odd number"),
    ],
)
def test_what_does_not_exist_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        make(**options)
