"""Cross-entropy and soft Dice against slow versions, MONAI, and their limits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.losses.segmentation import cross_entropy_loss, dice_ce_loss, segmentation_loss, soft_dice_loss


def perfect(label: torch.Tensor, num_classes: int) -> torch.Tensor:
    logits = torch.zeros(len(label), num_classes, *label.shape[1:])
    return logits.scatter_(1, label.clamp(max=num_classes - 1).unsqueeze(1), 40.0)


@pytest.mark.parametrize("shape", [(7, 9), (3, 5, 4)])
def test_dice_equals_a_loop_over_classes(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, *shape, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 4, (2, *shape), generator=generator)
    label[0, 0] = 255
    known = label != 255
    p = torch.softmax(logits, 1)
    scores = []
    for c in range(1, 4):
        pc, gc = p[:, c][known], (label == c)[known].double()
        scores.append((2 * (pc * gc).sum() + 1e-5) / (pc.sum() + gc.sum() + 1e-5))
    assert float(soft_dice_loss(logits, label)) == pytest.approx(float(1 - torch.stack(scores).mean()), rel=1e-5)


def test_dice_equals_monai() -> None:
    from monai.losses import DiceLoss

    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 3, 8, 8, generator=generator)
    label = torch.randint(0, 3, (3, 8, 8), generator=generator)
    theirs = DiceLoss(
        softmax=True, to_onehot_y=True, include_background=False, batch=True, smooth_nr=1e-5, smooth_dr=1e-5
    )(logits, label.unsqueeze(1))
    torch.testing.assert_close(soft_dice_loss(logits, label), theirs)


def test_limits() -> None:
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    label[:, :2] = 1
    right, wrong = perfect(label, 2), perfect(1 - label, 2)
    assert float(dice_ce_loss(right, label)) == pytest.approx(0, abs=1e-5)
    assert float(soft_dice_loss(wrong, label)) == pytest.approx(1, abs=1e-4)
    assert float(soft_dice_loss(right * 0, label * 0)) <= 1


def test_ignored_pixels_change_nothing_and_nothing_known_costs_nothing() -> None:
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(2, 3, 6, 6, generator=generator)
    label = torch.randint(0, 3, (2, 6, 6), generator=generator)
    label[:, 3:] = 255
    changed = logits.clone()
    changed[:, :, 3:] += torch.randn(2, 3, 3, 6, generator=generator) * 10
    for loss in (dice_ce_loss, soft_dice_loss, cross_entropy_loss):
        torch.testing.assert_close(loss(logits, label), loss(changed, label))
    nothing = torch.full((2, 6, 6), 255)
    free = logits.clone().requires_grad_()
    loss = cross_entropy_loss(free, nothing)
    loss.backward()
    assert float(loss) == 0
    assert torch.isfinite(dice_ce_loss(logits, nothing))


def test_dice_is_summed_in_full_precision_under_autocast() -> None:
    """A product is what autocast would take in half precision."""
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 40, 50), torch.randint(0, 3, (2, 40, 50))
    expected = soft_dice_loss(logits, label), dice_ce_loss(logits, label)
    with torch.autocast("cpu", torch.bfloat16):
        found = soft_dice_loss(logits, label), dice_ce_loss(logits, label)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def cross_entropy_of(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return -(p.log() * g).sum(1).mean()


def ssl4mis(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """train_fully_supervised_2D.py:112-114, utils/losses.py DiceLoss: every class, areas squared, over the batch."""
    dice = [
        1 - (2 * (p[:, k] * g[:, k]).sum() + 1e-5) / ((p[:, k] ** 2).sum() + (g[:, k] ** 2).sum() + 1e-5)
        for k in range(p.shape[1])
    ]
    return 0.5 * (sum(dice, torch.zeros(())) / p.shape[1] + cross_entropy_of(p, g))


def arco(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """train_arco_2d.py:337-339: the same two, added up."""
    return 2 * ssl4mis(p, g)


def uamt(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """train_LA_meanteacher_certainty_unlabel.py:166-169 with utils/losses.py dice_loss: the one foreground class."""
    one, other = p[:, 1], g[:, 1]
    dice = 1 - (2 * (one * other).sum() + 1e-5) / ((one * one).sum() + (other * other).sum() + 1e-5)
    return 0.5 * (cross_entropy_of(p, g) + dice)


def glcl(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """losses.py dice_loss_with_backgrnd: every image and class by itself, the background among them."""
    scores = [
        2 * (one * other).sum() / (one.sum() + other.sum() + 1e-10)
        for ps, gs in zip(p, g, strict=True)
        for one, other in zip(ps, gs, strict=True)
    ]
    return 1 - torch.stack(scores).mean()


def pdcr(p: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """README:117-118: cross-entropy whose class weights are 1 and 1."""
    return cross_entropy_of(p, g)


@pytest.mark.parametrize("shape", [(20, 24), (6, 10, 12)])
@pytest.mark.parametrize(
    ("theirs", "classes", "settings"),
    [
        (ssl4mis, 4, {"background": True, "squared": True}),
        (arco, 4, {"combine": "sum", "background": True, "squared": True}),
        (uamt, 2, {"squared": True}),
        (glcl, 4, {"loss": "dice", "background": True, "per_image": True}),
        (pdcr, 2, {"loss": "ce"}),
    ],
)
def test_the_losses_of_the_sources(theirs: Any, classes: int, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    """Value and gradient; the formulas are in float64."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(3, classes, *shape, generator=generator)
    # Every image has another share of every class, so that sums over images and over the batch are apart.
    label = (torch.rand(3, *shape, generator=generator) ** torch.tensor([1.0, 2, 4]).view(3, *[1] * len(shape))).mul(
        classes
    )
    label = label.long().clamp(max=classes - 1)
    ours, reference = logits.clone().requires_grad_(), logits.double().requires_grad_()
    onehot = torch.nn.functional.one_hot(label, classes).movedim(-1, 1).double()
    expected, found = theirs(reference.softmax(1), onehot), segmentation_loss(ours, label, **settings)
    expected.backward()
    found.backward()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    torch.testing.assert_close(ours.grad, reference.grad.float(), rtol=1e-4, atol=1e-8)
    for name, other in {"background": True, "squared": True, "per_image": True}.items():
        if settings.get("loss") != "ce" and name not in settings:
            assert abs(float(segmentation_loss(logits, label, **settings, **{name: other})) - float(expected)) > 1e-4


