"""Bidirectional copy-paste: the released loss, what a step mixes, and what it leaves unmixed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError, TrainingError
from contrastseg.losses.pseudo_labels import largest_components
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, Task
from tests.methods.made_up import make, sample

TWO_D = {"background": True, "squared": True}
THREE_D = {"background": True, "per_image": True}


def waves(*shape: int, frequency: float) -> Tensor:
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(frequency * count).reshape(shape)


def with_loss(shape: tuple[int, ...], classes: int, segmentation: dict[str, bool]) -> Any:
    task = Task(len(shape), 1, classes, 100, "train", nn.Identity, segmentation=segmentation)
    return registry.get("bcp")(task, registry.get("bcp").resolve())


def mixed(shape: tuple[int, ...], classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits, the box of indices 1 to 5 and so on, labels of the image and of the patch."""
    logits = 6 * waves(2, classes, *shape, frequency=0.61)
    image, patch = ((waves(2, *shape, frequency=f) * 50).long().abs() % classes for f in (1.3, 0.9))
    box = torch.zeros(1, *shape, dtype=torch.bool)
    inside = (slice(1, 5), slice(2, 6)) if len(shape) == 2 else (slice(1, 3), slice(1, 4), slice(2, 6))
    box[0][inside] = True
    return logits, box, image, patch


# DeepMed-Lab-ECNU/BCP 7879f98, `mix_loss` of code/ACDC_BCP_train.py with code/utils/losses.py DiceLoss (halves of the
# two terms added), and of code/utils/BCP_utils.py, in float64 on these tensors. Weights: of the patch, of the image.
@pytest.mark.parametrize(
    ("shape", "classes", "loss", "weights", "released"),
    [
        ((6, 7), 4, TWO_D, (1.0, 0.5), 2.869657314229702),
        ((6, 7), 4, TWO_D, (0.5, 1.0), 3.12866626627969),
        ((6, 7), 4, TWO_D, (1.0, 1.0), 3.998882387006261),
        ((4, 5, 6), 2, THREE_D, (0.5, 1.0), 2.6986049865946837),
        ((4, 5, 6), 2, THREE_D, (1.0, 0.5), 2.563057213927112),
    ],
)
def test_the_loss_of_two_regions_is_the_released_one(
    shape: tuple[int, ...], classes: int, loss: dict[str, bool], weights: tuple[float, float], released: float
) -> None:
    logits, box, image, patch = mixed(shape, classes)
    ours = with_loss(shape, classes, loss).mixed_loss(logits, box, patch, image, *weights)
    assert float(ours) == pytest.approx(released, rel=1e-5)


def test_the_loss_of_a_whole_mixed_volume_is_the_released_one() -> None:
    """code/LA_BCP_train.py:141-144 on the same tensors."""
    logits, box, image, patch = mixed((4, 5, 6), 2)
    ours = with_loss((4, 5, 6), 2, THREE_D).segmentation_loss(logits, torch.where(box, patch, image))
    assert float(ours) == pytest.approx(1.8342154684337324, rel=1e-5)


def staged(stage: str, dims: int = 2, **settings: Any) -> Method:
    method = make("bcp", dims, levels=3, **settings)
    again = type(method)(Task(dims, 1, 3, 100, stage, method.task.build_network), method.settings)
    again.modules = method.modules
    return again


def given(dims: int = 2) -> dict[str, Any]:
    batch = {"labelled": sample(dims, 4), "unlabelled": sample(dims, 4)}
    batch["unlabelled"].image = batch["unlabelled"].image.flip(-1) + 0.5
    return batch


