"""Methods that look inside a network, on networks other than the U-Net."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, Task
from contrastseg.methods.pdcr import taps_of
from contrastseg.networks.registry import build
from contrastseg.training.assembly import load_module
from tests.methods.made_up import sample

SMALL: dict[str, dict[str, Any]] = {
    "vnet": {"width": 4},
    "resnet_unet": {"encoder": "resnet18"},
    "deeplabv3plus": {"encoder": "resnet18", "width": 16},
    "monai": {"model": "BasicUNet", "features": [4, 4, 8, 8, 16, 4]},
}


def on(network: str, name: str, decoder: str | None = None, stage: str = "train", **settings: Any) -> Method:
    def fresh() -> nn.Module:
        asked = {"name": network, **SMALL[network], **({"decoder": decoder} if decoder else {})}
        return build(asked, spatial_dims=2, in_channels=1, num_classes=3)

    method_class = registry.get(name)
    method = method_class(Task(2, 1, 3, 100, stage, fresh), method_class.resolve("default", settings))
    torch.manual_seed(0)
    method.modules = nn.ModuleDict(method.build())
    return method


@pytest.mark.parametrize("network", ["vnet", "resnet_unet", "monai"])
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
    assert taps_of(network, "decoder", method.settings) == ["low_level", "decoder1"]
    terms = method.training_step({"labelled": sample()}, 0)
    gradient = torch.autograd.grad(terms["pdcr_decoder"], network.decoder.block1[0].weight)[0]
    assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize(
    ("name", "stage", "views"),
    [
        ("lrc", "pretrain", ("first", "second")),
        ("ideal", "pretrain", ("first", "second")),
        ("ideal", "train", ("labelled", "unlabelled")),
        ("cvrl", "train", ("labelled", "labelled_teacher", "student", "teacher")),
    ],
)
def test_methods_that_look_inside_train_a_network_of_monai(name: str, stage: str, views: tuple[str, ...]) -> None:
    method = on("monai", name, stage=stage)
    looks = sample(batch=8)
    looks.superpixels = looks.label
    loss = torch.stack(list(method.training_step(dict.fromkeys(views, looks), 0).values())).sum()
    loss.backward()
    assert torch.isfinite(loss)
    encoder = dict(method.modules["network"].encoder.named_parameters())
    assert encoder
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in encoder.values())


def test_the_encoder_of_a_network_of_monai_is_taken_over() -> None:
    earlier, later = on("monai", "moco", stage="pretrain"), on("monai", "moco")
    state = earlier.modules.state_dict()
    for key in state:
        if key.startswith("network."):
            state[key].mul_(1.5)
    network = later.modules["network"]
    load_module(later.modules.get_submodule("network.encoder"), "network.encoder", state, "somewhere")
    images = sample().image
    mine, theirs = (each.modules["network"].eval().features(images) for each in (later, earlier))
    for key in mine:
        assert torch.equal(mine[key], theirs[key]) == key.startswith("encoder"), key
    assert {key for key in network.state_dict() if key.startswith("encoder.")} == {
        key.removeprefix("network.") for key in state if key.startswith("network.encoder.")
    }
