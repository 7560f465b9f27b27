"""Cross-entropy and soft Dice against slow versions, MONAI, and their limits."""

from __future__ import annotations

import pytest
import torch

from contrastseg.losses.segmentation import cross_entropy_loss, dice_ce_loss, soft_dice_loss


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
