"""UniMatch: its loss is the released one, and each of its views teaches what it should."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastseg.errors import SuiteError
from contrastseg.methods import _strong_views as strong
from tests.methods.made_up import make, sample


def waves(*shape: int, frequency: float) -> Tensor:
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(frequency * count).reshape(shape)


def given(dims: int = 2) -> dict[str, Any]:
    batch = {name: sample(dims) for name in ("labelled", "unlabelled", "pasted")}
    batch["pasted"].image = batch["pasted"].image.flip(-1)
    return batch


# LiheYoung/UniMatch 0324f3d, more-scenarios/medical/util/utils.py, DiceLoss with `ignore`, in float64 on these tensors.
@pytest.mark.parametrize(
    ("shape", "classes", "threshold", "released"),
    [
        ((6, 7), 4, 0.0, 0.8355696951815378),
        ((6, 7), 4, 0.6, 0.8302360302370257),
        ((6, 7), 4, 0.95, 0.8736841945184712),
        ((4, 5, 6), 2, 0.6, 0.4140947268539553),
        ((4, 5, 6), 2, 0.95, 0.412525691578572),
    ],
)
def test_dice_with_sure_labels_is_the_released_one(
    shape: tuple[int, ...], classes: int, threshold: float, released: float
) -> None:
    logits = 6 * waves(2, classes, *shape, frequency=0.61)
    label = (waves(2, *shape, frequency=1.3) * 50).long().abs() % classes
    confidence = waves(2, *shape, frequency=0.37).abs()
    method: Any = make("unimatch", threshold=threshold)
    assert float(method.pseudo_loss(logits, label, confidence)) == pytest.approx(released, rel=1e-5)


def weak_box(batch: int, *_: Any) -> Tensor:
    """The box of rows 4 to 20 and columns 8 to 30, for every image."""
    return torch.tensor([4.0, 8.0, 20.0, 30.0])[:, None].expand(4, batch)


def dice(logits: Tensor, label: Tensor, counts: Tensor) -> Tensor:
    """1 − mean over all classes of (2 Σ p·g + ε) / (Σ p² + Σ g² + ε), sums over the pixels that count."""
    terms = []
    for value in range(3):
        p, g = logits.softmax(1)[:, value][counts], (label == value)[counts].float()
        terms.append((2 * (p * g).sum() + 1e-5) / ((p * p).sum() + (g * g).sum() + 1e-5))
    return 1 - torch.stack(terms).mean()


@pytest.mark.parametrize(("variant", "weights"), [("default", (0.5, 0.25, 0.25)), ("fixmatch", (0.5, 0.5, 0.0))])
def test_a_step_is_the_released_sum(
    variant: str, weights: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """½ [½ (CE + Dice)(x) + ¼ Dice(s₁) + ¼ Dice(s₂) + ½ Dice(fp)], with channels dropped by the same draw."""
    monkeypatch.setattr(strong, "draw_boxes", weak_box)
    method: Any = make("unimatch", variant=variant, jitter_probability=0.0, blur_probability=0.0)
    batch, network = given(), method.modules["network"]
    weak, other = batch["unlabelled"].image, batch["pasted"].image
    threshold = method.settings["threshold"] = round(float(network(weak).detach().softmax(1).amax(1).median()), 3)
    torch.manual_seed(3)
    terms = method.training_step(batch, 0)

    torch.manual_seed(3)
    for _ in range(1 if variant == "fixmatch" else 2):
        strong.draw_jitter(4, method.settings)
    logits = network(weak)
    label, other_label = logits.argmax(1), network(other).argmax(1)
    sure, other_sure = (network(each).softmax(1).amax(1) > threshold for each in (weak, other))
    assert 0 < int(sure.sum()) < sure.numel()
    mixed, mixed_label, mixed_sure = weak.clone(), label.clone(), sure.clone()
    mixed[..., 4:20, 8:30] = other[..., 4:20, 8:30]
    mixed_label[:, 4:20, 8:30] = other_label[:, 4:20, 8:30]
    mixed_sure[:, 4:20, 8:30] = other_sure[:, 4:20, 8:30]
    expected = weights[1] * dice(network(mixed), mixed_label, mixed_sure)
    torch.testing.assert_close(terms["strong"], expected, rtol=1e-5, atol=1e-6)
    supervised = method.segmentation_loss(network(batch["labelled"].image), batch["labelled"].label)
    torch.testing.assert_close(terms["segmentation"], weights[0] * supervised, rtol=1e-5, atol=1e-6)
    assert ("feature" in terms) == (weights[2] > 0)
    if weights[2]:
        maps = network.encode(torch.cat([batch["labelled"].image, weak]))
        dropped = {name: torch.nn.functional.dropout2d(each, 0.5) for name, each in maps.items()}
        perturbed = network.classify(network.features_with(dropped, weak))[2:]
        torch.testing.assert_close(terms["feature"], weights[2] * dice(perturbed, label, sure), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("variant", "dims"), [("default", 2), ("fixmatch", 3)])
def test_above_a_threshold_of_1_unlabelled_images_say_nothing(variant: str, dims: int) -> None:
    method, batch = make("unimatch", dims, variant, levels=3, threshold=1.01), given(dims)
    terms = method.training_step(batch, 0)
    unlabelled = sum(loss for name, loss in terms.items() if name != "segmentation")
    assert unlabelled.item() == 0  # type: ignore[union-attr]
    gradients = torch.autograd.grad(unlabelled, list(method.modules["network"].parameters()))  # type: ignore[arg-type]
    assert all(not gradient.any() for gradient in gradients)
    below = make("unimatch", dims, variant, levels=3, threshold=0.3).training_step(batch, 0)
    assert float(below["strong"]) > 0
    torch.testing.assert_close(below["segmentation"], terms["segmentation"])


def test_labels_pass_no_gradient_and_the_network_stays_in_training() -> None:
    method, batch = make("unimatch", threshold=0.0), given()
    batch["pasted"].image.requires_grad_()
    method.modules.train()
    loss = torch.stack(list(method.training_step(batch, 0).values())).sum()
    loss.backward()
    assert all(module.training for module in method.modules.modules())
    weights = [parameter.grad for parameter in method.modules.parameters()]
    assert all(gradient is not None and bool(gradient.any()) for gradient in weights)


@pytest.mark.parametrize("shape", [(256, 256), (40, 64), (80, 112, 112)])
def test_boxes_fit_and_have_the_released_sizes(shape: tuple[int, ...]) -> None:
    settings = {**strong.CUTMIX}
    torch.manual_seed(0)
    low, high = strong.draw_boxes(4000, shape, settings).numpy().reshape(2, len(shape), 4000)
    sides = high - low
    some = (sides > 0).all(0)
    assert 0.46 < some.mean() < 0.54
    assert not sides[:, ~some].any()
    assert (low >= 0).all()
    assert (high <= np.array(shape)[:, None]).all()
    share = (sides / np.array(shape)[:, None]).prod(0)[some]
    assert 0.01 < share.min() < 0.05
    assert 0.3 < share.max() <= 0.4
    ratio = sides[-2, some] / sides[-1, some]
    assert 0.25 < ratio.min() < 0.5
    assert ratio.max() > 2


def test_jitter_is_drawn_as_often_and_as_far_as_the_settings_say() -> None:
    settings = {**strong.JITTER, "jitter": (0.5, 0.4, 0.3, 0.25)}
    torch.manual_seed(0)
    drawn = strong.draw_jitter(5000, settings)
    changed = drawn[0] != 1
    assert 0.78 < float(changed.float().mean()) < 0.82
    assert torch.equal(drawn[:4, ~changed], torch.tensor([1.0, 1, 1, 0])[:, None].expand(4, int((~changed).sum())))
    for row, (middle, most) in zip(drawn[:4], ((1, 0.5), (1, 0.4), (1, 0.3), (0, 0.25)), strict=True):
        assert float((row - middle).abs().max()) == pytest.approx(most, rel=0.01)
        assert float(row[changed].mean()) == pytest.approx(middle, abs=0.02)
    blurred = drawn[4] > 0
    assert 0.48 < float(blurred.float().mean()) < 0.52
    assert float(drawn[4][blurred].min()) == pytest.approx(0.1, abs=0.01)
    assert float(drawn[4].max()) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("strong_views", 0),
        ("strong_views", 1.5),
        ("blur", (2.0, 0.1)),
        ("cutmix_area", (0.1, 0.2, 0.3)),
        ("intensity_limits", "minmax"),
        ("intensity_limits", 3),
    ],
)
def test_settings_without_a_possible_value_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(SuiteError, match=f"{setting} of unimatch is"):
        make("unimatch", **{setting: value})
