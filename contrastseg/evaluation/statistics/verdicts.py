"""What a test says, in a word, and whether the means say so too."""

from __future__ import annotations

VERDICTS = ("better", "worse", "n.s.", "n too small", "identical", "incomplete", "reference", "no pairs")
UNTESTED = ("reference", "no pairs", "incomplete")
"""Verdicts without a test: `incomplete` where one of the two lacks predictions."""


def verdict_of(p: float, smallest_p: float, balance: float, direction: str, alpha: float, differing: int) -> str:
    """What a test says.

    Args:
        p: Corrected.
        smallest_p: The smallest corrected p that this test could have reached.
        balance: Rank sum of the positive differences minus that of the negative ones.
        direction: `higher` or `lower`: which way is better.
        alpha: Level after correction.
        differing: Pairs that differ; without one the two are `identical`, whatever their number.

    Example:
        >>> verdict_of(0.01, 0.002, balance=15.0, direction="higher", alpha=0.05, differing=10)
        'better'
        >>> verdict_of(0.06, 0.06, balance=15.0, direction="higher", alpha=0.05, differing=5)
        'n too small'
    """
    if not differing:
        return "identical"
    if smallest_p > alpha:
        return "n too small"
    if p > alpha:
        return "n.s."
    return "better" if (balance > 0) == (direction == "higher") else "worse"


def mean_against(verdict: str, difference: float, direction: str) -> str:
    """`lower mean`, `higher mean` or `equal mean` where the verdict is better or worse and the mean says otherwise.

    A test of ranks and a mean can point opposite ways: many small gains and few large losses.

    Args:
        verdict: Of the test.
        difference: Of the means, in the same order.
        direction: `higher` or `lower`: which way is better.

    Example:
        >>> mean_against("better", -0.01, "higher")
        'lower mean'
    """
    if verdict not in ("better", "worse"):
        return ""
    wanted = 1 if (verdict == "better") == (direction == "higher") else -1
    if abs(difference) < 1e-12:
        return "equal mean"
    return "" if difference * wanted > 0 else "lower mean" if difference < 0 else "higher mean"
