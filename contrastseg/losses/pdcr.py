"""Patch-dragsaw contrastive regularisation (PDCR): features of like patches are dragged together, unlike ones apart.

Source:
    Li et al., Contrastive and Selective Hidden Embeddings for Medical Image Segmentation, IEEE TMI 2022,
    doi 10.1109/TMI.2022.3186677. Ours indexes classes by value and divides by the pixels present in the patch; the
    released 3D code fills classes by rank and ignores the crop at the border.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE
from contrastseg.tensors import to_device


def grid_positions(shape: Sequence[int], points: int) -> Tensor:
    """Positions on a regular grid of at most `points` cells, (N, dims), int64: the centre of each cell.

    The cell counts are powers of two, doubled along the axis whose cells are longest, so that strides stay alike.

    Example:
        >>> grid_positions((8, 8), points=4)
        tensor([[2, 2],
                [2, 6],
                [6, 2],
                [6, 6]])
    """
    counts = [1] * len(shape)
    while math.prod(counts) * 2 <= points:
        axis = max(range(len(shape)), key=lambda a: shape[a] / counts[a])
        if counts[axis] * 2 > shape[axis]:
            break
        counts[axis] *= 2
    axes = [((torch.arange(n) + 0.5) * size / n).long() for n, size in zip(counts, shape, strict=True)]
    return torch.cartesian_prod(*axes).reshape(-1, len(shape))


@lru_cache(maxsize=32)
def _patch_pixels(sizes: tuple[tuple[int, ...], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Offsets (O, dims) of the largest patch's pixels from its centre, and which of them each size has, (sizes, O)."""
    dims = len(sizes[0])
    largest = [max(size[axis] for size in sizes) for axis in range(dims)]
    offsets = torch.cartesian_prod(*[torch.arange(n) - n // 2 for n in largest]).reshape(-1, dims)
    before = torch.tensor([[n // 2 for n in size] for size in sizes])[:, None]
    after = torch.tensor([[n - n // 2 for n in size] for size in sizes])[:, None]
    members = ((offsets >= -before) & (offsets < after)).all(-1).float()
    return to_device(offsets, device), to_device(members, device)


def _patches(
    label: Tensor, centres: Tensor, sizes: Sequence[Sequence[int]], ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels (B, N, O) in the largest patch around each centre, which of them count, and what each size has of them."""
    offsets, members = _patch_pixels(tuple(tuple(size) for size in sizes), label.device)
    where = centres.to(label.device)[:, None, :] + offsets[None]
    axes = [axis.clamp(0, extent - 1) for axis, extent in zip(where.unbind(-1), label.shape[1:], strict=True)]
    inside = (torch.stack(axes, dim=-1) == where).all(-1)
    pixels: Any = (slice(None), *axes)
    values = label[pixels]
    return values, inside[None] & (values != ignore_index), members


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

    Example:
        >>> label = torch.zeros(1, 4, 4, dtype=torch.int64)
        >>> label[:, :, :2] = 1
        >>> class_shares(label, torch.tensor([[2, 2]]), [(2, 2), (4, 4)], num_classes=2).flatten()
        tensor([0.5000, 0.5000])
    """
    values, present, members = _patches(label, centres, sizes, ignore_index)
    # (sizes, offsets) @ (B, N, offsets) for each class, so that no array of size K × offsets × sizes is made.
    counts = torch.einsum("so,bno->sbn", members, present.float())
    shares = [
        torch.einsum("so,bno->sbn", members, ((values == c) & present).float()) / counts.clamp(min=1)
        for c in range(1, num_classes)
    ]
    return torch.stack(shares, dim=-1)


def patch_dice(
    label: Tensor, centres: Tensor, sizes: Sequence[Sequence[int]], num_classes: int, ignore_index: int = IGNORE
) -> Tensor:
    """Dice of every two label patches laid over each other: 2 Σ_c |A_c ∩ B_c| / Σ_c (|A_c| + |B_c|).

    An affinity in place of 1 − `divergence`, our reading of the paper's ablation "Dice similarity metric".

    Args:
        label: (B, *spatial), integer.
        centres: (N, dims), in pixels of `label`.
        sizes: Patch sizes, one number per axis each.
        num_classes: K, background included; foreground classes are summed over.
        ignore_index: Label whose pixels are in no class.

    Returns:
        (len(sizes), B, N, N), in [0, 1]; 1 where neither patch has foreground.

    Example:
        >>> label = torch.zeros(1, 4, 8, dtype=torch.int64)
        >>> label[:, :, 1::2] = 1
        >>> patch_dice(label, torch.tensor([[2, 2], [2, 5]]), [(2, 2)], num_classes=2)[0, 0]
        tensor([[1., 0.],
                [0., 1.]])
    """
    values, present, members = _patches(label, centres, sizes, ignore_index)
    shared = torch.zeros((), device=label.device)
    sums = torch.zeros((), device=label.device)
    for c in range(1, num_classes):
        masks = ((values == c) & present).float()
        shared = shared + torch.einsum("so,bno,bmo->sbnm", members, masks, masks)
        sums = sums + torch.einsum("so,bno->sbn", members, masks)
    both = sums.unsqueeze(-1) + sums.unsqueeze(-2)
    return torch.where(both > 0, 2 * shared / both.clamp(min=1), 1.0)


def divergence(rows: Tensor, columns: Tensor) -> Tensor:
    """d_ij = Σ_c |φ_i^c − φ_j^c| for shares (..., N, C) and (..., M, C): (..., N, M).

    Example:
        >>> shares = torch.tensor([[0.2], [0.5]])
        >>> divergence(shares, shares)
        tensor([[0.0000, 0.3000],
                [0.3000, 0.0000]])
    """
    return torch.cdist(rows.float(), columns.float(), p=1)


def _similarity(rows: Tensor, columns: Tensor, temperature: float) -> Tensor:
    """cos/τ of all pairs, (B, N, M), in float32."""
    cosine = F.normalize(rows.float(), dim=-1) @ F.normalize(columns.float(), dim=-1).transpose(-1, -2)
    return cosine / temperature


def _reduced(pairs: Tensor, reduction: str) -> Tensor:
    """Mean over (S, B, N, M) or (B, N, M), or the sum over all but S."""
    if reduction == "mean":
        return pairs.mean()
    return pairs.sum() / (len(pairs) if pairs.dim() == 4 else 1)


def dragsaw_loss(
    rows: Tensor, columns: Tensor, divergences: Tensor, temperature: float = 0.5, reduction: str = "mean"
) -> Tensor:
    """mean_{b,i,j} [ −a_ij s_ij + log Σ_k exp(d_ik s_ik) ], a = 1 − d, s = cos/τ minus its maximum over the tensor.

    The maximum is not a matter of taste here: d weights s, so the constant does not cancel. With s ≤ 0 and d ≥ 0 the
    exponentials cannot overflow at any temperature.

    Args:
        rows: (B, N, C) features.
        columns: (B, M, C) features; the same as `rows` within a layer, another layer's for the cross-layer term.
        divergences: (S, B, N, M) or (B, N, M); the loss is averaged over S patch sizes, not the divergences.
        temperature: τ.
        reduction: `mean`, or `sum` over b, i and j as in the released 2D code.

    Returns:
        A scalar.

    Example:
        >>> features, shares = torch.eye(2)[None], torch.tensor([[[0.0], [1.0]]])
        >>> round(dragsaw_loss(features, features, divergence(shares, shares)).item(), 4)
        0.1269
    """
    similarity = _similarity(rows, columns, temperature)
    similarity = similarity - similarity.max()
    attraction = (1 - divergences) * similarity
    repulsion = torch.logsumexp(divergences * similarity, dim=-1, keepdim=True)
    return _reduced(repulsion - attraction, reduction)


def affinity_regression(
    rows: Tensor,
    columns: Tensor,
    divergences: Tensor,
    temperature: float = 0.5,
    power: int = 1,
    reduction: str = "mean",
) -> Tensor:
    """mean_{b,i,j} |σ(cos/τ) − a_ij|^power, a = 1 − d and σ the sigmoid.

    The paper's ablations "L1-norm" and "L2-norm". The first is what the compiled criterion that the release still holds
    does (`2D/criterions/__pycache__/bcl.cpython-36.pyc`, `bclzq`); of the second, no code is left.

    Args:
        rows: (B, N, C) features.
        columns: (B, M, C) features.
        divergences: (S, B, N, M) or (B, N, M).
        temperature: τ.
        power: 1 or 2.
        reduction: `mean`, or `sum` over b, i and j.

    Returns:
        A scalar.

    Example:
        >>> features, shares = torch.eye(2)[None], torch.tensor([[[0.0], [1.0]]])
        >>> round(affinity_regression(features, features, divergence(shares, shares)).item(), 4)
        0.3096
    """
    difference = torch.sigmoid(_similarity(rows, columns, temperature)) - (1 - divergences)
    return _reduced(difference.abs() if power == 1 else difference.square(), reduction)


def guarded(loss: Tensor, weight: float, rule: Literal["divide", "drop"], limit: float = 100.0) -> Tensor:
    """A loss whose weighted value is above a limit, made small or dropped; any other stays as it is.

    The authors' compiled criteria have it, for the sum over images and pairs of one layer and one patch size: `drop` is
    that of February 2021 (`2D/criterions/__pycache__/bcl.cpython-38.pyc`), `divide` that of November 2021
    (`bcl.cpython-36.pyc`, `decoder_bcl_rf.cpython-36.pyc` and `multi_layer_cl.cpython-36.pyc`). The released source has
    lost it.

    Args:
        loss: A scalar, without its weight.
        weight: What it will be multiplied by.
        rule: `divide` multiplies by 0.001, `drop` by 0.
        limit: Of the weighted value.

    Returns:
        The scalar, still without its weight.

    Example:
        >>> [guarded(torch.tensor(x), 0.1, "divide").item() for x in (900.0, 2000.0)]
        [900.0, 2.0]
    """
    factor = 0.001 if rule == "divide" else 0.0
    return loss * torch.where(weight * loss.detach() > limit, factor, 1.0)


def gather_features(features: Tensor, positions: Tensor) -> Tensor:
    """Vectors (B, N, C) of a map (B, C, *spatial) at positions (N, dims).

    Example:
        >>> features = torch.arange(8.0).reshape(1, 2, 2, 2)
        >>> gather_features(features, torch.tensor([[0, 1]]))
        tensor([[[1., 5.]]])
    """
    positions = positions.to(features.device)
    index: Any = (slice(None), slice(None), *positions.unbind(-1))
    return features[index].transpose(1, 2)


def patch_centres(positions: Tensor, stride: Sequence[int]) -> Tensor:
    """Centres (N, dims) in input pixels of the units at `positions` of a map with this stride.

    Example:
        >>> patch_centres(torch.tensor([[0, 0], [1, 3]]), stride=(4, 4))
        tensor([[ 2,  2],
                [ 6, 14]])
    """
    step = torch.tensor(stride)
    return positions * step + step // 2


@lru_cache(maxsize=64)
def grid_on_device(
    shape: tuple[int, ...], points: int, stride: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Make `grid_positions` of a map and their `patch_centres` on the map's device; they are sent there once and kept.

    Args:
        shape: Of the map, without batch and channels.
        points: How many positions at most.
        stride: Of the map along each axis.
        device: Of the map.

    Returns:
        Positions (N, dims) in units of the map, and centres (N, dims) in input pixels; int64.

    Example:
        >>> positions, centres = grid_on_device((8, 8), 4, (2, 2), torch.device("cpu"))
        >>> positions[0].tolist(), centres[0].tolist()
        ([2, 2], [5, 5])
    """
    positions = grid_positions(shape, points)
    return to_device(positions, device), to_device(patch_centres(positions, stride), device)
