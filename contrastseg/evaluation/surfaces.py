"""Distances between the borders of two masks: exact, and as few of them as will do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

# Seconds per unit of work, measured on one core; only their ratios matter, and only for speed.
_EDT_PER_VOXEL = 1.6e-7
_TREE_PER_QUERY = 1.6e-6
_TREE_PER_STEP = 6e-8
_SAMPLE = 32


@dataclass(frozen=True)
class SurfaceDistances:
    """Border-to-border distances in the unit of the spacing, one per border voxel of each mask."""

    to_reference: NDArray
    to_prediction: NDArray


def border(mask: NDArray) -> NDArray:
    """The voxels of a mask with a face neighbour outside it; beyond the array counts as outside.

    Equal to `mask ^ binary_erosion(mask)` with face connectivity (MONAI, medpy), some ten times faster.

    Args:
        mask: Boolean, (*spatial).

    Returns:
        Boolean, (*spatial).
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        source, inside = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        inside[1:] &= source[:-1]
        inside[:-1] &= source[1:]
        inside[0] = False
        inside[-1] = False
    return mask & ~inner


def surface_distances(prediction: NDArray, reference: NDArray, spacing: NDArray) -> SurfaceDistances:
    """Both directed sets of Euclidean distances between the borders of two masks that are not empty.

    Args:
        prediction: Boolean, (*spatial), already cropped to the joint box of both masks.
        reference: Boolean, same shape.
        spacing: (ndim,), in array order.
    """
    borders = border(prediction), border(reference)
    return SurfaceDistances(
        to_reference=_directed(borders[0], borders[1], spacing),
        to_prediction=_directed(borders[1], borders[0], spacing),
    )


def _directed(source: NDArray, target: NDArray, spacing: NDArray) -> NDArray:
    # A voxel on both borders is at distance 0: a good prediction leaves little to search for.
    away = (source & ~target).ravel().nonzero()[0]
    distances = np.zeros(int(np.count_nonzero(source)))
    if not away.size:
        return distances
    points = _coordinates(away, source.shape, spacing)
    goal = target.ravel().nonzero()[0]
    tree = cKDTree(_coordinates(goal, source.shape, spacing), balanced_tree=False, compact_nodes=False)
    # Far queries visit many nodes: a sample of distances says whether the tree or the transform is the shorter way.
    sample = np.asarray(tree.query(points[:: max(1, len(points) // _SAMPLE)])[0])
    per_query = _TREE_PER_QUERY + _TREE_PER_STEP * float(sample.mean()) / float(spacing.min())
    if per_query * len(points) <= _EDT_PER_VOXEL * source.size:
        found = np.asarray(tree.query(points)[0])
    else:
        found = distance_transform_edt(~target, sampling=spacing).ravel()[away]
    distances[: found.size] = found
    return distances


def _coordinates(flat: NDArray, shape: tuple[int, ...], spacing: NDArray) -> NDArray:
    return np.stack(np.unravel_index(flat, shape), axis=1) * spacing
