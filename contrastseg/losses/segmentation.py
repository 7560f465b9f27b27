"""Segmentation losses: cross-entropy and soft Dice, with 255 as the label to ignore."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE


def soft_dice_loss(
    logits: Tensor,
    label: Tensor,
    ignore_index: int = IGNORE,
    smooth: float = 1e-5,
    *,
    background: bool = False,
    squared: bool = False,
    per_image: bool = False,
) -> Tensor:
    """1 − mean soft Dice over the foreground classes, areas summed over the batch.

    Dice_c = (2 Σ p_c g_c + ε) / (Σ p_c + Σ g_c + ε); a class absent from both gives 1, so it costs nothing.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial), integer, `ignore_index` where nothing is known.
        ignore_index: The label left out.
        smooth: ε.
        background: Whether class 0 counts among the classes.
        squared: Whether the areas are Σ p_c² and Σ g_c², as Milletari et al. (2016) have it.
        per_image: Whether areas are summed over each image, and the Dice of all images averaged.

    Returns:
        A scalar in [0, 1].

    Example:
        >>> label = torch.tensor([[[0, 1], [1, 1]]])
        >>> logits = 20.0 * torch.nn.functional.one_hot(label).movedim(-1, 1).float()
        >>> round(soft_dice_loss(logits, label).item(), 4), round(soft_dice_loss(-logits, label).item(), 4)
        (0.0, 1.0)
    """
    probabilities = torch.softmax(logits.float(), dim=1)
    return _soft_dice(probabilities, label, ignore_index, smooth, background, squared, per_image)


def _soft_dice(
    probabilities: Tensor,
    label: Tensor,
    ignore_index: int,
    smooth: float,
    background: bool,
    squared: bool,
    per_image: bool,
) -> Tensor:
    valid, classes = label != ignore_index, probabilities.shape[1]
    # The pixels of each class, and all that count. A scatter, not one_hot: no int64 copy of K times the label.
    masks = probabilities.new_zeros(len(label), classes + 1, *label.shape[1:])
    masks.scatter_(1, torch.where(valid, label, 0).unsqueeze(1), valid.unsqueeze(1).to(masks.dtype))
    masks[:, classes] = valid
    flat, columns = probabilities.flatten(2), masks.flatten(2).transpose(1, 2)
    # Every sum in one product, with no copy of the probabilities for each; autocast would take it in half precision.
    with torch.autocast(probabilities.device.type, enabled=False):
        sums = torch.bmm(flat, columns)
        areas = torch.bmm(flat.square(), columns[..., classes:]) if squared else sums[..., classes:]
    over = [*range(2, masks.ndim)] if per_image else [0, *range(2, masks.ndim)]
    if not per_image:
        sums, areas = sums.sum(0), areas.sum(0)
    first = 0 if background else 1
    intersection = sums.diagonal(dim1=-2, dim2=-1)[..., first:]
    total = areas[..., first:, 0] + masks[:, first:classes].sum(over)
    return 1 - ((2 * intersection + smooth) / (total + smooth)).mean()


def cross_entropy_loss(logits: Tensor, label: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """Compute the mean cross-entropy over the pixels with a label; 0 (not NaN) where there is none.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial), integer.
        ignore_index: The label left out.

    Example:
        >>> logits, label = torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
        >>> round(cross_entropy_loss(logits, label).item(), 4)  # ln 4
        1.3863
        >>> cross_entropy_loss(logits, label + 255).item()  # ignored everywhere
        0.0
    """
    return _cross_entropy(torch.log_softmax(logits.float(), dim=1), label, ignore_index)


def _cross_entropy(log_probabilities: Tensor, label: Tensor, ignore_index: int) -> Tensor:
    summed = F.nll_loss(log_probabilities, label, ignore_index=ignore_index, reduction="sum")
    return summed / (label != ignore_index).sum().clamp(min=1)


def dice_ce_loss(logits: Tensor, label: Tensor, ignore_index: int = IGNORE) -> Tensor:
    """Compute ½ (cross-entropy + soft Dice), the default of `segmentation_loss`.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial), integer.
        ignore_index: The label left out.

    Example:
        >>> logits, label = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, dtype=torch.int64)
        >>> round(dice_ce_loss(logits, label).item(), 4)
        0.5132
    """
    return segmentation_loss(logits, label, ignore_index=ignore_index)


def segmentation_loss(
    logits: Tensor,
    label: Tensor,
    *,
    loss: Literal["ce", "dice", "ce_dice"] = "ce_dice",
    combine: Literal["mean", "sum"] = "mean",
    background: bool = False,
    squared: bool = False,
    per_image: bool = False,
    dice_share: float | None = None,
    ignore_index: int = IGNORE,
    smooth: float = 1e-5,
) -> Tensor:
    """Compute the supervised loss of every method: cross-entropy, soft Dice, or both. Shapes as in `soft_dice_loss`.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial), integer, `ignore_index` where nothing is known.
        loss: `ce`, `dice` or both.
        combine: Whether both are averaged or added.
        background: Of the Dice, as in `soft_dice_loss`.
        squared: Likewise.
        per_image: Likewise.
        dice_share: Weight w of the Dice in the mean, (1 − w) CE + w Dice; half if None.
        ignore_index: The label left out.
        smooth: ε of the Dice.

    Returns:
        A scalar.

    Example:
        >>> logits, label = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, dtype=torch.int64)
        >>> round(segmentation_loss(logits, label, loss="ce").item(), 4)
        0.6931
        >>> round(segmentation_loss(logits, label, combine="sum", squared=True).item(), 4)
        0.8931
    """
    # One softmax serves both.
    log_probabilities = torch.log_softmax(logits.float(), dim=1)
    if loss == "ce":
        return _cross_entropy(log_probabilities, label, ignore_index)
    dice = _soft_dice(log_probabilities.exp(), label, ignore_index, smooth, background, squared, per_image)
    if loss == "dice":
        return dice
    entropy = _cross_entropy(log_probabilities, label, ignore_index)
    if dice_share is not None and combine == "mean":
        return (1 - dice_share) * entropy + dice_share * dice
    both = entropy + dice
    return both if combine == "sum" else 0.5 * both
