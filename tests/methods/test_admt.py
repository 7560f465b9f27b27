"""AD-MT: the released term of unlabelled images, whose turn it is, and what its strong views are."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from contrastseg.errors import SuiteError
from contrastseg.methods import admt, registry
from contrastseg.methods.contract import Task
from tests.methods.made_up import make, sample
from tests.methods.test_mean_teacher_sources import Sines, as_released


def released_method(shape: tuple[int, ...], classes: int, cut: bool) -> tuple[Any, dict[str, Any]]:
    """Sines for the three networks, and a strong view that is darker, or has a box of the other image."""
    other, batch = as_released("mean_teacher", shape, classes, 30000 if len(shape) == 2 else 15000)
    kind = registry.get("admt")
    task = Task(len(shape), 1, classes, other.task.steps, "train", lambda: Sines(classes, 1.3))
    method: Any = kind(task, kind.resolve())
    method.modules = torch.nn.ModuleDict(
        {"network": Sines(classes, 1.3), "teacher": Sines(classes, 1.0), "other_teacher": Sines(classes, 1.15)}
    )
    box = torch.zeros(2, *shape, dtype=torch.bool)
    if cut:
        place = (slice(1, 4), slice(2, 6)) if len(shape) == 2 else (slice(1, 3), slice(1, 4), slice(2, 5))
        box[(slice(None), *place)] = True
    weak = batch["clean"].image
    view = torch.where(box[:, None], weak.flip(0), weak if cut else 0.8 * weak)
    method._strong_view = lambda *_: (box, torch.tensor([1, 0]), view)
    return method, {"labelled": batch["labelled"], "unlabelled": batch["clean"]}


# ZhenZHAO/AD-MT 03ef84c, code/train_post_2d_aut.py:214-243, 302-343, 353-354 and code/train_post_3d_aut.py likewise,
# with code/train_utils.py and code/utils/losses.py, in float64 on these tensors.
@pytest.mark.parametrize(
    ("shape", "classes", "cut", "step", "released"),
    [
        ((6, 7), 4, False, 150, 0.008148174504045999),
        ((6, 7), 4, False, 3000, 0.1639881083165504),
        ((6, 7), 4, True, 3000, 0.1592003800912724),
        ((4, 5, 6), 2, False, 150, 0.0009045101085714185),
        ((4, 5, 6), 2, False, 3000, 0.030047011395945556),
        ((4, 5, 6), 2, True, 3000, 0.051534568528693044),
    ],
)
def test_the_unlabelled_term_is_the_released_one(
    shape: tuple[int, ...], classes: int, cut: bool, step: int, released: float
) -> None:
    method, batch = released_method(shape, classes, cut)
    term = float(method.training_step(batch, step)["unlabelled"])
    assert term == pytest.approx(released, rel=1e-5)
    if cut and len(shape) == 3:  # in 2D no sure pixel changes
        method.settings["student_view"] = "mixed"
        assert float(method.training_step(batch, step)["unlabelled"]) != pytest.approx(released, rel=1e-3)


@pytest.mark.parametrize("dims", [2, 3])
def test_above_a_threshold_of_1_unlabelled_images_say_nothing(dims: int) -> None:
    method = make("admt", dims, levels=3, threshold=1.01)
    terms = method.training_step({"labelled": sample(dims), "unlabelled": sample(dims)}, 50)
    assert terms["unlabelled"].item() == 0
    gradients = torch.autograd.grad(terms["unlabelled"], list(method.modules["network"].parameters()))
    assert all(not gradient.any() for gradient in gradients)


def test_turns_alternate_and_are_at_most_a_period_long() -> None:
    method: Any = make("admt", period=7)
    turns = method._turns
    assert len(turns) == 101
    assert turns[0] == 0
    lengths = [len(list(group)) for _, group in itertools.groupby(turns)]
    assert 1 <= min(lengths) < max(lengths) <= 7
    assert make("admt", period=7)._turns == turns, "the seed decides"  # type: ignore[attr-defined]


def test_the_average_whose_turn_it_is_moves_first_as_a_copy() -> None:
    method: Any = make("admt", copy_steps=10)
    method._turns = [0] * 15 + [1] * 85
    before = {name: method.modules[name].head.weight.clone() for name in admt.TEACHERS}
    student = method.modules["network"].head.weight
    with torch.no_grad():
        student.add_(1)
    method.after_step(3)
    assert torch.equal(method.modules["teacher"].head.weight, student)
    assert torch.equal(method.modules["other_teacher"].head.weight, before["other_teacher"])
    with torch.no_grad():
        student.add_(1)
    method.after_step(13)  # the second time after the copies: 1 − 1/2
    torch.testing.assert_close(method.modules["teacher"].head.weight, student - 0.5)
    method.after_step(99)
    moved = before["other_teacher"] + (student - before["other_teacher"]) / 45
    torch.testing.assert_close(method.modules["other_teacher"].head.weight, moved)


@pytest.mark.parametrize("dims", [2, 3])
def test_one_turn_jitters_and_the_other_pastes_boxes(dims: int) -> None:
    method: Any = make("admt", dims, levels=3, jitter_probability=1.0)
    method._turns = [0, 1]
    weak = sample(dims, 4).image
    torch.manual_seed(0)
    box, _, view = method._strong_view(weak, 0)
    assert not box.any()
    assert not torch.allclose(view, weak, atol=1e-2)
    shares = []
    for _ in range(20):
        box, partner, view = method._strong_view(weak, 1)
        assert sorted(partner.tolist()) == [0, 1, 2, 3]
        mask: Tensor = box[:, None]
        torch.testing.assert_close(view, torch.where(mask, weak[partner], weak), atol=1e-4, rtol=0)
        shares.append(float(box.float().mean()))
    assert 0.05 < min(shares) < max(shares) < 0.8


@pytest.mark.parametrize(
    ("setting", "value"), [("period", 0), ("period", 2.5), ("noise", (1.0, 0.1)), ("blur", (2, 1))]
)
def test_settings_without_a_possible_value_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(SuiteError, match=f"{setting} of admt is"):
        make("admt", **{setting: value})
