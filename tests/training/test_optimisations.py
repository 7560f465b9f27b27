"""Layout and compilation change the order of sums, and nothing that a reader of results could see."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.networks import registry
from contrastseg.networks.features import FeatureNetwork
from contrastseg.training.optimisations import compile_networks, keep_small_in_float32, lay_out
from contrastseg.training.run import train

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 8, 8]},
    "vnet": {"width": 4},
    "resnet_unet": {"weights": "none"},
    "deeplabv3plus": {"weights": "none"},
    "monai": {"model": "SegResNet"},
    "smp": {"architecture": "Unet", "encoder": "mobilenet_v2"},
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_layout_changes_neither_maps_nor_gradients(name: str, dims: int) -> None:
    assert set(SMALL) == set(registry.names()), "every network"
    if dims == 3 and name in ("resnet_unet", "deeplabv3plus", "smp"):
        pytest.skip(f"{name} is 2D")
    torch.manual_seed(0)
    # In double precision: kinks of ReLU and norms over few numbers make noise of float32's last bit large.
    images = torch.randn(4, 1, *((64,) * 2 if dims == 2 else (16, 16, 16)), dtype=torch.float64)
    found = []
    for layout in ("contiguous", "channels_last"):
        torch.manual_seed(1)
        network = registry.build({"name": name, **SMALL[name]}, spatial_dims=dims, in_channels=1, num_classes=3)
        lay_out(network.double(), dims, layout)
        for module in network.modules():
            if isinstance(module, torch.nn.Dropout):  # draws its masks in the order of memory: other luck, not an error
                module.eval()
        with torch.no_grad():
            state = {key: value.clone() for key, value in network.state_dict().items()}
        logits = network(images)
        logits.square().mean().backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        weights = next(p for p in network.parameters() if p.ndim == dims + 2 and min(p.shape) > 1)
        found.append((logits.detach(), gradients, state, weights.is_contiguous()))
    (logits, gradients, state, plain), (other, others, changed, moved) = found
    assert plain
    assert not moved, "the layout did reach the weights"
    assert all(torch.equal(state[key], changed[key]) for key in state)
    torch.testing.assert_close(other, logits, atol=1e-8, rtol=1e-8)
    for mine, theirs in zip(gradients, others, strict=True):
        torch.testing.assert_close(theirs, mine, atol=1e-8, rtol=1e-8)


@pytest.mark.learns
@pytest.mark.parametrize("method", ["supervised", "pdcr_uafr"])
def test_a_run_in_another_layout_is_the_same_run(phantoms: dict[int, Any], tmp_path: Path, method: str) -> None:
    losses = {}
    for layout in ("contiguous", "channels_last"):
        config = phantoms[2].config(method, training={"memory_format": layout})
        record = train(config, tmp_path / layout)
        assert record["training"]["memory_format"] == layout
        lines = (tmp_path / layout / "log.csv").read_text().splitlines()
        losses[layout] = [float(line.split(",")[1]) for line in lines[1:]]
    assert losses["channels_last"] == pytest.approx(losses["contiguous"], rel=1e-3)


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler here, which torch.compile needs on a CPU")
@pytest.mark.long
def test_compiled_networks_compute_the_same_and_keep_their_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 1, 32, 32)
    network = registry.build({"name": "unet", "channels": [4, 8]}, spatial_dims=2, in_channels=1, num_classes=3)
    assert isinstance(network, FeatureNetwork)
    expected, names = network(images), list(network.state_dict())
    modules = torch.nn.ModuleDict({"network": network})
    before = network.features
    compile_networks(modules, "default")
    assert network.features != before
    torch.testing.assert_close(network(images), expected, atol=1e-4, rtol=1e-3)
    assert list(network.state_dict()) == names


def _weight_gradient(
    convolution: torch.nn.Module, images: torch.Tensor, mixed: bool
) -> tuple[torch.Tensor, torch.dtype]:
    # Freed memory full of NaN: what reads it without having written it says so.
    [torch.full((1 << size,), float("nan")) for size in range(6, 21) for _ in range(3)].clear()
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        found = convolution(images)
    (gradient,) = torch.autograd.grad(found.float().square().sum(), convolution.weight)
    return gradient, found.dtype


@pytest.mark.parametrize(
    ("shape", "kernel"), [((2, 2, 2), 3), ((2, 4, 7), 3), ((3, 4, 4), 5), ((1, 1), 3), ((2, 6), 3)]
)
def test_maps_smaller_than_a_kernel_have_the_gradients_of_float32(shape: tuple[int, ...], kernel: int) -> None:
    torch.manual_seed(0)
    kind = torch.nn.Conv2d if len(shape) == 2 else torch.nn.Conv3d
    convolution = kind(16, 16, kernel, stride=2 if len(shape) == 2 else 1, padding=kernel // 2)
    keep_small_in_float32(convolution)
    images = torch.randn(2, 16, *shape)
    wanted, _ = _weight_gradient(convolution, images, mixed=False)
    for _ in range(3):
        gradient, dtype = _weight_gradient(convolution, images, mixed=True)
        assert dtype == torch.float32
        assert torch.equal(gradient, wanted)


def test_larger_maps_stay_in_mixed_precision() -> None:
    convolution = torch.nn.Conv3d(4, 4, 3, padding=1)
    images = torch.randn(1, 4, 3, 4, 5)
    names = list(convolution.state_dict())
    keep_small_in_float32(convolution)
    assert list(convolution.state_dict()) == names
    assert _weight_gradient(convolution, images, mixed=True)[1] == torch.bfloat16


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_run_on_a_cpu_guards_its_convolutions_in_mixed_precision(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    seen = []
    monkeypatch.setattr("contrastseg.training.run.keep_small_in_float32", seen.append)
    train(phantoms[2].config("supervised", training={"steps": 1, "precision": precision}), tmp_path)
    assert len(seen) == (precision != "32-true")
