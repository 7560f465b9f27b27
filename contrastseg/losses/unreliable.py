"""Contrast with unreliable pseudo labels: which pixels are sure, which are negatives of a class, and the loss.

Source:
    Wang et al., Semi-Supervised Semantic Segmentation Using Unreliable Pseudo-Labels, CVPR 2022, arXiv 2203.03884, with
    the code released there (Haochen-Wang409/U2PL).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE


def percentile(values: Tensor, percent: Any) -> Tensor:
    """Compute a percentile, with linear interpolation between the two nearest values, as numpy does.

    Args:
        values: Of any shape.
        percent: 0 to 100; a number, or a scalar tensor of the values' device.

    Returns:
        A scalar tensor.

    Example:
        >>> percentile(torch.tensor([0.0, 1.0, 2.0, 3.0]), 50).item()
        1.5
    """
    ordered = values.flatten().float().sort().values
    place = (torch.zeros((), dtype=torch.float64, device=values.device) + percent) / 100 * (len(ordered) - 1)
    below = place.floor().long().clamp(0, len(ordered) - 1)
    above = (below + 1).clamp(max=len(ordered) - 1)
    first, second = ordered.gather(0, torch.stack([below, above])).unbind()
    return torch.lerp(first, second, (place - below).float())


def reliable_cross_entropy(logits: Tensor, label: Tensor, reliable: Tensor) -> Tensor:
    """Compute (N / n) · mean over the n reliable pixels of the cross-entropy, N all pixels; 0 where none is reliable.

    Args:
        logits: (B, K, *spatial).
        label: (B, *spatial).
        reliable: (B, *spatial), bool.

    Returns:
        A scalar, float32.

    Example:
        >>> logits, label = torch.zeros(1, 2, 4), torch.zeros(1, 4, dtype=torch.int64)
        >>> round(reliable_cross_entropy(logits, label, torch.tensor([[True, True, False, False]])).item(), 4)  # 2 ln 2
        1.3863
    """
    target = torch.where(reliable, label, IGNORE)
    summed = F.nll_loss(logits.float().log_softmax(1), target, ignore_index=IGNORE, reduction="sum")
    count = (target != IGNORE).sum().clamp(min=1)
    return summed / count * (label.numel() / count)


def negative_candidates(
    label: Tensor,
    probabilities: Tensor,
    unsure: Tensor,
    unlabelled: Tensor,
    ranks: tuple[int, int],
    labels: Literal["own", "other"] = "own",
) -> Tensor:
    """Which pixels may be negatives of each class.

    Classes are ranked at every pixel, the most probable has rank 0. A labelled pixel is a candidate of class c where c
    has a rank below the first limit and is not its label. An unlabelled one is where it is unsure and the rank lies
    from the first limit to before the second.

    Args:
        label: (N,), true or pseudo labels.
        probabilities: (N, K).
        unsure: (N,), bool; counts for unlabelled pixels.
        unlabelled: (N,), bool.
        ranks: The limits.
        labels: `own` takes only pixels whose label is c, as the release does by a mask too many: no labelled pixel
            is left, and of the unlabelled ones those whose two predictions differ. `other` is what the paper says.

    Returns:
        (N, K), bool.

    Example:
        >>> sure, drawn = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([True])
        >>> negative_candidates(torch.tensor([0]), sure, drawn, drawn, (1, 2), labels="other")
        tensor([[False,  True, False]])
    """
    rank = probabilities.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    own = label[:, None] == torch.arange(probabilities.shape[1], device=label.device)
    hard = (rank < ranks[0]) & ~own & (label != IGNORE)[:, None]
    low = (rank >= ranks[0]) & (rank < ranks[1]) & unsure[:, None]
    chosen = torch.where(unlabelled[:, None], low, hard) & (probabilities < 1)
    return chosen & own if labels == "own" else chosen


def draw_rows(candidates: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Draw rows with replacement among the candidates of each class, from torch's global generator of the device.

    Args:
        candidates: (K, N), bool.
        number: A, rows for each class.

    Returns:
        Rows (K, A), int64, and how many candidates there were, (K,). Rows of a class without any mean nothing.

    Example:
        >>> draw_rows(torch.tensor([[False, True, False]]), 2)
        (tensor([[1, 1]]), tensor([1]))
    """
    order = candidates.cumsum(1)
    count = order[:, -1]
    uniform = torch.rand(len(candidates), number, dtype=torch.float64, device=candidates.device)
    wanted = (uniform * count[:, None]).long().clamp(max=candidates.shape[1] - 1) + 1
    return torch.searchsorted(order, wanted).clamp(max=candidates.shape[1] - 1), count


def prototype_contrast_loss(
    anchors: Tensor,
    prototypes: Tensor,
    memory: Tensor,
    drawn: Tensor,
    counting: Tensor,
    present: Tensor,
    temperature: float = 0.5,
) -> Tensor:
    """Sum over the counting classes of the mean InfoNCE of their anchors, divided by the number of classes present.

    An anchor's positive is the prototype of its class; similarities are cosines over the temperature.

    Args:
        anchors: (K, A, D); gradients reach them.
        prototypes: (K, D).
        memory: (K, S, D), vectors that are negatives of each class.
        drawn: (K, A, M), int64: which of them each anchor is compared with.
        counting: (K,), bool: classes with anchors and negatives.
        present: (K,), bool: classes that the batch has. With fewer than two the loss is 0.
        temperature: τ.

    Returns:
        A scalar, float32.

    Example:
        >>> anchors, drawn = torch.eye(2)[:, None], torch.zeros(2, 1, 1, dtype=torch.int64)
        >>> both, against = torch.ones(2, dtype=torch.bool), torch.eye(2).flip(0)[:, None]
        >>> round(prototype_contrast_loss(anchors, torch.eye(2), against, drawn, both, both).item(), 4)  # ln(1 + e⁻²)
        0.1269
    """
    with torch.autocast(anchors.device.type, enabled=False):
        unit = F.normalize(anchors.float(), dim=-1)
        positive = (unit * F.normalize(prototypes.float(), dim=-1)[:, None]).sum(-1, keepdim=True)
        negative = torch.bmm(unit, F.normalize(memory.float(), dim=-1).transpose(1, 2)).gather(2, drawn)
        logits = torch.cat([positive, negative], dim=2) / temperature
        losses = (logits.logsumexp(2) - logits[..., 0]).mean(1)
        several = (present.sum() > 1).float()
        loss: Tensor = torch.where(counting, losses, 0.0).sum() / present.sum().clamp(min=1) * several
        return loss
