"""A seeded Halton sequence: points that cover a cube evenly, the same on every machine and for every method."""

from __future__ import annotations

import hashlib

_BASES = (2, 3, 5)


def halton(index: int, dimensions: int, seed: int = 0) -> tuple[float, ...]:
    """One point of the sequence (Halton 1960), shifted at random modulo 1 (Cranley and Patterson 1976).

    Args:
        index: Number of the point, from 1; point 0 of an unshifted sequence is the corner of the cube.
        dimensions: 1 to 3. A point's first numbers are those of a point of fewer dimensions.
        seed: Of the shift.

    Returns:
        Numbers in [0, 1).

    Example:
        >>> near, far = halton(1, 2), halton(2, 2)
        >>> [round((b - a) % 1, 4) for a, b in zip(near, far)]  # 1/2 to 1/4, 1/3 to 2/3
        [0.75, 0.3333]
    """
    shifts = (_shift(base, seed) for base in _BASES[:dimensions])
    return tuple((_radical_inverse(index, base) + shift) % 1.0 for base, shift in zip(_BASES, shifts, strict=False))


def _radical_inverse(index: int, base: int) -> float:
    """The digits of the index mirrored at the point: 6 is 110 in base 2, and 0.011 is 0.375."""
    value, weight = 0.0, 1.0 / base
    while index:
        index, digit = divmod(index, base)
        value += digit * weight
        weight /= base
    return value


def _shift(base: int, seed: int) -> float:
    digest = hashlib.sha256(f"halton/{seed}/{base}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
