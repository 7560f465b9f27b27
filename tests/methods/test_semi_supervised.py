"""UA-MT and cross pseudo supervision: what they add to what they share with others."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from contrastseg.errors import SuiteError
from contrastseg.losses.consistency import entropy, softmax_mse_loss
from tests.methods.made_up import make, sample


def asked(shift: float = 1.0) -> dict[str, Any]:
    """A batch of UA-MT whose teacher sees other pictures than its student, so that the two differ."""
    batch = {name: sample() for name in ("labelled", "student", "teacher", "clean")}
    batch["teacher"].image = batch["teacher"].image + shift
    return batch


def test_ua_mt_is_mean_teacher_where_every_pixel_is_sure() -> None:
    ours, theirs = make("ua_mt", threshold_start=2.0), make("mean_teacher")
    batch = asked()
    for step in (0, 90):
        torch.testing.assert_close(ours.training_step(batch, step), theirs.training_step(batch, step))


def test_ua_mt_masks_by_the_entropy_of_the_mean_of_the_noisy_passes() -> None:
    method, batch = make("ua_mt", ramp_share=0.4), asked()
    teacher = method.modules["teacher"]
    with torch.no_grad():
        teacher.head.weight.mul_(6.0)  # some pixels sure, others not
    threshold = (0.75 + 0.25 * math.exp(-5 * (1 - 0.5) ** 2)) * math.log(3)
    torch.manual_seed(7)
    term = method.training_step(batch, 50)["consistency"]
    torch.manual_seed(7)
    with torch.no_grad():
        passes = []
        for _ in range(8):
            noise = (torch.randn_like(batch["clean"].image) * 0.1).clamp(-0.2, 0.2)
            passes.append(teacher(batch["clean"].image + noise).softmax(1))
        mean = torch.stack(passes).mean(0)
        sure = -(mean * mean.log()).sum(1) < threshold
        student = method.modules["network"](batch["student"].image).softmax(1)
        target = teacher(batch["teacher"].image).softmax(1)
    assert 0 < int(sure.sum()) < sure.numel()
    expected = ((student - target) ** 2).mean(1)[sure].mean()
    torch.testing.assert_close(term, 0.1 * expected, rtol=1e-4, atol=1e-7)


def test_ua_mt_lets_more_pixels_in_as_it_goes_on() -> None:
    method, batch = make("ua_mt", ramp_share=1e-9), asked()
    with torch.no_grad():
        method.modules["teacher"].head.weight.zero_()
        method.modules["teacher"].head.bias.copy_(torch.tensor([1.2, 0.0, 0.0]))
    certainty = float(entropy(torch.tensor([[1.2, 0.0, 0.0]]).softmax(1))) / math.log(3)
    assert 0.75 < certainty < 1
    early, late = (method.training_step(batch, step)["consistency"] for step in (0, 99))
    assert float(early.detach()) == 0
    assert float(late.detach()) > 0


def test_a_mask_without_pixels_is_no_nan() -> None:
    student, teacher = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 3, 4, 4)
    loss = softmax_mse_loss(student, teacher, torch.zeros(2, 4, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()
    whole = softmax_mse_loss(student, teacher, torch.ones(2, 4, 4, dtype=torch.bool))
    torch.testing.assert_close(whole, softmax_mse_loss(student, teacher))


def test_entropy_is_between_none_and_the_logarithm_of_the_classes() -> None:
    certain = torch.tensor([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0.0]])
    torch.testing.assert_close(entropy(certain), torch.tensor([0.0, math.log(3), math.log(2)]))


def crossed() -> dict[str, Any]:
    return {"labelled": sample(), "unlabelled": sample()}


def test_cps_has_two_networks_of_two_initialisations() -> None:
    method = make("cps")
    network, partner = method.modules["network"], method.modules["partner"]
    convolutions = [key for key, value in network.named_parameters() if value.ndim > 1]
    assert convolutions
    for key in convolutions:
        assert not torch.equal(network.get_parameter(key), partner.get_parameter(key)), key
    torch.testing.assert_close(network.state_dict(), make("supervised").modules["network"].state_dict())
    images = sample().image
    assert torch.equal(method.predict(images), network(images))


def test_cps_trains_each_network_on_the_others_labels_and_lets_no_gradient_through_them() -> None:
    method, batch = make("cps", ramp_share=0.4), crossed()
    terms = method.training_step(batch, 99)
    assert list(terms) == ["segmentation", "segmentation_partner", "cross"]
    logits = [method.modules[name](batch["unlabelled"].image) for name in ("network", "partner")]
    one = torch.nn.functional.cross_entropy(logits[0], logits[1].argmax(1))
    two = torch.nn.functional.cross_entropy(logits[1], logits[0].argmax(1))
    torch.testing.assert_close(terms["cross"], 0.1 * (one + two))
    for name, loss in (("network", one), ("partner", two)):
        weight = method.modules[name].head.weight
        (ours,) = torch.autograd.grad(terms["cross"], weight, retain_graph=True)
        (alone,) = torch.autograd.grad(0.1 * loss, weight, retain_graph=True)
        torch.testing.assert_close(ours, alone)


def test_cps_weight_follows_the_ramp_and_scope_adds_the_labelled_images() -> None:
    method, batch = make("cps", ramp_share=0.4), crossed()
    early, late = (float(method.training_step(batch, step)["cross"].detach()) for step in (0, 90))
    assert early == pytest.approx(late * math.exp(-5), rel=1e-4)
    batch["unlabelled"].image = batch["unlabelled"].image.flip(-1) * 2
    whole = make("cps", variant="paper_scope", ramp_share=0.4)
    halves = [method.training_step({**batch, "unlabelled": batch[name]}, 90)["cross"] for name in batch]
    torch.testing.assert_close(whole.training_step(batch, 90)["cross"], (halves[0] + halves[1]) / 2)
    with pytest.raises(SuiteError, match="unknown scope of cps 'none'; there are: all, unlabelled"):
        make("cps", scope="none")


@pytest.mark.parametrize(("name", "term"), [("mean_teacher", "consistency"), ("cps", "cross")])
def test_the_weight_rises_over_the_whole_run_as_in_the_sources(name: str, term: str) -> None:
    batch = {**asked(), **crossed()}
    early, half, last = (float(make(name).training_step(batch, step)[term].detach()) for step in (0, 50, 100))
    assert half == pytest.approx(last * math.exp(-5 / 4), rel=1e-4)
    assert early == pytest.approx(last * math.exp(-5), rel=1e-4)


@pytest.mark.parametrize("name", ["cps", "ideal"])
def test_labels_say_nothing_to_unlabelled_images_through_batch_norm(name: str) -> None:
    method, batch = make(name), {"labelled": sample(), "unlabelled": sample()}
    batch["unlabelled"].image.requires_grad_()
    terms = method.training_step(batch, 50)
    supervised = sum(loss for term, loss in terms.items() if term.startswith("segmentation"))
    (none,) = torch.autograd.grad(supervised, batch["unlabelled"].image, allow_unused=True, retain_graph=True)
    assert none is None
    (some,) = torch.autograd.grad(sum(terms.values()), batch["unlabelled"].image)
    assert float(some.abs().sum()) > 0
