"""InfoNCE: an embedding is to be closer to its positive than to any negative, by cosine similarity over τ.

Every form is one matrix product of unit vectors and a log-sum-exp over its rows: memory is what the pairs need, never
pairs times width. All is computed in float32 at least, whatever autocast says: at τ = 0.005 a bfloat16 similarity is
off by one whole logit.

Sources:
    van den Oord et al., Representation Learning with Contrastive Predictive Coding, arXiv 1807.03748 (the loss);
    Chen et al., A Simple Framework for Contrastive Learning, ICML 2020 (NT-Xent); He et al., Momentum Contrast, CVPR
    2020 (the queue); Chaitanya et al., NeurIPS 2020 (several positives, each against the negatives alone); Wang et al.,
    Dense Contrastive Learning, CVPR 2021 (dense correspondences).
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.tensors import values_at_hand

# Finite, so that a row without any negative gives a loss of 0 with a gradient of 0 instead of NaN.
_EXCLUDED = -1e30
# What `cross_entropy` leaves out.
_NO_TARGET = -100


def unit_vectors(vectors: Tensor) -> Tensor:
    """Vectors (..., D) of length 1, in float32 at least; zero stays zero, with a finite gradient.

    Example:
        >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    precise = vectors.float() if vectors.dtype in (torch.float16, torch.bfloat16) else vectors
    return F.normalize(precise, dim=-1, eps=1e-6)


def similarities(rows: Tensor, columns: Tensor, temperature: float) -> Tensor:
    """Compute cos(row, column) / τ of every pair, (..., N, M), in float32 at least; outside autocast.

    Args:
        rows: (..., N, D).
        columns: (..., M, D).
        temperature: τ.

    Example:
        >>> similarities(torch.eye(2), torch.eye(2), temperature=0.5)
        tensor([[2.0000, 0.0000],
                [0.0000, 2.0000]])
    """
    with torch.autocast(rows.device.type, enabled=False):
        # The vectors are scaled, not the matrix: one pass over it less.
        scale = temperature**-0.5
        return (unit_vectors(rows) * scale) @ (unit_vectors(columns) * scale).transpose(-1, -2)


def log_negatives(similarity: Tensor, negatives: Tensor | None = None) -> Tensor:
    """Log Σ exp(similarity) over the last axis, of the columns where `negatives` holds; very low where none does.

    Example:
        >>> similarity = torch.zeros(1, 4)
        >>> mask = torch.tensor([[True, True, False, False]])
        >>> round(log_negatives(similarity, mask).item(), 4)  # ln 2
        0.6931
    """
    if negatives is not None:
        similarity = similarity.masked_fill(~negatives, _EXCLUDED)
    return torch.logsumexp(similarity, dim=-1)


