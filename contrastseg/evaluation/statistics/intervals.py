"""Intervals of a mean over patients and repeated runs, inside the range that the metric has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, stdtrit

from contrastseg.evaluation.statistics.variance import (
    VariancePart,
    combined,
    draw_means,
    mean_variance,
    patient_part,
    run_part,
)

BOOTSTRAP_FROM = 20
"""Patients from which the bootstrap is used: below, its distribution is too coarse (coverage in docs/statistics.md)."""
FEWEST_DIFFERING = 5
"""Patients that must differ from the commonest score: with fewer a sample says nearly nothing about its spread."""
UNBOUNDED = (-np.inf, np.inf)
Clipped = Literal["", "low", "high", "both"]
"""Which ends of an interval stand at the end of what is possible instead of where they were computed."""
_RESAMPLES = 4000
_SAME = 1e-9  # of the metric's range: scores closer than this are one score
_NOISE = 1e-12  # of the largest score: averages of equal scores differ by as much
_NO_SPREAD = 1e-6  # of the sample's variance: a resample with less has lost what varies


@dataclass(frozen=True)
class Interval:
    """A mean with its interval.

    Attributes:
        mean: Over the patients.
        low: Lower end, NaN where none is claimed.
        high: Upper end, at least the mean.
        kind: `bootstrap`, `t`, `degenerate` (Student's t of a sample that hardly varies, without a claim of coverage),
            or `none` where nothing was seen to vary.
        clipped: Which ends were moved into the range.
        equal: How many patients have the commonest score.
    """

    mean: float
    low: float
    high: float
    kind: str
    clipped: Clipped = ""
    equal: int = 0


def mean_interval(
    values: NDArray,
    alpha: float = 0.05,
    seed: int = 0,
    *,
    draws: NDArray | None = None,
    bounds: tuple[float, float] = UNBOUNDED,
    longest: float = np.inf,
) -> Interval:
    """The mean over patients of the patients' means over runs, with a 1-α interval that holds the mean.

    Patients vary, and so do runs: `variance.mean_variance` adds the two. Below 20 patients Student's t (Satterthwaite's
    degrees of freedom) on the scale where the metric has no bounds (logit between two bounds, log above one), so that
    no Dice above 1 is claimed. From 20 on the studentised bootstrap over patients (B. Efron, R. Tibshirani, An
    Introduction to the Bootstrap, 1993, ch. 12.5): it learns from the patients how skewed the mean's t is, which a
    distance's long tail asks for; what runs add widens it. Ends beyond the range are clipped and marked. Deterministic.

    A sample is degenerate where some patients share a score and fewer than 5 differ from it by more than 10⁻⁹ of the
    range, and where resamples lose what varies so often that they decide the bootstrap's quantiles. Neither scale nor
    bootstrap can be trusted there: it gets Student's t as it is, clipped, and no coverage is claimed.

    Args:
        values: (patients, runs), NaN where a patient was not in a run; every row and column has a value.
        alpha: One minus the nominal coverage.
        seed: Of the resampling.
        draws: (runs,), the draw of labelled patients each run belongs to; runs of one draw are its seeds. One draw by
            default.
        bounds: The smallest and largest value the metric can have, wherever it is measured.
        longest: The largest value it can have on these images. The interval is clipped there and its scale is not bent.

    Example:
        >>> dice = np.array([[0.8], [0.85], [0.9], [0.7], [0.88], [0.83]])  # six patients, one run
        >>> found = mean_interval(dice, bounds=(0.0, 1.0))
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3), found.kind
        (0.827, 0.739, 0.889, 't')
    """
    means = np.nanmean(values, axis=1)
    mean, n = float(means.mean()), len(means)
    limits = bounds[0], min(bounds[1], longest)
    equal = _commonest(means, limits)
    if n < 2:
        return Interval(mean, np.nan, np.nan, "none", equal=equal)
    draws = np.zeros(values.shape[1], dtype=int) if draws is None else np.asarray(draws)
    variance, freedom = mean_variance(values, draws)
    if not variance > (_NOISE * np.abs(means).max()) ** 2:
        # All equal, such as a method that missed everything: no spread was seen, which is not certainty.
        return Interval(mean, np.nan, np.nan, "none", equal=equal)
    half_width = float(stdtrit(freedom, 1 - alpha / 2) * np.sqrt(variance))
    low, high, kind = mean - half_width, mean + half_width, "degenerate"
    if equal < 2 or n - equal >= FEWEST_DIFFERING:
        if n < BOOTSTRAP_FROM:
            (low, high), kind = _around(mean, half_width, bounds), "t"
        elif (quantiles := _studentised_quantiles(means, alpha, seed)) is not None:
            # What runs add, and that there are few of them, widens the interval of patients alone.
            spread = half_width / float(stdtrit(n - 1, 1 - alpha / 2))
            low, high, kind = mean - quantiles[1] * spread, mean - quantiles[0] * spread, "bootstrap"
    low, high, marked = clipped(min(low, mean), max(high, mean), limits[0], max(limits[1], mean))
    return Interval(mean, low, high, kind, marked, equal)


def clipped(low: float, high: float, bottom: float, top: float) -> tuple[float, float, Clipped]:
    """The interval inside [bottom, top], and which of its ends were moved.

    Example:
        >>> clipped(-0.1, 0.8, bottom=0.0, top=1.0)
        (0.0, 0.8, 'low')
    """
    moved: Clipped = "both" if low < bottom and high > top else "low" if low < bottom else "high" if high > top else ""
    return max(low, bottom), min(high, top), moved


def _commonest(means: NDArray, limits: tuple[float, float]) -> int:
    """How many patients have the score that most have, as close as 10⁻⁹ of the range (the sample's, without one)."""
    ordered = np.sort(means)
    width = limits[1] - limits[0] if np.isfinite(limits).all() else ordered[-1] - ordered[0]
    return int((np.searchsorted(ordered, ordered + width * _SAME, side="right") - np.arange(len(ordered))).max())


def difference_interval(
    mine: NDArray, draws: NDArray, theirs: NDArray, other_draws: NDArray, alpha: float = 0.05
) -> tuple[float, float]:
    """A 1-α interval of the mean paired difference of two methods that takes training for luck too, by Student's t.

    Patients are paired, and so are draws of labelled patients where both methods have the same several: a draw that is
    easy for both says nothing of their difference. Seeds are not paired. The variance is that of the patients'
    differences plus what runs add. A signed-rank test of patients says whether these trained models differ; this says
    whether training them again would show it too. NaN with fewer than two patients, or where nothing varies.

    Args:
        mine: (patients, runs) of one method, NaN where a patient was not in a run.
        draws: (runs,) its draws.
        theirs: (patients, other runs) of the other on the same patients.
        other_draws: (other runs,) its draws.
        alpha: One minus the nominal coverage.

    Example:
        >>> mine, theirs = np.array([[0.9], [0.8], [0.85], [0.7]]), np.array([[0.8], [0.75], [0.8], [0.68]])
        >>> low, high = difference_interval(mine, np.zeros(1), theirs, np.zeros(1))
        >>> round(low, 3), round(high, 3)
        (0.002, 0.108)
    """
    differences = np.nanmean(mine, axis=1) - np.nanmean(theirs, axis=1)
    if len(differences) < 2:
        return (np.nan, np.nan)
    variance, freedom = combined(patient_part(differences), *_luck(mine, draws, theirs, other_draws))
    largest = max(float(np.nanmax(np.abs(values))) for values in (mine, theirs))
    if not variance > (_NOISE * largest) ** 2:
        return (np.nan, np.nan)
    half_width = float(stdtrit(freedom, 1 - alpha / 2) * np.sqrt(variance))
    return float(differences.mean()) - half_width, float(differences.mean()) + half_width


def _luck(mine: NDArray, draws: NDArray, theirs: NDArray, other_draws: NDArray) -> list[VariancePart]:
    """What runs add to the variance of a mean difference: of differences draw by draw, or of each method's runs."""
    shared = np.unique(draws)
    if len(shared) > 1 and np.array_equal(shared, np.unique(other_draws)):
        return [run_part(draw_means(mine, draws) - draw_means(theirs, other_draws), shared)]
    return [run_part(mine, draws), run_part(theirs, other_draws)]


def _around(mean: float, half_width: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Mean ± half width, carried to where the metric has no bounds and back (the delta method)."""
    bottom, top = bounds
    if np.isfinite(bottom) and np.isfinite(top):
        share = (mean - bottom) / (top - bottom)
        step = half_width / (top - bottom) / (share * (1 - share))
        low, high = expit(logit(share) + np.array([-step, step])) * (top - bottom) + bottom
    elif np.isfinite(bottom):
        low, high = bottom + (mean - bottom) * np.exp(np.array([-1.0, 1.0]) * half_width / (mean - bottom))
    else:
        low, high = mean - half_width, mean + half_width
    return float(low), float(high)


def _studentised_quantiles(means: NDArray, alpha: float, seed: int) -> tuple[float, float] | None:
    """The α/2 and 1-α/2 quantiles of (mean - true mean) / its standard error, by resampling patients' means, (n,).

    None where so many resamples show no spread that these would be its quantiles.
    """
    n, weights = len(means), _weights(len(means), seed)
    centred = means - means.mean()
    drawn = weights @ centred / n
    variance = np.maximum(weights @ centred**2 / n - drawn**2, 0) / (n - 1)
    if np.mean(variance <= _NO_SPREAD * centred.var() / (n - 1)) >= alpha / 2:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        least, most = np.quantile(drawn / np.sqrt(variance), [alpha / 2, 1 - alpha / 2])
    return (float(least), float(most)) if np.isfinite(least) and np.isfinite(most) else None


@lru_cache(maxsize=128)
def _weights(n: int, seed: int) -> NDArray:
    """How often each of n patients is drawn in each resample, (resamples, n)."""
    rng = np.random.default_rng([seed, 0, n])
    return rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(float)
