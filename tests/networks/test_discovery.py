"""What is found of a network that somebody else wrote."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.networks import registry
from contrastseg.networks._discovery import explore
from contrastseg.networks._foreign import HookedNetwork, OpaqueNetwork, adopted


class Small(nn.Module):
    """Two levels. The coarse map is returned by no module; `elsewhere` uses it beside the module that takes it."""

    def __init__(self, elsewhere: bool = False, in_place: bool = False, twice: bool = False) -> None:
        super().__init__()
        self.fine = nn.Conv2d(1, 4, 3, padding=1)
        self.coarse = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.joined = nn.Conv2d(4, 4, 3, padding=1)
        self.logits = nn.Conv2d(4, 2, 1)
        self.idle = nn.Conv2d(8, 8, 1)
        self.elsewhere, self.in_place, self.twice = elsewhere, in_place, twice

    def forward(self, images: Tensor) -> Any:
        fine = self.fine(images)
        coarse = self.coarse(fine) * 2
        if self.in_place:
            fine = fine.relu_()
        up = self.up(coarse) + fine
        if self.elsewhere:
            up = up + F.interpolate(coarse.mean(1, keepdim=True), scale_factor=2)
        logits = self.logits(self.joined(up))
        self.idle(coarse)
        return (logits, logits) if self.twice else logits


def test_maps_are_found_by_what_depends_on_what() -> None:
    found = explore(Small(), 1, (32, 32))
    assert [(each.name, each.stride, each.channels, each.producer, each.consumers) for each in found.maps] == [
        ("encoder0", (1, 1), 4, "fine", ()),
        ("encoder1", (2, 2), 8, None, (("up", (0,)), ("idle", (0,)))),
        ("decoder0", (1, 1), 4, "joined", ()),
    ]
    assert found.head == "logits"
    assert found.encoder == {"fine.weight", "fine.bias", "coarse.weight", "coarse.bias"}
    assert found.unused == ("idle",)
    assert found.divisor == (2, 2)


def test_looking_at_a_network_leaves_it_as_it_was() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Small(), nn.BatchNorm2d(2))
    before = copy.deepcopy(network.state_dict())
    drawn = torch.get_rng_state()
    with pytest.raises(SuiteError):
        explore(network, 3, (32, 32))
    explore(network, 1, (32, 32))
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_a_map_that_is_used_where_no_block_reaches_it_is_none() -> None:
    assert explore(Small(), 1, (32, 32)).without_maps is None
    reason = explore(Small(elsewhere=True), 1, (32, 32)).without_maps
    assert reason is not None
    assert "stride 2" in reason


def test_a_map_that_is_changed_in_place_is_the_changed_one_or_none() -> None:
    found = explore(Small(in_place=True), 1, (32, 32))
    assert found.without_maps is not None or found.maps[0].producer != "fine"


def test_a_network_with_one_stride_trains_what_needs_its_logits_alone() -> None:
    def plain(**options: Any) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    network = adopted("plain", plain, {}, spatial_dims=2, in_channels=1)
    assert isinstance(network, OpaqueNetwork)
    assert network(torch.zeros(1, 1, 8, 8)).shape == (1, 2, 8, 8)
    for look in (lambda: network.features(torch.zeros(1, 1, 8, 8)), lambda: network.attach("encoder0", nn.Identity())):
        with pytest.raises(SuiteError, match="one stride") as caught:
            look()
        assert caught.value.remedy is not None


def test_copies_have_maps_of_their_own_and_modes_reach_every_module() -> None:
    network = adopted("small", Small, {}, spatial_dims=2, in_channels=1)
    assert isinstance(network, HookedNetwork)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for value in other.parameters():
            value.zero_()
    images = torch.randn(1, 1, 8, 8)
    assert all(value.abs().sum() > 0 for value in network.features(images).values())
    assert all(value.abs().sum() == 0 for value in other.features(images).values())
    network.eval()
    assert not any(module.training for module in network._network[0].modules())
    assert all(module.training for module in other._network[0].modules())


def test_outputs_that_are_no_logits_and_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SuiteError, match=r"network small: .* something else than one map of logits"):
        adopted("small", Small, {"twice": True}, spatial_dims=2, in_channels=1)
    with pytest.raises(SuiteError, match="network small cannot be built"):
        adopted("small", Small, {"width": 3}, spatial_dims=2, in_channels=1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "SwinUNETR"),
        ({"model": "Conv2d"}, "unknown model"),
        ({"model": "AutoEncoder", "no_such": 1}, "no_such"),
        ({"model": "Classifier"}, "in_channels and out_channels"),
        ({"model": "UNETR"}, "img_size"),
        ({"model": "BasicUNet", "features": [4, 8]}, "cannot be built"),
        ({"model": "BasicUNetPlusPlus", "deep_supervision": True}, "one map of logits"),
    ],
)
def test_what_monai_cannot_build_is_an_error_with_a_remedy(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SuiteError, match=said):
        registry.build({"name": "monai", **settings}, spatial_dims=2, in_channels=1, num_classes=2)
