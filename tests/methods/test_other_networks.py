"""Methods that look inside a network, on networks other than the U-Net."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, Task
from contrastseg.networks.registry import build
from tests.methods.made_up import sample

SMALL: dict[str, dict[str, Any]] = {
    "vnet": {"width": 4},
    "resnet_unet": {"encoder": "resnet18"},
    "deeplabv3plus": {"encoder": "resnet18", "width": 16},
}


def on(network: str, name: str, decoder: str | None = None, **settings: Any) -> Method:
    def fresh() -> nn.Module:
        asked = {"name": network, **SMALL[network], **({"decoder": decoder} if decoder else {})}
        return build(asked, spatial_dims=2, in_channels=1, num_classes=3)

    method_class = registry.get(name)
    method = method_class(Task(2, 1, 3, 100, "train", fresh), method_class.resolve("default", settings))
    torch.manual_seed(0)
    method.modules = nn.ModuleDict(method.build())
    return method


@pytest.mark.parametrize("network", ["vnet", "resnet_unet"])
@pytest.mark.parametrize("name", ["pdcr", "uafr", "pdcr_uafr", "supcon_pixel"])
def test_by_default(network: str, name: str) -> None:
    method = on(network, name)
    loss = torch.stack(list(method.training_step({"labelled": sample()}, 0).values())).sum()
    loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("name", ["pdcr", "pdcr_uafr"])
def test_deeplab_has_a_decoder_of_one_stride_and_says_so(name: str) -> None:
    with pytest.raises(SuiteError, match=r"no decoder map of stride 8; there are: \[4\]") as caught:
        on("deeplabv3plus", name)
    assert "decoder_strides" in str(caught.value)
    method = on("deeplabv3plus", name, decoder_strides=(4,), decoder_points=(32,))
    terms = method.training_step({"labelled": sample()}, 0)
    assert all(torch.isfinite(term) for term in terms.values())
    sites = {"pdcr": [], "pdcr_uafr": [f"encoder{level}" for level in range(1, 6)] + ["decoder1", "decoder0"]}
    assert list(method.modules["network"].attachments) == sites[name]


def test_the_released_maps_and_sites_of_the_decoder_have_names() -> None:
    released = {"decoder_maps": ["low_level", "decoder1"], "cross_stride": 16, "cross_width": 32, "reduction": "sum"}
    sites = ["encoder1", "low_level", "decoder2"]
    method = on("deeplabv3plus", "pdcr_uafr", decoder="paper", encoder_strides=(2, 4), sites=sites, **released)
    network = method.modules["network"]
    assert list(network.attachments) == sites
    assert method._taps(network, "decoder") == ["low_level", "decoder1"]  # type: ignore[attr-defined]
    terms = method.training_step({"labelled": sample()}, 0)
    gradient = torch.autograd.grad(terms["pdcr_decoder"], network.decoder.block1[0].weight)[0]
    assert float(gradient.abs().sum()) > 0