def nt_xent_loss(first: Tensor, second: Tensor, temperature: float = 0.5) -> Tensor:
    """NT-Xent over all 2N embeddings of two views: −log exp(s_i,p(i)) / Σ_{k≠i} exp(s_ik), s = cos/τ, averaged.

    Args:
        first: (..., N, D), one view. Leading axes are contrasted apart from each other (regions within an image, say).
        second: (..., N, D), the other view; row i of each are positives.
        temperature: τ.

    Returns:
        A scalar.

    Example:
        >>> views = torch.eye(4)  # every image alike in both views, and unlike the others
        >>> round(nt_xent_loss(views, views).item(), 4)
        0.5944
        >>> round(nt_xent_loss(views, views.flip(0)).item(), 4)  # the wrong pairs
        2.5944
    """
    both = torch.cat([first, second], dim=-2)
    similarity = similarities(both, both, temperature)
    similarity.diagonal(dim1=-2, dim2=-1).fill_(-torch.inf)
    count = first.shape[-2]
    partner = torch.arange(2 * count, device=first.device).roll(count)
    rows = similarity.flatten(0, -2)
    return F.cross_entropy(rows, partner.repeat(len(rows) // (2 * count)))


def info_nce_loss(
    queries: Tensor,
    positives: Tensor,
    negatives: Tensor,
    temperature: float = 0.2,
    valid: Tensor | None = None,
) -> Tensor:
    """−log exp(q_i·k_i) / (exp(q_i·k_i) + Σ_n exp(q_i·n)), products of unit vectors over τ, averaged over queries.

    Args:
        queries: (N, D).
        positives: (N, D), the key of each query.
        negatives: (M, D), shared by all queries (MoCo's queue).
        temperature: τ.
        valid: (N, M) or (M,), which negatives count for which query; all if unset. A query without any costs nothing.

    Returns:
        A scalar.

    Example:
        >>> queries, queue = torch.eye(4)[:2], torch.eye(4)[2:]
        >>> round(info_nce_loss(queries, queries, queue).item(), 4)
        0.0134
        >>> round(info_nce_loss(queries, queries.flip(0), queue).item(), 4)
        1.0986
    """
    positive = (unit_vectors(queries) * unit_vectors(positives)).sum(-1) / temperature
    others = log_negatives(similarities(queries, negatives, temperature), valid)
    return F.softplus(others - positive).mean()


def paired_info_nce_loss(similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    """mean_i mean_{p ∈ P(i)} −log exp(s_ip) / (exp(s_ip) + Σ_{n ∈ N(i)} exp(s_in)): a positive never meets another.

    Args:
        similarity: (..., N, M), as `similarities` gives it.
        positives: (..., N, M), bool, P.
        negatives: (..., N, M), bool, N.

    Returns:
        A scalar: the mean over rows that have a positive, 0 if none has.

    Example:
        >>> similarity = torch.tensor([[2.0, 0.0, 0.0]])
        >>> positives = torch.tensor([[True, False, False]])
        >>> round(paired_info_nce_loss(similarity, positives, ~positives).item(), 4)
        0.2395
    """
    pairs = F.softplus(log_negatives(similarity, negatives).unsqueeze(-1) - similarity) * positives
    counts = positives.sum(-1)
    return (pairs.sum(-1) / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)


def dense_info_nce_loss(
    queries: Tensor,
    keys: Tensor,
    matches: Tensor,
    temperature: float = 0.1,
    negatives: Collection[str] = ("same_image", "batch"),
    queue: Tensor | None = None,
    queue_valid: Tensor | None = None,
) -> Tensor:
    """InfoNCE of positions: −(1/|valid|) Σ_i log exp(q_i·k_c(i)) / (exp(q_i·k_c(i)) + Σ_{n ∈ N} exp(q_i·n)).

    Products are of unit vectors, over τ. Positions without a correspondence take no part.

    Args:
        queries: (B, N, D), embeddings of one view's positions.
        keys: (B, M, D), of the other view's.
        matches: (B, N), int64: c, the key of the same image that corresponds to each query, −1 where there is none.
        temperature: τ.
        negatives: What N holds: `same_image`, the other keys of the query's image; `batch`, all keys of the other
            images; `queue`, the vectors of `queue`.
        queue: (Q, D), embeddings of earlier batches; needed if, and only if, `negatives` names it.
        queue_valid: (B, Q), which of them count for the queries of which image; all if unset.

    Returns:
        A scalar; 0 where no position has a correspondence.

    Raises:
        ValueError: `negatives` names something else, nothing, or a queue that is not given.

    Example:
        >>> maps = torch.eye(3)[None]  # one image, three positions
        >>> matches = torch.tensor([[0, 1, -1]])
        >>> round(dense_info_nce_loss(maps, maps, matches).item(), 4)
        0.0001
    """
    if not negatives or not set(negatives) <= {"same_image", "batch", "queue"}:
        raise ValueError(f"negatives are some of same_image, batch, queue; got {list(negatives)}")
    if ("queue" in negatives) != (queue is not None):
        raise ValueError("a queue is given if, and only if, negatives names it")
    if values_at_hand(matches):
        image, position = torch.nonzero(matches >= 0, as_tuple=True)
        rows, match = queries[image, position], matches[image, position]
    else:
        image = torch.arange(len(matches), device=matches.device).repeat_interleave(matches.shape[1])
        rows, match = queries.flatten(0, 1), matches.flatten()
    matched, per_image = match >= 0, keys.shape[1]
    positive_column, number = image * per_image + match.clamp(min=0), matched.sum().clamp(min=1)
    every_key = {"same_image", "batch"} <= set(negatives)
    if every_key and queue is None:
        similarity = similarities(rows, keys.flatten(0, 1), temperature)
        target = positive_column.masked_fill(~matched, _NO_TARGET)
        return F.cross_entropy(similarity, target, ignore_index=_NO_TARGET, reduction="sum") / number
    positive = (unit_vectors(rows) * unit_vectors(keys.flatten(0, 1)[positive_column])).sum(-1) / temperature
    groups = []
    if {"same_image", "batch"} & set(negatives):
        similarity = similarities(rows, keys.flatten(0, 1), temperature).scatter(1, positive_column[:, None], _EXCLUDED)
        valid = None
        if not every_key:
            owner = torch.arange(len(keys), device=keys.device).repeat_interleave(per_image)
            valid = (image[:, None] == owner) == ("same_image" in negatives)
        groups.append(log_negatives(similarity, valid))
    if queue is not None:
        counting = None if queue_valid is None else queue_valid[image]
        groups.append(log_negatives(similarities(rows, queue, temperature), counting))
    others = torch.stack(groups).logsumexp(0)
    return (F.softplus(others - positive) * matched).sum() / number
