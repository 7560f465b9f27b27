"""MC-Net: its decoders, its step written out, its limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, Task
from contrastseg.networks.registry import build
from tests.methods.made_up import make, paired


def on(network: dict[str, Any], dims: int, **settings: Any) -> Method:
    """The method on a network of these settings."""

    def build_network(**options: Any) -> nn.Module:
        return build({**network, **options}, spatial_dims=dims, in_channels=1, num_classes=3)

    chosen = registry.get("mcnet")
    method = chosen(Task(dims, 1, 3, 100, "train", build_network), chosen.resolve("default", settings))
    method.modules = nn.ModuleDict(method.build())
    return method


@pytest.mark.parametrize(
    ("network", "dims", "further"),
    [
        ({"name": "unet", "channels": [4, 4], "upsampling": "linear"}, 2, ["transposed", "nearest"]),  # released, 2D
        ({"name": "vnet", "width": 2}, 3, ["linear", "nearest"]),  # released, 3D
        ({"name": "unet", "channels": [4, 4], "upsampling": "nearest"}, 3, ["linear", "transposed"]),
    ],
)
def test_decoders_have_the_upsamplings_that_the_first_lacks(
    network: dict[str, Any], dims: int, further: list[str]
) -> None:
    method = on(network, dims)
    decoders = list(method.modules["decoders"])
    assert [each.upsampling for each in decoders] == further
    for each, kind in zip(decoders, further, strict=True):
        layers = [type(module).__name__ for module in each.up.modules()]
        assert any("Upsample" in name for name in layers) == (kind != "transposed")
        assert any("ConvTranspose" in name for name in layers) == (kind == "transposed")
        assert sum(p.numel() for p in each.encoder.parameters()) == 0
    assert len(on(network, dims, decoders=2).modules["decoders"]) == 1


def test_a_step_written_out_in_2d() -> None:
    """Commit fee453c, code/train_mcnet_2d.py: all images, every ordered pair, gradients to both sides."""
    method, batch = make("mcnet"), paired()
    terms = method.training_step(batch, 50)
    assert list(terms) == ["segmentation", "consistency"]
    images = torch.cat([batch["labelled"].image, batch["unlabelled"].image])
    maps = method.modules["network"].encode(images)
    logits = [method.modules["network"](images)]
    logits += [each.classify(each.decode(maps, (32, 32))) for each in method.modules["decoders"]]
    supervised = sum(method.segmentation_loss(each[:2], batch["labelled"].label) for each in logits)
    torch.testing.assert_close(terms["segmentation"], supervised)
    total = torch.zeros(())
    for i, first in enumerate(logits):
        for j, second in enumerate(logits):
            if i != j:
                p, q = first.softmax(1), second.softmax(1)
                total = total + ((p - q**10 / (q**10 + (1 - q) ** 10)) ** 2).mean()
    torch.testing.assert_close(terms["consistency"], 0.1 * math.exp(-5 * 0.5**2) * total)
    weight = method.modules["decoders"][1].head.weight
    (ours,) = torch.autograd.grad(terms["consistency"], weight, retain_graph=True)
    (written_out,) = torch.autograd.grad(0.1 * math.exp(-5 * 0.5**2) * total, weight)
    torch.testing.assert_close(ours, written_out)


def test_unset_weights_are_those_of_the_dimension() -> None:
    for dims, supervised, consistency, late in ((2, 1.0, 0.1, False), (3, 0.5, 1.0, True)):
        method, batch = make("mcnet", dims, levels=3), paired(dims)
        ends = [method.training_step(batch, step)["consistency"].detach() for step in (40, 99)]
        assert torch.equal(ends[0], ends[1]) == late, "the ramp ends at 40 % in 3D"
        plain = make("mcnet", dims, levels=3, segmentation_weight=1.0, consistency_weight=1.0, ramp_share=0.01)
        ours, theirs = (each.training_step(batch, 100) for each in (method, plain))
        torch.testing.assert_close(ours["segmentation"], supervised * theirs["segmentation"])
        torch.testing.assert_close(ours["consistency"], consistency * theirs["consistency"])


def test_one_decoder_is_supervised_training() -> None:
    method, batch = make("mcnet", decoders=1), paired()
    terms, alone = method.training_step(batch, 99), make("supervised").training_step(batch, 99)
    assert float(terms["consistency"]) == 0
    torch.testing.assert_close(terms["segmentation"], alone["segmentation"])
    assert torch.equal(method.predict(batch["labelled"].image), method.modules["network"](batch["labelled"].image))
    assert len(on({"name": "resnet_unet", "encoder": "resnet18"}, 2, decoders=1).modules["decoders"]) == 0


@pytest.mark.parametrize("name", ["mcnet", "entropy"])
def test_unlabelled_images_have_a_gradient(name: str) -> None:
    method, batch = make(name), paired()
    batch["unlabelled"].image.requires_grad_()
    terms = method.training_step(batch, 99)
    term = terms["consistency" if name == "mcnet" else "entropy"]
    (gradient,) = torch.autograd.grad(term, batch["unlabelled"].image)
    assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoders": 4}, "decoders of mcnet is 4"),
        ({"decoders": True}, "decoders of mcnet is True"),
        ({"decoders": 2.0}, "decoders of mcnet is 2.0"),
        ({"consistency_weight": "much"}, "consistency_weight of mcnet is 'much'"),
        ({"ramp_share": -1}, "ramp_share of mcnet is -1"),
    ],
)
def test_values_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        make("mcnet", **settings)


def test_a_network_with_one_way_of_upsampling_is_refused() -> None:
    with pytest.raises(SuiteError, match="ResNetUNet has one way only"):
        on({"name": "resnet_unet", "encoder": "resnet18"}, 2)


def test_entropy_counts_all_images_or_the_unlabelled_alone() -> None:
    batch = paired()
    for scope, images in (("all", ("labelled", "unlabelled")), ("unlabelled", ("unlabelled",))):
        method = make("entropy", scope=scope)
        p = torch.cat([F.softmax(method.modules["network"](batch[name].image), 1) for name in images])
        expected = -(p * (p + 1e-6).log()).sum(1).mean() / math.log(3)
        for step, weight in ((0, 0.1 * math.exp(-5)), (50, 0.1 * math.exp(-1.25)), (100, 0.1)):
            term = method.training_step(batch, step)["entropy"]
            torch.testing.assert_close(term, weight * expected, rtol=1e-4, atol=0)
