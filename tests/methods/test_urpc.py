"""URPC: its heads and perturbations, its step written out, its limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from contrastseg.errors import SuiteError
from tests.methods.made_up import make, paired

STILL = {"noise": 0.0, "dropout": 0.0}


def test_heads_are_on_the_last_four_maps_and_fewer_where_there_are_fewer() -> None:
    for dims, levels, names in (
        (2, 5, ["decoder1", "decoder2", "decoder3"]),
        (3, 5, ["decoder1", "decoder2", "decoder3"]),
        (2, 3, ["decoder1"]),
    ):
        method = make("urpc", dims, levels=levels)
        assert list(method.modules["heads"]) == names
        scales = method.scales(paired(dims)["labelled"].image)  # type: ignore[attr-defined]
        assert [each.shape for each in scales] == [(2, 3, *[32] * dims)] * (1 + len(names))
    assert list(make("urpc", heads=3).modules["heads"]) == ["decoder1", "decoder2"]
    with pytest.raises(SuiteError, match="UNet has 1 decoder maps"):
        make("urpc", levels=2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 1}, "heads of urpc is 1"),
        ({"heads": 3.0}, "heads of urpc is 3.0"),
        ({"head_kernel": 2}, "head_kernel of urpc is 2"),
    ],
)
def test_values_that_mean_nothing_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        make("urpc", **settings)


def test_each_coarser_scale_has_its_perturbation(monkeypatch: pytest.MonkeyPatch) -> None:
    from contrastseg.networks import perturbations

    seen = []
    for name in ("feature_noise", "value_dropout", "feature_dropout"):
        monkeypatch.setattr(
            perturbations, name, lambda x, strength, name=name: seen.append((name, x.shape[2], strength)) or x
        )
    make("urpc").training_step(paired(), 0)
    assert seen == [("feature_noise", 16, 0.3), ("feature_dropout", 8, (0.7, 0.9)), ("value_dropout", 4, 0.5)]


def test_a_step_written_out() -> None:
    """SSL4MIS 06df604, code/train_uncertainty_rectified_pyramid_consistency_2D.py:139-221, without perturbation."""
    method, batch = make("urpc", heads=2, **STILL), paired()
    terms = method.training_step(batch, 50)
    images = torch.cat([batch["labelled"].image, batch["unlabelled"].image])
    features = method.modules["network"].features(images)
    coarse = F.interpolate(method.modules["heads"]["decoder1"](features["decoder1"]), (32, 32))
    scales = [method.modules["network"](images), coarse]
    supervised = [method.segmentation_loss(each[:2], batch["labelled"].label) for each in scales]
    torch.testing.assert_close(terms["segmentation"], sum(supervised) / 2)
    p = [each[2:].softmax(1) for each in scales]
    mean = (p[0] + p[1]) / 2
    total = torch.zeros(())
    for each in p:
        v = (mean * (mean / each).log()).sum(1)
        weight = (-v).exp()
        total = total + (((mean - each) ** 2).mean(1) * weight).mean() / weight.mean() + v.mean()
    torch.testing.assert_close(terms["consistency"], 0.1 * math.exp(-1.25) * total / 2, rtol=1e-4, atol=1e-8)


def test_scales_that_agree_cost_nothing() -> None:
    method, batch = make("urpc", **STILL), paired()
    with torch.no_grad():
        for head in (method.modules["network"].head, *method.modules["heads"].values()):
            head.weight.zero_()
            head.bias.copy_(torch.tensor([0.5, 0.0, -0.5]))
    assert float(method.training_step(batch, 99)["consistency"].detach()) == pytest.approx(0, abs=1e-7)


def test_unlabelled_images_have_a_gradient_and_the_finest_head_predicts() -> None:
    method, batch = make("urpc"), paired()
    batch["unlabelled"].image.requires_grad_()
    term = method.training_step(batch, 99)["consistency"]
    (gradient,) = torch.autograd.grad(term, batch["unlabelled"].image)
    assert float(gradient.abs().sum()) > 0
    assert isinstance(method.modules["heads"], nn.ModuleDict)
    images = batch["labelled"].image
    assert torch.equal(method.predict(images), method.modules["network"](images))