@pytest.mark.parametrize("dims", [2, 3])
def test_a_step_mixes_both_ways(dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    method: Any = staged("train", dims)
    batch, box = given(dims), torch.zeros(1, *[32] * dims, dtype=torch.bool)
    box[0][(slice(4, 25),) * dims] = True
    monkeypatch.setattr(method, "_box", lambda *_: box)
    with torch.no_grad():
        method.modules["teacher"].head.weight.mul_(-1)  # another network than the student
    terms = method.training_step(batch, 0)

    network, teacher = method.modules["network"], method.modules["teacher"]
    (x_a, x_b), (y_a, y_b) = batch["labelled"].image.chunk(2), batch["labelled"].label.chunk(2)
    u_a, u_b = batch["unlabelled"].image.chunk(2)
    p_a, p_b = (largest_components(teacher(u).argmax(1), 3) for u in (u_a, u_b))
    outside = ~box
    first, second = u_a * outside + x_a * box, x_b * outside + u_b * box
    ignored = torch.tensor(255)
    seg = method.segmentation_loss
    wanted_first = seg(network(first), torch.where(box, y_a, ignored)) + 0.5 * seg(
        network(first), torch.where(box, ignored, p_a)
    )
    wanted_second = seg(network(second), torch.where(box, ignored, y_b)) + 0.5 * seg(
        network(second), torch.where(box, p_b, ignored)
    )
    torch.testing.assert_close(terms["into_unlabelled"], wanted_first)
    torch.testing.assert_close(terms["into_labelled"], wanted_second)
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_first_stage_mixes_labelled_images_and_leaves_an_equal_average(monkeypatch: pytest.MonkeyPatch) -> None:
    method: Any = staged("copy_paste")
    batch, box = given(), torch.zeros(1, 32, 32, dtype=torch.bool)
    box[0, 4:25, 4:25] = True
    monkeypatch.setattr(method, "_box", lambda *_: box)
    (x_a, x_b), (y_a, y_b) = batch["labelled"].image.chunk(2), batch["labelled"].label.chunk(2)
    logits, ignored = method.modules["network"](torch.where(box, x_b, x_a)), torch.tensor(255)
    both = [torch.where(box, y_b, ignored), torch.where(box, ignored, y_a)]
    wanted = sum(method.segmentation_loss(logits, each) for each in both)
    torch.testing.assert_close(method.training_step({"labelled": batch["labelled"]}, 0)["mixed"], wanted)
    whole: Any = staged("copy_paste", first_loss="whole")
    monkeypatch.setattr(whole, "_box", lambda *_: box)
    one = method.segmentation_loss(logits, torch.where(box, y_b, y_a))
    torch.testing.assert_close(whole.training_step({"labelled": batch["labelled"]}, 0)["mixed"], one)
    with torch.no_grad():
        method.modules["network"].head.weight.add_(1)
    method.after_step(0)
    torch.testing.assert_close(method.modules["teacher"].state_dict(), method.modules["network"].state_dict())
    with torch.no_grad():
        method.modules["network"].head.weight.add_(1)
    before = method.modules["teacher"].head.weight.clone()
    later: Any = staged("train")
    later.modules = method.modules
    later.after_step(0)
    torch.testing.assert_close(method.modules["teacher"].head.weight, before + 0.01)


@pytest.mark.parametrize("dims", [2, 3])
def test_without_a_box_nothing_is_mixed(dims: int) -> None:
    method, batch = staged("train", dims, box_share=0.0), given(dims)
    terms = method.training_step(batch, 0)
    network, labelled = method.modules["network"], batch["labelled"]
    alone = method.segmentation_loss(network(labelled.image[2:]), labelled.label[2:])
    torch.testing.assert_close(terms["into_labelled"], alone)
    u_a = batch["unlabelled"].image[:2]
    pseudo = largest_components(network(u_a).argmax(1), 3)  # the average is still the student
    torch.testing.assert_close(terms["into_unlabelled"], 0.5 * method.segmentation_loss(network(u_a), pseudo))


@pytest.mark.parametrize("shape", [(30, 45), (9, 30, 45)])
def test_boxes_are_two_thirds_of_every_side_and_lie_anywhere(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    method: Any = make("bcp", len(shape))
    firsts = set()
    for _ in range(60):
        box = method._box(torch.zeros(1, 1, *shape), 0)
        assert box.shape == (1, *shape)
        for axis, extent in enumerate(shape):
            rows = box[0].movedim(axis, 0).flatten(1).any(1).nonzero().flatten()
            assert len(rows) == rows[-1] - rows[0] + 1 == extent * 2 // 3
        firsts.add(tuple(box[0].nonzero()[0].tolist()))
        assert int(box.sum()) == math.prod(extent * 2 // 3 for extent in shape)
    assert len(firsts) > 30
    assert make("bcp", len(shape), box_share=1.0)._box(torch.zeros(1, 1, *shape), 0).all()  # type: ignore[attr-defined]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SuiteError, match=r"box_share of bcp is 1\.5"):
        make("bcp", box_share=1.5)
    batch = {"labelled": sample(), "unlabelled": sample(batch=1)}
    with pytest.raises(TrainingError, match="bcp mixes pairs"):
        make("bcp").training_step(batch, 0)
