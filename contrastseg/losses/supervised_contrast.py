"""Supervised contrast: embeddings of one class attract each other, all others repel."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from contrastseg.tensors import values_at_hand

# Similarities computed at a time. Beyond that, rows are recomputed in the backward pass instead of being kept.
BLOCK = 2**24


def supcon_loss(
    embeddings: Tensor,
    labels: Tensor,
    temperature: float = 0.1,
    *,
    queue: tuple[Tensor, Tensor] | None = None,
    denominator: Literal["all", "negatives"] = "all",
    ignore_index: int | None = None,
) -> Tensor:
    """Mean over anchors i of −(1/|P(i)|) Σ_{p∈P(i)} log [ exp(z_i·z_p/τ) / D_ip ], z = embedding / ‖embedding‖.

    P(i) are the other vectors with i's label. D_ip = Σ_{a≠i} exp(z_i·z_a/τ) with `denominator="all"` (Khosla et al.,
    eq. 2), exp(z_i·z_p/τ) + Σ_{n: other label} exp(z_i·z_n/τ) with `"negatives"` (Wang et al., eq. 3: positives do not
    compete). Anchors without a positive are left out of the mean; where none has one, the loss is 0.

    Memory is linear in vectors and in width: at most `BLOCK` similarities exist at a time. Computed in float32 at
    least, whatever the input's precision or autocast.

    Args:
        embeddings: (N, D), of any length; anchors, and what they are compared with.
        labels: (N,), integer; any values.
        temperature: τ.
        queue: More vectors (M, D) with their labels (M,), to compare with; no anchors, and no gradient reaches them.
        denominator: What a positive competes with.
        ignore_index: Label of vectors that take no part, as if they were not there.

    Returns:
        A scalar ≥ 0.

    Raises:
        ValueError: Shapes do not fit, or `denominator` is unknown.

    Source:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, arXiv 2004.11362;
        Wang et al., Exploring Cross-Image Pixel Contrast for Semantic Segmentation, ICCV 2021, arXiv 2101.11939.

    Example:
        >>> embeddings, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(supcon_loss(embeddings, labels).item(), 4)
        0.0001
        >>> round(supcon_loss(embeddings, torch.tensor([0, 0, 1, 1])).item(), 4)
        10.0001
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"embeddings (N, D) and labels (N,) are wanted, got {tuple(embeddings.shape)}, {tuple(labels.shape)}"
        )
    if denominator not in ("all", "negatives"):
        raise ValueError(f"denominator is 'all' or 'negatives', got {denominator!r}")
    at_hand = values_at_hand(labels)
    if ignore_index is not None and at_hand:
        embeddings, labels = _without(embeddings, labels, ignore_index)
        queue = None if queue is None else _without(*queue, ignore_index)
        ignore_index = None
    with torch.autocast(embeddings.device.type, enabled=False):
        anchors = _unit(embeddings)
        columns, column_labels = anchors, labels
        if queue is not None:
            columns = torch.cat([anchors, _unit(queue[0].detach().to(anchors))])
            column_labels = torch.cat([labels, queue[1].to(labels)])
        counting = None if ignore_index is None else column_labels != ignore_index
        members = _numbered(column_labels)
        counts = torch.zeros_like(members)
        counts.scatter_add_(0, members, torch.ones_like(members) if counting is None else counting.long())
        positives = counts[members[: len(anchors)]] - 1
        # Anchors without a positive are left out, or stay with weight 0.
        index = (positives > 0).nonzero()[:, 0] if at_hand else torch.arange(len(anchors), device=labels.device)
        if len(index) == 0:
            return embeddings.sum() * 0.0
        weights = (positives > 0)[index]
        row_losses = _against_all if denominator == "all" else _against_negatives
        blocks = index.split(max(1, BLOCK // len(columns)))
        arguments = (anchors, columns, members, positives.clamp(min=1), counting, temperature)
        if len(blocks) == 1:
            losses = row_losses(index, *arguments)
        else:
            computed = partial(
                checkpoint, row_losses, use_reentrant=False, preserve_rng_state=False
            )  # nothing is drawn
            losses = torch.cat([computed(block, *arguments) for block in blocks])
        return (losses * weights).sum() / weights.sum().clamp(min=1)


def _without(vectors: Tensor, labels: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    kept = labels != ignore_index
    return vectors[kept], labels[kept]


def _numbered(labels: Tensor) -> Tensor:
    """Labels as numbers from 0 on, in their order, as `unique(return_inverse=True)` has it."""
    ordered, order = labels.sort()
    numbers = torch.zeros_like(order)
    numbers[1:] = (ordered[1:] != ordered[:-1]).cumsum(0)
    return torch.empty_like(order).scatter_(0, order, numbers)


def _lowest(similarity: Tensor) -> float:
    """Instead of −∞: where nothing else is in a row, its gradient is 0 and not NaN."""
    return torch.finfo(similarity.dtype).min


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.to(torch.promote_types(vectors.dtype, torch.float32)), dim=1)


def _against_all(
    index: Tensor,
    anchors: Tensor,
    columns: Tensor,
    members: Tensor,
    positives: Tensor,
    counting: Tensor | None,
    temperature: float,
) -> Tensor:
    """Losses (n,) of the anchors `index`, every other vector in the denominator.

    The positives enter through the sum of their class alone, so no mask of the size of the similarities is made.
    """
    rows = anchors[index]
    summed = columns if counting is None else columns * counting[:, None]
    number = int(members.max()) + 1 if values_at_hand(members) else len(columns)
    classes = columns.new_zeros(number, columns.shape[1]).index_add(0, members, summed)
    others = classes[members[index]] - rows
    attraction = (rows * others).sum(1) / positives[index] / temperature
    similarity = (rows / temperature) @ columns.T
    similarity[torch.arange(len(index), device=index.device), index] = _lowest(similarity)
    if counting is not None:
        similarity = similarity.masked_fill(~counting, _lowest(similarity))
    return torch.logsumexp(similarity, dim=1) - attraction


def _against_negatives(
    index: Tensor,
    anchors: Tensor,
    columns: Tensor,
    members: Tensor,
    positives: Tensor,
    counting: Tensor | None,
    temperature: float,
) -> Tensor:
    """Losses (n,) of the anchors `index`, each positive against the vectors of other labels."""
    similarity = (anchors[index] / temperature) @ columns.T
    same = members[index][:, None] == members
    left_out = same if counting is None else same | ~counting
    repulsion = torch.logsumexp(similarity.masked_fill(left_out, _lowest(similarity)), dim=1, keepdim=True)
    competition = F.softplus(repulsion - similarity)
    itself = competition.gather(1, index[:, None])[:, 0]
    return (torch.where(same, competition, 0.0).sum(1) - itself) / positives[index]
