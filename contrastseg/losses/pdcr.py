"""Patch-dragsaw contrastive regularisation (PDCR): features of like patches are dragged together, unlike ones apart.

Source:
    Li et al., Contrastive and Selective Hidden Embeddings for Medical Image Segmentation, IEEE TMI 2022,
    doi 10.1109/TMI.2022.3186677. Ours indexes classes by value and divides by the pixels present in the patch; the
    released 3D code fills classes by rank and ignores the crop at the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE


def grid_positions(shape: Sequence[int], points: int) -> Tensor:
    """Positions on a regular grid of at most `points` cells, (N, dims), int64: the centre of each cell.

    The cell counts are powers of two, doubled along the axis whose cells are longest, so that strides stay alike.
    """
    counts = [1] * len(shape)
    while math.prod(counts) * 2 <= points:
        axis = max(range(len(shape)), key=lambda a: shape[a] / counts[a])
        if counts[axis] * 2 > shape[axis]:
            break
        counts[axis] *= 2
    axes = [((torch.arange(n) + 0.5) * size / n).long() for n, size in zip(counts, shape, strict=True)]
    return torch.cartesian_prod(*axes).reshape(-1, len(shape))


def class_shares(
    label: Tensor, centres: Tensor, sizes: Sequence[Sequence[int]], num_classes: int, ignore_index: int = IGNORE
) -> Tensor:
    """Share of every foreground class in patches of the label.

    Only the patches' own pixels are read: the largest patch is gathered once, the smaller ones are parts of it.

    Args:
        label: (B, *spatial), integer.
        centres: (N, dims), in pixels of `label`.
        sizes: Patch sizes, one number per axis each; even sizes count one pixel more before the centre than after it.
        num_classes: K, background included.
        ignore_index: Label whose pixels are not counted.

    Returns:
        (len(sizes), B, N, K−1): pixels of the class over the pixels present (inside the image, not ignored);
        0 where none is.
    """
    dims = label.ndim - 1
    largest = [max(size[axis] for size in sizes) for axis in range(dims)]
    offsets = torch.cartesian_prod(*[torch.arange(n) - n // 2 for n in largest]).reshape(-1, dims).to(label.device)
    centres = centres.to(label.device)
    where = centres[:, None, :] + offsets[None]
    extent = torch.tensor(label.shape[1:], device=label.device)
    inside = ((where >= 0) & (where < extent)).all(-1)
    where = torch.minimum(where.clamp(min=0), extent - 1)
    pixels: Any = (slice(None), *where.unbind(-1))
    values = label[pixels]
    present = inside[None] & (values != ignore_index)
    members = torch.stack(
        [
            (
                (offsets >= -torch.tensor([s // 2 for s in size], device=label.device))
                & (offsets < torch.tensor([s - s // 2 for s in size], device=label.device))
            ).all(-1)
            for size in sizes
        ]
    ).float()
    # (sizes, offsets) @ (B, N, offsets) for each class, so that nothing of size K × offsets × sizes is ever made.
    counts = torch.einsum("so,bno->sbn", members, present.float())
    shares = [
        torch.einsum("so,bno->sbn", members, ((values == c) & present).float()) / counts.clamp(min=1)
        for c in range(1, num_classes)
    ]
    return torch.stack(shares, dim=-1)


def divergence(rows: Tensor, columns: Tensor) -> Tensor:
    """d_ij = Σ_c |φ_i^c − φ_j^c| for shares (..., N, C) and (..., M, C): (..., N, M)."""
    return torch.cdist(rows.float(), columns.float(), p=1)


def dragsaw_loss(rows: Tensor, columns: Tensor, divergences: Tensor, temperature: float = 0.5) -> Tensor:
    """mean_{b,i,j} [ −a_ij s_ij + log Σ_k exp(d_ik s_ik) ], a = 1 − d, s = cos/τ minus its maximum over the tensor.

    The maximum is not a matter of taste here: d weights s, so the constant does not cancel. With s ≤ 0 and d ≥ 0 the
    exponentials cannot overflow at any temperature.

    Args:
        rows: (B, N, C) features.
        columns: (B, M, C) features; the same as `rows` within a layer, another layer's for the cross-layer term.
        divergences: (S, B, N, M) or (B, N, M); the loss is averaged over S patch sizes, not the divergences.
        temperature: τ.

    Returns:
        A scalar.
    """
    similarity = F.normalize(rows.float(), dim=-1) @ F.normalize(columns.float(), dim=-1).transpose(-1, -2)
    similarity = similarity / temperature
    similarity = similarity - similarity.max()
    attraction = (1 - divergences) * similarity
    repulsion = torch.logsumexp(divergences * similarity, dim=-1, keepdim=True)
    return (repulsion - attraction).mean()


def gather_features(features: Tensor, positions: Tensor) -> Tensor:
    """Vectors (B, N, C) of a map (B, C, *spatial) at positions (N, dims)."""
    positions = positions.to(features.device)
    index: Any = (slice(None), slice(None), *positions.unbind(-1))
    return features[index].transpose(1, 2)


def patch_centres(positions: Tensor, stride: Sequence[int]) -> Tensor:
    """Centres (N, dims) in input pixels of the units at `positions` of a map with this stride."""
    step = torch.tensor(stride)
    return positions * step + step // 2