def test_the_default_is_half_of_both() -> None:
    generator = torch.Generator().manual_seed(4)
    logits, label = torch.randn(2, 3, 6, 6, generator=generator), torch.randint(0, 3, (2, 6, 6), generator=generator)
    assert torch.equal(segmentation_loss(logits, label), dice_ce_loss(logits, label))
    both = cross_entropy_loss(logits, label), soft_dice_loss(logits, label)
    torch.testing.assert_close(dice_ce_loss(logits, label), 0.5 * (both[0] + both[1]))


def test_ignored_pixels_change_no_form_of_the_dice() -> None:
    generator = torch.Generator().manual_seed(5)
    logits, label = torch.randn(2, 3, 6, 6, generator=generator), torch.randint(0, 3, (2, 6, 6), generator=generator)
    label[:, 3:] = 255
    changed = logits.clone()
    changed[:, :, 3:] += 10
    form: dict[str, Any] = {"background": True, "squared": True, "per_image": True}
    torch.testing.assert_close(soft_dice_loss(logits, label, **form), soft_dice_loss(changed, label, **form))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_the_share_of_the_dice_weighs_the_mean(share):
    logits, label = torch.randn(2, 3, 5, 4), torch.randint(0, 3, (2, 5, 4))
    entropy, dice = (segmentation_loss(logits, label, loss=loss) for loss in ("ce", "dice"))
    weighed = segmentation_loss(logits, label, dice_share=share)
    torch.testing.assert_close(weighed, (1 - share) * entropy + share * dice)
    unset = segmentation_loss(logits, label, dice_share=None)
    torch.testing.assert_close(unset, segmentation_loss(logits, label), rtol=0, atol=0)
