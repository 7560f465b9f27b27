"""Segmentation losses: cross-entropy and soft Dice, with 255 as the label to ignore."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE


def soft_dice_loss(logits: Tensor, label: Tensor, ignore_index: int = IGNORE, smooth: float = 1e-5) -> Tensor:
    """1 − mean soft Dice over the foreground classes, areas summed over the batch.

    Dice_c = (2 Σ p_c g_c + ε) / (Σ p_c + Σ g_c + ε); a class absent from both gives 1, so it costs nothing.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial), integer, `ignore_index` where nothing is known.
        ignore_index: The label left out.
        smooth: ε.

    Returns:
        A scalar in [0, 1].
    """
    return _soft_dice(torch.softmax(logits.float(), dim=1), label, ignore_index, smooth)


def _soft_dice(probabilities: Tensor, label: Tensor, ignore_index: int, smooth: float = 1e-5) -> Tensor:
    valid, classes = label != ignore_index, probabilities.shape[1]
    # The pixels of each class, and all that count. A scatter, not one_hot: no int64 copy of K times the label.
    masks = probabilities.new_zeros(len(label), classes + 1, *label.shape[1:])
    masks.scatter_(1, torch.where(valid, label, 0).unsqueeze(1), valid.unsqueeze(1).to(masks.dtype))
    masks[:, classes] = valid
    # Every sum in one product, with no copy of the probabilities for each; autocast would take it in half precision.
    with torch.autocast(probabilities.device.type, enabled=False):
        sums = torch.bmm(probabilities.flatten(2), masks.flatten(2).transpose(1, 2)).sum(0)
    intersection = sums.diagonal()[1:]
    total = sums[1:, classes] + masks[:, 1:classes].sum([0, *range(2, masks.ndim)])
    return 1 - ((2 * intersection + smooth) / (total + smooth)).mean()


def cross_entropy_loss(logits: Tensor, label: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """Mean cross-entropy over the pixels with a label; 0 (not NaN) where there is none.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial), integer.
        ignore_index: The label left out.
    """
    return _cross_entropy(torch.log_softmax(logits.float(), dim=1), label, ignore_index)


def _cross_entropy(log_probabilities: Tensor, label: Tensor, ignore_index: int) -> Tensor:
    summed = F.nll_loss(log_probabilities, label, ignore_index=ignore_index, reduction="sum")
    return summed / (label != ignore_index).sum().clamp(min=1)


def dice_ce_loss(logits: Tensor, label: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """½ (cross-entropy + soft Dice), the supervised loss of every method here. Shapes as in `soft_dice_loss`."""
    # One softmax serves both.
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    dice = _soft_dice(log_probabilities.exp(), label, ignore_index)
    return 0.5 * (_cross_entropy(log_probabilities, label, ignore_index) + dice)
