"""Supervised pixel contrast: where it looks, what it adds, what it remembers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.errors import SuiteError
from contrastseg.losses.supervised_contrast import supcon_loss
from tests.methods.made_up import make, sample


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("variant", ["default", "memory"])
def test_the_term_is_finite_and_reaches_encoder_decoder_and_head(dims: int, variant: str) -> None:
    method = make("supcon_pixel", dims, variant)
    terms = method.training_step({"labelled": sample(dims)}, 0)
    assert list(terms) == ["segmentation", "contrast"]
    assert torch.isfinite(terms["contrast"])
    network = method.modules["network"]
    for weight in (network.encoder[0][0].weight, network.up[2].weight, method.modules["head"][0].weight):
        (gradient,) = torch.autograd.grad(terms["contrast"], weight, retain_graph=True)
        assert float(gradient.abs().sum()) > 0
    (gradient,) = torch.autograd.grad(terms["contrast"], network.head.weight, allow_unused=True)
    assert gradient is None, "the classifier is taught by the segmentation loss alone"


def test_without_weight_it_is_supervised() -> None:
    batch = {"labelled": sample()}
    ours = sum(make("supcon_pixel", weight=0.0).training_step(batch, 0).values())
    torch.testing.assert_close(ours, sum(make("supervised").training_step(batch, 0).values()))


def test_the_embedded_pixels_are_those_of_their_labels() -> None:
    """A map that says where each unit lies: what is picked has the label of its own centre."""
    method = make("supcon_pixel", anchors_per_class=20)
    label = sample().label
    assert label is not None
    stride = method.modules["network"].strides[method.tap]  # type: ignore[attr-defined]
    assert stride == (4, 4)
    centres = label[:, 2::4, 2::4]
    features = torch.stack([centres.float(), torch.arange(2 * 64).reshape(2, 8, 8).float()], dim=1)
    method.modules["head"] = torch.nn.Identity()
    logits = torch.randn(2, 3, 32, 32)
    picked, classes = method.embed(features, logits, label)  # type: ignore[attr-defined]
    assert torch.equal(picked[:, 0], classes.float())
    assert len(set(picked[:, 1].tolist())) == len(picked)
    assert set(classes.tolist()) == {0, 1, 2}


def test_background_can_be_left_out_and_pictures_without_anything_cost_nothing() -> None:
    method = make("supcon_pixel", background=False)
    method.training_step({"labelled": sample()}, 0)
    assert 0 not in method.latest[1]  # type: ignore[attr-defined]
    empty = sample()
    assert empty.label is not None
    for value in (0, 1, 255):
        empty.label = torch.full_like(empty.label, value)
        for background in (False, True):
            method = make("supcon_pixel", variant="memory", background=background, temperature=0.005)
            terms = method.training_step({"labelled": empty}, 0)
            method.after_step(0)
            sum(terms.values()).backward()
            assert torch.isfinite(terms["contrast"])
            for key, parameter in method.modules.named_parameters():
                assert parameter.grad is None or torch.isfinite(parameter.grad).all(), key


def test_the_queue_fills_after_steps_and_is_what_pixels_are_compared_with() -> None:
    method = make("supcon_pixel", variant="memory", queue_push=3)
    batch = {"labelled": sample()}
    method.training_step(batch, 0)
    vectors, classes = method.latest  # type: ignore[attr-defined]
    assert (method.modules["queue"].contents()[1] == 255).all()
    method.after_step(0)
    stored, names = method.modules["queue"].contents()
    stored, names = stored[names != 255], names[names != 255]
    assert names.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    torch.testing.assert_close(stored, torch.cat([vectors[classes == each][:3] for each in range(3)]))
    torch.manual_seed(0)
    term = method.training_step(batch, 1)["contrast"]
    vectors, classes = method.latest  # type: ignore[attr-defined]
    expected = supcon_loss(vectors, classes, 0.1, queue=(stored, names), denominator="negatives")
    torch.testing.assert_close(term.detach(), 0.1 * expected)
    assert "queue.vectors" in method.modules.state_dict()


def test_the_wait_and_the_maps_there_are() -> None:
    method = make("supcon_pixel", warmup_share=0.5)
    contrast: list[Any] = [method.training_step({"labelled": sample()}, step)["contrast"] for step in (49, 50)]
    assert float(contrast[0].detach()) == 0
    assert float(contrast[1].detach()) > 0
    with pytest.raises(SuiteError, match="supcon_pixel: the network has no decoder map of stride 64"):
        make("supcon_pixel", stride=64)
