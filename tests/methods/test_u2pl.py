"""U2PL: when teaching starts, the rank window, what is mixed, which pixels teach, and what the memory holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.methods import registry
from contrastseg.methods.contract import Task
from tests.methods.made_up import make, sample

SMALL = {"memory_size": 64, "memory_push": 16, "width": 8, "anchors": 16, "negatives_per_anchor": 4}


def batch(dims: int = 2) -> dict[str, Any]:
    both = {"labelled": sample(dims), "unlabelled": sample(dims)}
    both["unlabelled"].image = both["unlabelled"].image.flip(-1)
    return both


@pytest.mark.parametrize(("classes", "ranks"), [(2, (1, 2)), (4, (1, 3)), (14, (2, 13)), (21, (3, 20))])
def test_the_rank_window_is_scaled_from_the_21_classes_of_the_release(classes: int, ranks: tuple[int, int]) -> None:
    found = registry.get("u2pl")
    task = Task(2, 1, classes, 100, "train", lambda: None)
    assert found(task, found.resolve()).ranks() == ranks  # type: ignore[attr-defined]
    assert found(task, found.resolve("default", {"low_rank": 2, "high_rank": 3})).ranks() == (2, 3)  # type: ignore[attr-defined]


def test_before_teaching_starts_there_are_labels_alone_and_the_teacher_is_the_student() -> None:
    method, both = make("u2pl", supervised_share=0.1, **SMALL), batch()
    for step, weight in ((9, 0.0), (10, 1.0)):
        terms = method.training_step(both, step)
        assert (float(terms["unsupervised"].detach()) > 0) == bool(weight)
        with torch.no_grad():
            for parameter in method.modules["network"].parameters():
                parameter.add_(0.1)
        method.after_step(step)
        theirs, ours = (method.modules[name].state_dict() for name in ("teacher", "network"))
        assert all(torch.equal(theirs[key], ours[key]) for key in ours)
    method.training_step(both, 11)
    with torch.no_grad():
        method.modules["network"].head.bias.add_(1.0)
    before = method.modules["teacher"].head.bias.clone()
    method.after_step(11)
    torch.testing.assert_close(method.modules["teacher"].head.bias, before + 0.5)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_box_of_half_the_plane_comes_from_the_next_image(dims: int) -> None:
    torch.manual_seed(0)
    method: Any = make("u2pl", dims=dims, cutmix_share=1.0, **SMALL)
    images = torch.arange(1.0, 4.0).reshape(3, 1, *[1] * dims).expand(3, 1, *[32] * dims)
    label = images[:, 0].long()
    for _ in range(10):
        mixed, mixed_label = method._mixed(images, label)
        for image in range(3):
            other = mixed[image, 0] == (image + 1) % 3 + 1
            assert torch.equal(mixed[image, 0].long(), mixed_label[image])
            assert torch.equal(other, mixed_label[image] == (image + 1) % 3 + 1)
            assert 0.45 < float(other.float().mean()) < 0.55
    plain, same = make("u2pl", dims=dims, cutmix_share=0.0, **SMALL)._mixed(images, label)  # type: ignore[attr-defined]
    assert torch.equal(plain, images)
    assert torch.equal(same, label)


@pytest.mark.parametrize("dims", [2, 3])
def test_terms_reach_the_student_and_its_head_and_the_memory_fills(dims: int) -> None:
    method, both = make("u2pl", dims=dims, negatives="other", **SMALL), batch(dims)
    method.modules.train()
    torch.manual_seed(0)
    terms = method.training_step(both, 20)
    assert list(terms) == ["segmentation", "unsupervised", "contrast"]
    assert all(float(term.detach()) > 0 for term in terms.values())
    terms["contrast"].backward()
    reached = {key.split(".")[0] for key, value in method.modules.named_parameters() if value.grad is not None}
    assert reached == {"network", "head"}
    assert int(method.modules["memory"].pushed.sum()) > 0
    assert int(method.modules["memory"].pushed.max()) <= 16


def test_only_sure_pixels_teach() -> None:
    """With no unsure percentage every pixel but the most doubtful does."""
    both = batch()
    method = make("u2pl", cutmix_share=0.0, unsure_percent=20.0, supervised_share=0.0, **SMALL)
    with torch.no_grad():
        method.modules["teacher"].head.weight.mul_(3.0)
    logits = method.modules["network"](torch.cat([both["labelled"].image, both["unlabelled"].image]))[2:]
    taught = method.modules["teacher"](torch.cat([both["labelled"].image, both["unlabelled"].image]))[2:].softmax(1)
    doubt = -(taught * taught.log()).sum(1)
    pseudo = method.modules["teacher"](both["unlabelled"].image).argmax(1)
    sure = doubt < torch.quantile(doubt, 0.9)  # 20 % halve by the middle of training
    losses = torch.nn.functional.cross_entropy(logits, pseudo, reduction="none")
    expected = losses[sure].mean() * sure.numel() / sure.sum()
    torch.testing.assert_close(method.training_step(both, 50)["unsupervised"], expected)


def test_predictions_are_the_teachers_unless_asked_otherwise() -> None:
    images = sample().image
    for name, module in (("teacher", "teacher"), ("student", "network")):
        method = make("u2pl", predict_with=name, **SMALL)
        with torch.no_grad():
            method.modules["network"].head.bias.add_(1.0)
        assert torch.equal(method.predict(images), method.modules[module](images))
