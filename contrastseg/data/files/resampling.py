"""Resampling between grids that share their outer borders (voxel centres at half-integer positions)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np


def resample_image(
    array: np.ndarray, shape: Sequence[int], *, order: Literal[0, 1, 3] = 1, antialias: bool = False
) -> np.ndarray:
    """Resample one scalar field.

    Args:
        array: Field of shape (*spatial), any real type.
        shape: The wanted spatial shape. Equal shapes return the values unchanged.
        order: Of the spline: 0 takes the nearest voxel, 1 is linear, 3 cubic, cut to the range of the source.
        antialias: Smooth along every axis that shrinks, with sigma = (ratio - 1) / 2 samples as scikit-image does;
            of order 0 nothing is smoothed.

    Returns:
        float32 array of `shape`.
    """
    source = np.asarray(array, dtype=np.float32)
    target = tuple(int(size) for size in shape)
    if source.shape == target:
        return source
    if order == 0:
        return resample_label(source, target)
    from scipy import ndimage  # not needed to train or to score: a fifth of a second of every job's start

    ratios = [old / new for old, new in zip(source.shape, target, strict=True)]
    if antialias and max(ratios) > 1:
        source = ndimage.gaussian_filter(source, [max(0.0, (ratio - 1) / 2) for ratio in ratios], mode="nearest")
    # grid_mode puts the borders of both grids, not the outer voxel centres, on top of each other.
    factors = [new / old for old, new in zip(source.shape, target, strict=True)]
    result = np.asarray(ndimage.zoom(source, factors, order=order, mode="nearest", grid_mode=True, prefilter=order > 1))
    return result if order == 1 else np.clip(result, source.min(), source.max())


def resample_label(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Resample a label map to its nearest voxels: no value arises that was not there.

    Args:
        array: Labels of shape (*spatial).
        shape: The wanted spatial shape.

    Returns:
        Array of `shape` in the type of `array`.
    """
    result = np.asarray(array)
    for axis, (old, new) in enumerate(zip(result.shape, shape, strict=True)):
        if old != new:
            result = result.take(((np.arange(new) + 0.5) * old / new).astype(np.intp), axis=axis)
    return result
