"""Whole cases through a network: sliding windows with Gaussian weights, batched, on the device."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Predictor = Callable[[Tensor], Tensor]


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Where windows start along an axis, evenly spread, at least `overlap` of a window shared by neighbours."""
    if size <= window:
        return [0]
    count = math.ceil((size - window) / max(1.0, window * (1 - overlap))) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


@lru_cache(maxsize=4)
def gaussian_weights(window: tuple[int, ...], device: torch.device) -> Tensor:
    """(*window) weights that fall towards the border, σ an eighth of the window; nowhere 0. Made once, on the CPU."""
    weights = torch.ones(())
    for n in window:
        x = (torch.arange(n) - (n - 1) / 2) / (n / 8)
        weights = weights[..., None] * torch.exp(-0.5 * x**2)
    return weights.clamp(min=float(weights.max()) * 1e-3).to(device)


def sliding_logits(
    predictor: Predictor, images: Tensor, window: Sequence[int], overlap: float = 0.5, batch_size: int = 8
) -> Tensor:
    """Logits (N, K, *spatial), float32, of images (N, C, *spatial) larger or smaller than the window.

    Smaller axes are continued by their border up to the window, as training continues them.
    """
    shape = images.shape[2:]
    missing = [max(0, n - size) for n, size in zip(window, shape, strict=True)]
    before = [m // 2 for m in missing]
    padding = [amount for b, m in reversed(list(zip(before, missing, strict=True))) for amount in (b, m - b)]
    padded = F.pad(images, padding, mode="replicate") if any(missing) else images
    starts = [window_starts(size, n, overlap) for size, n in zip(padded.shape[2:], window, strict=True)]
    corners = list(itertools.product(range(len(images)), *starts))
    weights = gaussian_weights(tuple(window), images.device)
    single = all(len(axis) == 1 for axis in starts)
    total: Tensor | None = None
    weight_sum = torch.zeros(padded.shape[2:], device=images.device)
    for first in range(0, len(corners), batch_size):
        group = corners[first : first + batch_size]
        where: list[Any] = [
            (index, slice(None), *(slice(c, c + n) for c, n in zip(corner, window, strict=True)))
            for index, *corner in group
        ]
        logits = predictor(torch.stack([padded[w] for w in where])).float()
        if total is None:
            total = torch.zeros((len(images), logits.shape[1], *padded.shape[2:]), device=images.device)
        for place, values in zip(where, logits, strict=True):
            if single:
                total[place].add_(values)
            else:
                total[place].addcmul_(values, weights)
            if place[0] == 0:
                weight_sum[place[2:]].add_(1 if single else weights)
    assert total is not None
    total /= weight_sum
    crop = tuple(slice(b, b + size) for b, size in zip(before, shape, strict=True))
    return total[(slice(None), slice(None), *crop)]


@torch.inference_mode()
def case_logits(
    predictor: Predictor,
    image: np.ndarray,
    scale: float,
    spatial_dims: int,
    window: Sequence[int],
    device: torch.device,
    overlap: float = 0.5,
    batch_size: int = 8,
) -> np.ndarray:
    """Logits (K, *spatial) of a prepared image (C, *spatial); a 2D network takes a volume slice by slice."""
    tensor = torch.from_numpy(np.array(image)).to(device).float() * scale
    slices = tensor.ndim == 4 and spatial_dims == 2
    images = tensor.movedim(1, 0) if slices else tensor[None]
    logits = sliding_logits(predictor, images, window, overlap, batch_size)
    logits = logits.movedim(0, 1) if slices else logits[0]
    return logits.cpu().numpy()
