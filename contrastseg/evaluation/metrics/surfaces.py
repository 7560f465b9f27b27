"""Distances between the borders of two masks: exact, and as few of them as will do."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are imported by their first use
from numpy.typing import NDArray

# Seconds per unit of work, fitted on one core over organs near and far, spheres in spheres, sheets and dust; only their
# ratios matter, and only for speed. The transform loses unless queries are many for the size of the box.
_EDT_PER_VOXEL = 8e-8
_TREE_PER_QUERY = 8e-7
_TREE_PER_STEP = 7e-9
_PER_LOOK_UP = 7e-10
_SAMPLE = 32
# Neighbours that are looked up, nearest first, before anything is built: at most so many, in batches of about so many.
_NEIGHBOURS, _BATCH = 512, 16


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

    Example:
        >>> mask = np.zeros((5, 5), dtype=bool)
        >>> mask[1:4, 1:4] = True
        >>> int(border(mask).sum()), bool(border(mask)[2, 2])
        (8, False)
    """
    inner = mask.copy()
    for axis in range(mask.ndim):
        source, inside = np.moveaxis(mask, axis, 0), np.moveaxis(inner, axis, 0)
        inside[1:] &= source[:-1]
        inside[:-1] &= source[1:]
        inside[0] = False
        inside[-1] = False
    return mask & ~inner


class Borders:
    """The borders of two masks that are not empty, and the distances between them at one or more spacings."""

    def __init__(self, prediction: NDArray, reference: NDArray) -> None:
        """Find the borders.

        Args:
            prediction: Boolean, (*spatial), already cropped to the joint box of both masks.
            reference: Boolean, same shape.
        """
        self._prediction, self._reference = border(prediction), border(reference)
        self._found: dict[tuple[float, ...], SurfaceDistances] = {}

    def distances(self, spacing: NDArray) -> SurfaceDistances:
        """Both directed sets of Euclidean distances; the second time at a spacing it is a look-up.

        Args:
            spacing: (ndim,), in array order.
        """
        key = tuple(spacing.tolist())
        if key not in self._found:
            self._found[key] = SurfaceDistances(
                to_reference=_directed(self._prediction, self._reference, spacing),
                to_prediction=_directed(self._reference, self._prediction, spacing),
            )
        return self._found[key]


def _directed(source: NDArray, target: NDArray, spacing: NDArray) -> NDArray:
    # A voxel on both borders is at distance 0: a good prediction leaves little to search for.
    away = (source & ~target).ravel().nonzero()[0]
    distances = np.zeros(int(np.count_nonzero(source)))
    if not away.size:
        return distances
    lengths, left = _looked_up(away, target, spacing)
    if left.size:
        lengths[left] = _searched(away[left], target, spacing)
    distances[: lengths.size] = lengths
    return distances


def _looked_up(points: NDArray, target: NDArray, spacing: NDArray) -> tuple[NDArray, NDArray]:
    """The distances of those points that have the target among their neighbours, and which points do not.

    Neighbours are tried in the order of their distance, so the first hit is the nearest. It ends where a search is
    expected to cost less than the next look.

    Args:
        points: (N,) flat indices into the target.
        target: Boolean, (*spatial).
        spacing: (ndim,), in array order.

    Returns:
        Distances (N,), undefined for the points that are left, and the places (M,) in `points` of these.
    """
    steps, lengths = _neighbours(target.shape, spacing)
    margin = np.abs(steps).max(axis=0, initial=0)
    padded = np.pad(target, [(size, size) for size in margin.tolist()])
    strides = np.array(padded.strides)
    places = (np.stack(np.unravel_index(points, target.shape), axis=1) + margin) @ strides
    jumps, flat = steps @ strides, padded.ravel()
    distances, left = np.empty(len(points)), np.arange(len(points))
    # Equally distant neighbours are looked at together: whichever is hit, the distance is the same.
    ends = np.flatnonzero(np.append(np.diff(lengths) > 1e-9 * lengths[:-1], len(lengths) > 0)) + 1
    start, looked, before = 0, 0, len(left)
    for end in ends.tolist():
        hit = flat[places + jumps[start]]
        for jump in jumps[start + 1 : end]:
            hit |= flat[places + jump]
        distances[left[hit]] = lengths[start]
        left, places = left[~hit], places[~hit]
        looked, start = looked + end - start, end
        if looked >= _BATCH:
            if (before - len(left)) * _TREE_PER_QUERY <= before * looked * _PER_LOOK_UP:
                break
            looked, before = 0, len(left)
    return distances, left


def _neighbours(shape: tuple[int, ...], spacing: NDArray) -> tuple[NDArray, NDArray]:
    """Steps (N, ndim) to all voxels within a radius that holds about `_NEIGHBOURS`; their lengths (N,), ascending."""
    ball = {1: 2.0, 2: math.pi, 3: 4 / 3 * math.pi}[len(shape)]
    radius = float((_NEIGHBOURS * spacing.prod() / ball) ** (1 / len(shape)))
    voxels = [min(int(radius / step), size - 1) for size, step in zip(shape, spacing, strict=True)]
    steps = np.indices([2 * count + 1 for count in voxels]).reshape(len(shape), -1).T - voxels
    lengths = np.sqrt(((steps * spacing) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    order = order[(lengths[order] <= radius) & (lengths[order] > 0)]
    return steps[order], lengths[order]


def _searched(points: NDArray, target: NDArray, spacing: NDArray) -> NDArray:
    """The distance (N,) of each point (N,), a flat index, to the target, by tree or transform."""
    queries = _coordinates(points, target.shape, spacing)
    goal = _coordinates(target.ravel().nonzero()[0], target.shape, spacing)
    tree = scipy.spatial.cKDTree(goal, leafsize=32, balanced_tree=False, compact_nodes=False)
    # Far queries visit many nodes: a sample of distances says whether the tree or the transform is the shorter way.
    sample = np.asarray(tree.query(queries[:: max(1, len(queries) // _SAMPLE)])[0])
    per_query = _TREE_PER_QUERY + _TREE_PER_STEP * float(sample.mean()) / float(spacing.min())
    if per_query * len(queries) <= _EDT_PER_VOXEL * target.size:
        return np.asarray(tree.query(queries)[0])
    return np.asarray(scipy.ndimage.distance_transform_edt(~target, sampling=spacing)).ravel()[points]


def _coordinates(flat: NDArray, shape: tuple[int, ...], spacing: NDArray) -> NDArray:
    return np.stack(np.unravel_index(flat, shape), axis=1) * spacing
