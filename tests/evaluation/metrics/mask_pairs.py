"""Random pairs of masks of every awkward kind, for tests that compare with other programs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

KINDS = ("blobs", "dust", "thin", "at the border", "one voxel", "disjoint", "nested", "anisotropic", "one of two empty")
MaskPair = tuple[NDArray, NDArray, tuple[float, ...]]
_SHAPES = ((3, 9, 8), (7, 6, 1), (9, 11), (1, 8), (4, 12, 12))
_SPACINGS = ((1.0, 1.0, 1.0), (1.25, 0.625, 0.7), (0.5, 0.5, 3.0))
_FLAT = ((10.0, 1.5, 1.25), (1.0, 0.02, 5.0), (0.1, 7.0, 7.0))


@st.composite
def mask_pairs(draw: st.DrawFn, kind: str) -> MaskPair:
    """Two masks with a spacing. Only `one of two empty` has an empty one, or two.

    What is drawn is the seed of the shapes: thousands of pairs in seconds, and the pair that fails is printed whole.
    """
    shape = draw(st.sampled_from(_SHAPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spacing = draw(st.sampled_from(_FLAT if kind == "anisotropic" else _SPACINGS))[: len(shape)]
    first, second = _mask(kind, shape, rng), _mask(kind, shape, rng)
    if kind == "nested":
        second = first & _box(shape, rng)
        second.flat[rng.choice(np.flatnonzero(first))] = True
    elif kind == "disjoint":
        second = second & ~first
        if not second.any():
            first, second = np.zeros((2, *shape), bool)
            first.flat[0] = second.flat[-1] = True
    elif kind == "one of two empty":
        emptied = int(rng.integers(1, 4))
        first, second = first & (not emptied & 1), second & (not emptied & 2)
    return (first, second, spacing) if rng.integers(2) else (second, first, spacing)


def longer_axes(pair: MaskPair) -> MaskPair:
    """The same pair without axes of one voxel, which are no axes for borders and distances."""
    first, second, spacing = pair
    kept = tuple(step for step, size in zip(spacing, first.shape, strict=True) if size > 1)
    return first.squeeze(), second.squeeze(), kept


def _mask(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    """A mask that is not empty."""
    mask = np.zeros(shape, bool)
    if kind == "dust":
        mask = rng.random(shape) < rng.uniform(0.05, 0.9)
    elif kind == "thin":
        for _ in range(rng.integers(1, 4)):
            axis = rng.integers(mask.ndim)
            mask |= _box(shape, rng) & (np.indices(shape)[axis] == rng.integers(shape[axis]))
    elif kind == "at the border":
        axis = rng.integers(mask.ndim)
        mask = np.indices(shape)[axis] >= rng.integers(shape[axis])
        mask = mask if rng.integers(2) else np.flip(mask, axis) & _box(shape, rng)
    elif kind != "one voxel":
        for _ in range(rng.integers(1, 4)):
            mask |= _box(shape, rng)
    if not mask.any():
        mask.flat[rng.integers(mask.size)] = True
    return mask


def _box(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray:
    mask = np.zeros(shape, bool)
    starts = [int(rng.integers(size)) for size in shape]
    ends = [int(rng.integers(start, size)) + 1 for start, size in zip(starts, shape, strict=True)]
    mask[tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))] = True
    return mask
