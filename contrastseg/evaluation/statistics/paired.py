"""Paired tests of one sample of differences: signed-rank, sign-flip, Hodges-Lehmann, and Holm over several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # its parts are imported by their first use
from numpy.typing import ArrayLike, NDArray

_EXACT_UP_TO = 400
_ENUMERATE_UP_TO = 14
_FLIPS = 20_000
_HL_FROM = 6
_DECIMALS = 12


@dataclass(frozen=True)
class SignedRank:
    """A two-sided Wilcoxon signed-rank test.

    Attributes:
        n: Pairs, zeros included.
        zeros: Pairs without a difference; dropped, as Wilcoxon does.
        ties: Differences that share their size with another; they get mid-ranks.
        p: Two-sided p value from the permutation distribution of the rank sum.
        balance: Rank sum of the positive differences minus that of the negative ones.
    """

    n: int
    zeros: int
    ties: int
    p: float
    balance: float


def clean(differences: ArrayLike) -> NDArray:
    """Differences as floats, rounded to 12 decimals: averages of equal scores must come out equal.

    Example:
        >>> clean([0.1 + 0.2 - 0.3])
        array([0.])
    """
    return np.round(np.asarray(differences, dtype=float), _DECIMALS)


def signed_rank(differences: ArrayLike) -> SignedRank:
    """Wilcoxon's signed-rank test of paired differences, two-sided.

    The distribution of the rank sum over all sign flips is counted out exactly, with mid-ranks and all, by convolution
    (the textbook distribution where there are no ties); above 400 differences it is the normal approximation with the
    variance of the ranks at hand.

    Args:
        differences: (n,), no NaN.

    Example:
        >>> signed_rank([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).p  # 2/2⁶
        0.03125
    """
    values = clean(differences)
    nonzero = values[values != 0]
    if not nonzero.size:
        return SignedRank(values.size, values.size, 0, 1.0, 0.0)
    sizes = np.abs(nonzero)
    ranks = scipy.stats.rankdata(sizes)
    _, counts = np.unique(sizes, return_counts=True)
    ties = int(counts[counts > 1].sum())
    plus, minus = float(ranks[nonzero > 0].sum()), float(ranks[nonzero < 0].sum())
    low = min(plus, minus)
    if nonzero.size > _EXACT_UP_TO:
        spread = np.sqrt(np.sum(ranks**2)) / 2
        p = 2 * float(scipy.stats.norm.cdf((low - ranks.sum() / 2) / spread))
    else:
        # Mid-ranks are multiples of a half: twice the ranks are whole numbers.
        doubled = tuple(sorted(np.rint(2 * ranks).astype(int).tolist()))
        p = 2 * float(rank_sum_distribution(doubled)[: round(2 * low) + 1].sum())
    return SignedRank(values.size, values.size - nonzero.size, ties, min(1.0, p), plus - minus)


def signed_rank_rows(differences: ArrayLike) -> list[SignedRank]:
    """`signed_rank` of every row; rows without zeros, ties and NaN are done together, which is what makes grids fast.

    Args:
        differences: (tests, n), NaN where a patient is not in a pair.

    Example:
        >>> found = signed_rank_rows([[0.1, 0.2, 0.3, 0.4], [0.1, -0.2, 0.3, -0.4]])
        >>> [test.p for test in found]
        [0.125, 0.875]
    """
    values = clean(differences)
    n = values.shape[1]
    order = np.argsort(np.abs(values), axis=1)
    sizes = np.take_along_axis(np.abs(values), order, axis=1)
    plain = (np.diff(sizes, axis=1, prepend=0.0) > 0).all(axis=1) & (0 < n <= _EXACT_UP_TO)
    tests = [None if easy else signed_rank(row[~np.isnan(row)]) for row, easy in zip(values, plain, strict=True)]
    if plain.any():
        positive = np.take_along_axis(values > 0, order, axis=1)[plain]
        plus, whole = positive @ np.arange(1, n + 1), n * (n + 1) // 2
        below = np.cumsum(rank_sum_distribution(tuple(range(1, n + 1))))[np.minimum(plus, whole - plus)]
        done = zip(np.minimum(1.0, 2 * below).tolist(), (2 * plus - whole).tolist(), strict=True)
        each = (SignedRank(n, 0, 0, p, float(balance)) for p, balance in done)
        return [test if test is not None else next(each) for test in tests]
    return [test for test in tests if test is not None]


@lru_cache(maxsize=512)
def rank_sum_distribution(ranks: tuple[int, ...]) -> NDArray:
    """Probability of every sum of a random half-chance subset of `ranks`; index is the sum.

    Example:
        >>> rank_sum_distribution((1, 2))
        array([0.25, 0.25, 0.25, 0.25])
    """
    distribution = np.zeros(sum(ranks) + 1)
    distribution[0] = 1.0
    top = 0
    for rank in ranks:
        grown = distribution[: top + rank + 1] / 2
        grown[rank:] += distribution[: top + 1] / 2
        distribution[: top + rank + 1] = grown
        top += rank
    distribution.setflags(write=False)
    return distribution


def sign_flip(differences: ArrayLike, seed: int = 0) -> float:
    """Two-sided paired permutation test of the mean difference.

    All 2ⁿ sign flips up to n = 14, else 20,000 random ones (seeded), the observed one counted among them.

    Example:
        >>> sign_flip([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
        0.03125
    """
    values = clean(differences)
    values = values[values != 0]
    if not values.size:
        return 1.0
    signs = _signs(values.size, seed)
    sums = np.abs(signs @ values)
    extreme = int(np.count_nonzero(sums >= abs(values.sum()) * (1 - 1e-9)))
    if values.size <= _ENUMERATE_UP_TO:
        return extreme / len(signs)
    return (extreme + 1) / (len(signs) + 1)


@lru_cache(maxsize=32)
def _signs(n: int, seed: int) -> NDArray:
    if n <= _ENUMERATE_UP_TO:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        bits = np.random.default_rng([seed, n]).integers(0, 2, size=(_FLIPS, n))
    return 2.0 * bits - 1.0


def hodges_lehmann(differences: ArrayLike, alpha: float = 0.05) -> tuple[float, float, float]:
    """The median of the Walsh averages and its exact 1-α interval.

    Args:
        differences: (n,), no NaN.
        alpha: One minus the coverage.

    Returns:
        Estimate, low, high; the bounds are NaN below n = 6, where no 95 % interval exists, or where α is out of reach.

    Example:
        >>> [round(value, 3) for value in hodges_lehmann([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])]
        [0.35, 0.1, 0.6]
    """
    values = clean(differences)
    n = values.size
    if not n:
        return (np.nan, np.nan, np.nan)
    rows, columns = np.triu_indices(n)
    walsh = np.sort((values[rows] + values[columns]) / 2)
    estimate = float(np.median(walsh))
    if n < _HL_FROM:
        return (estimate, np.nan, np.nan)
    if n <= _EXACT_UP_TO:
        cumulative = np.cumsum(rank_sum_distribution(tuple(range(1, n + 1))))
        cut = int(np.searchsorted(cumulative, alpha / 2, side="right"))
    else:
        spread = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        cut = int(np.floor(n * (n + 1) / 4 + scipy.stats.norm.ppf(alpha / 2) * spread))
    if cut < 1:
        return (estimate, np.nan, np.nan)
    return (estimate, float(walsh[cut - 1]), float(walsh[len(walsh) - cut]))


def holm(p_values: ArrayLike) -> NDArray:
    """Holm's step-down adjusted p values, in the order given: max over smaller ones of (m - rank)·p, at most 1.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((p.size - np.arange(p.size)) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def smallest_p(n: ArrayLike) -> NDArray:
    """The smallest Holm-corrected two-sided p that each test of a family can reach.

    No p of n differences is below 2/2ⁿ, and Holm's correction grows with every p it is given, so the correction of
    these is the floor of all: m·2/2ⁿ where the m tests have the same n. Where some have more patients than others it
    can be lower, because Holm multiplies the p values of the small ones by fewer.

    Args:
        n: (m,), the differences of each test of the family that are not zero.

    Example:
        >>> smallest_p([6, 6, 6])  # three tests of six patients: 3 · 2/2⁶
        array([0.09375, 0.09375, 0.09375])
    """
    return holm(np.minimum(1.0, 2.0 ** (1.0 - np.asarray(n, dtype=float))))
