"""Segmentation losses: cross-entropy and soft Dice, with 255 as the label to ignore."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255


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
    probabilities = torch.softmax(logits.float(), dim=1)
    valid = (label != ignore_index).unsqueeze(1)
    # A scatter, not one_hot: no int64 copy of K times the label.
    target = torch.zeros_like(probabilities).scatter_(1, torch.where(valid, label.unsqueeze(1), 0), 1.0) * valid
    axes = [0, *range(2, logits.ndim)]
    intersection = (probabilities * target).sum(axes)[1:]
    total = (probabilities * valid).sum(axes)[1:] + target.sum(axes)[1:]
    return 1 - ((2 * intersection + smooth) / (total + smooth)).mean()


def cross_entropy_loss(logits: Tensor, label: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """Mean cross-entropy over the pixels with a label; 0 (not NaN) where there is none.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial), integer.
        ignore_index: The label left out.
    """
    summed = F.cross_entropy(logits.float(), label, ignore_index=ignore_index, reduction="sum")
    return summed / (label != ignore_index).sum().clamp(min=1)


def dice_ce_loss(logits: Tensor, label: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """½ (cross-entropy + soft Dice), the supervised loss of every method here. Shapes as in `soft_dice_loss`."""
    return 0.5 * (cross_entropy_loss(logits, label, ignore_index) + soft_dice_loss(logits, label, ignore_index))
