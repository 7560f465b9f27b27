"""Signed distance maps of label maps, the regression to them, and their agreement with a segmentation."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.labels import IGNORE

_AT_ONCE = {"cpu": 2**18}
"""Sums that the search for the nearest pixel holds at once: as many as a CPU's cache holds, or a few launches take."""


def signed_distances(
    label: Tensor,
    num_classes: int,
    ignore_index: int = IGNORE,
    *,
    border: Literal["between", "inner"] = "between",
    absent: Literal["unknown", "zero"] = "unknown",
) -> Tensor:
    """Signed distance to the border of every foreground class: negative inside, positive outside, in [−1, 1].

    Each side is divided by its own largest distance in the sample. A class that fills all has no border there: its map
    is NaN. Distances are in pixels; they are exact, and computed on the label's device.

    Args:
        label: (B, *spatial), integer.
        num_classes: K, background included.
        ignore_index: Label of unknown pixels: NaN in every map.
        border: Where the distance is 0: `between` the pixels of the class and the others, so at none of them, or at the
            class's outermost pixels (`inner`, as DTC's released code has it).
        absent: The map of a class that the sample lacks: `unknown`, which is NaN, or `zero` (DTC).

    Returns:
        (B, K−1, *spatial), float32, on the label's device.

    Example:
        >>> signed_distances(torch.tensor([[[0, 0, 0, 1, 1]]]), num_classes=2)
        tensor([[[[ 1.0000,  0.6667,  0.3333, -0.5000, -1.0000]]]])
        >>> signed_distances(torch.tensor([[[0, 0, 0, 1, 1]]]), num_classes=2, border="inner")
        tensor([[[[ 1.0000,  0.6667,  0.3333,  0.0000, -1.0000]]]])
    """
    spatial = tuple(range(2, label.dim() + 1))
    classes = torch.arange(1, num_classes, device=label.device).reshape(-1, *[1] * len(spatial))
    inside = label.unsqueeze(1) == classes
    outwards = _distances_to(inside.flatten(0, 1)).reshape(inside.shape)
    inwards = _distances_to(~inside.flatten(0, 1)).reshape(inside.shape)
    maps = outwards / outwards.amax(spatial, keepdim=True) - inwards / inwards.amax(spatial, keepdim=True)
    if border == "inner":
        maps = torch.where(inwards == 1, 0.0, maps)
    present, complete = inside.amax(spatial, keepdim=True), inside.amin(spatial, keepdim=True)
    maps = torch.where(present, maps, torch.nan if absent == "unknown" else 0.0)
    unknown = complete | (label == ignore_index).unsqueeze(1)
    return torch.where(unknown, torch.nan, maps).float()


def _distances_to(targets: Tensor) -> Tensor:
    """Distance of every pixel to the nearest true one of its sample, float64: (N, *spatial); large where none is.

    One axis after the other: the least of the squared distances found so far plus those along the axis. Sums of squares
    of whole numbers are exact in float32 up to 2²⁴.
    """
    beyond = float(sum(size**2 for size in targets.shape[1:]))
    squared = torch.where(targets, 0.0, beyond)
    for axis in range(1, targets.dim()):
        moved = squared.movedim(axis, -1)
        length = moved.shape[-1]
        along = torch.arange(length, dtype=squared.dtype, device=squared.device)
        steps = (along.unsqueeze(1) - along).square()
        rows = moved.reshape(-1, length).split(max(1, _AT_ONCE.get(targets.device.type, 2**26) // length**2))
        nearest = torch.cat([(part.unsqueeze(1) + steps).amin(dim=-1) for part in rows])
        squared = nearest.reshape(moved.shape).movedim(-1, axis)
    return squared.double().sqrt()


def distance_regression_loss(predicted: Tensor, distances: Tensor) -> Tensor:
    """Compute the mean squared difference where a distance is known; 0 where none is.

    Args:
        predicted: (B, K−1, *spatial), in [−1, 1].
        distances: The same shape, NaN where unknown (see `signed_distances`).

    Example:
        >>> distances = torch.tensor([[[[0.5, float("nan")]]]])
        >>> distance_regression_loss(torch.zeros(1, 1, 1, 2), distances).item()
        0.25
    """
    unknown = torch.isnan(distances)
    predicted = predicted.float()
    # What is unknown is taken as predicted rightly: no difference, no gradient.
    target = torch.where(unknown, predicted.detach(), distances)
    known = unknown.numel() - torch.count_nonzero(unknown)
    return F.mse_loss(predicted, target, reduction="sum") / known.clamp(min=1)


def dual_task_loss(logits: Tensor, distances: Tensor, steepness: float = 1500.0) -> Tensor:
    """Compute how far the mask of predicted distances is from the predicted segmentation: mean (σ(−k z) − p)².

    Source: dual-task consistency (Luo et al., AAAI 2021). Gradients flow to both.

    Args:
        logits: (B, K, *spatial); p is their softmax without the background.
        distances: (B, K−1, *spatial), z, negative inside (see `signed_distances`).
        steepness: k.

    Returns:
        A scalar, float32.

    Example:
        >>> logits = torch.tensor([0.0, 20.0]).reshape(1, 2, 1)
        >>> inside, outside = torch.full((1, 1, 1), -0.1), torch.full((1, 1, 1), 0.1)
        >>> round(dual_task_loss(logits, inside).item(), 4), round(dual_task_loss(logits, outside).item(), 4)
        (0.0, 1.0)
    """
    probabilities = torch.softmax(logits.float(), dim=1)[:, 1:]
    return F.mse_loss(torch.sigmoid(-steepness * distances.float()), probabilities)
