"""Layout and compilation change the order of sums, and nothing that a reader of results could see."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.networks import registry
from contrastseg.networks.features import FeatureNetwork
from contrastseg.training.optimisations import compile_networks, lay_out
from contrastseg.training.run import train

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 8, 8]},
    "vnet": {"width": 4},
    "resnet_unet": {"weights": "none"},
    "deeplabv3plus": {"weights": "none"},
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_layout_changes_neither_maps_nor_gradients(name: str, dims: int) -> None:
    assert set(SMALL) == set(registry.names()), "every network"
    if dims == 3 and name in ("resnet_unet", "deeplabv3plus"):
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
