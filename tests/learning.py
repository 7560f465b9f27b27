"""When a training in a test has learnt: its loss fell by several times what it moves from step to step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def fall_and_spread(losses: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """How far the mean of three losses fell from the first to the last, and how far single losses stray.

    The spread is that of the second differences, which a steady fall leaves out; independent noise has 1/√6 of theirs.
    """
    values = np.asarray(losses, dtype=float)
    fall = values[:3].mean() - values[-3:].mean()
    return float(fall), float(np.sqrt(np.square(np.diff(values, 2)).mean() / 6))


def falls(losses: Sequence[float] | np.ndarray) -> bool:
    """Whether losses fell so clearly that the rounding of another processor does not decide."""
    fall, spread = fall_and_spread(losses)
    return bool(np.isfinite(losses).all() and fall > 0.1 and fall > 5 * spread)
