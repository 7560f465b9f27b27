"""Dual-task consistency: its head, its step written out."""

from __future__ import annotations

import math

import pytest
import torch

from contrastseg.losses.signed_distance import signed_distances
from tests.methods.made_up import make, paired


@pytest.mark.parametrize("dims", [2, 3])
def test_a_step_written_out(dims: int) -> None:
    """HiLab-git/DTC 2525b9c, code/train_la_dtc.py:156-176, for every foreground class."""
    method, batch = make("dtc", dims, levels=3), paired(dims)
    terms = method.training_step(batch, 50)
    assert list(terms) == ["segmentation", "distance", "consistency"]
    images = torch.cat([batch["labelled"].image, batch["unlabelled"].image])
    network = method.modules["network"]
    logits, z = network(images), method.modules["distance"](network.features(images)["decoder0"]).tanh()
    assert z.shape[1] == 2
    label = batch["labelled"].label
    assert label is not None
    torch.testing.assert_close(terms["segmentation"], method.segmentation_loss(logits[:2], label))
    truth = signed_distances(label, 3, border="inner", absent="zero")
    torch.testing.assert_close(terms["distance"], 0.3 * ((z[:2] - truth) ** 2).mean())
    mask = torch.sigmoid(-1500 * z)
    consistency = ((mask - logits.softmax(1)[:, 1:]) ** 2).mean()
    torch.testing.assert_close(terms["consistency"], math.exp(-1.25) * consistency)


def test_structures_that_are_absent_are_regressed_to_0_or_left_out() -> None:
    batch = paired()
    label = batch["labelled"].label
    assert label is not None
    label[label == 2] = 0
    zero, unknown = make("dtc"), make("dtc", absent="unknown")
    for method, learns in ((zero, True), (unknown, False)):
        term = method.training_step(batch, 0)["distance"]
        (gradient,) = torch.autograd.grad(term, method.modules["distance"].weight)
        assert bool(gradient[0].any())
        assert bool(gradient[1].any()) == learns


def test_unlabelled_images_have_a_gradient_from_the_consistency_alone() -> None:
    method, batch = make("dtc"), paired()
    batch["unlabelled"].image.requires_grad_()
    terms = method.training_step(batch, 99)
    gradients = {
        name: torch.autograd.grad(term, batch["unlabelled"].image, retain_graph=True)[0] for name, term in terms.items()
    }
    assert {name for name, gradient in gradients.items() if gradient.any()} == {"consistency"}
    images = batch["labelled"].image
    assert torch.equal(method.predict(images), method.modules["network"](images))
