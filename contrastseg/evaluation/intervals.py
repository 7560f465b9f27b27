"""Intervals of a mean over patients and repeated runs, inside the range that the metric has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, ndtr, stdtrit

from contrastseg.evaluation.variance import combined, mean_variance, patient_part, run_part

BOOTSTRAP_FROM = 20
"""Patients from which the bootstrap is used: below, its distribution is too coarse (coverage in docs/statistics.md)."""
UNBOUNDED = (-np.inf, np.inf)
_RESAMPLES = 4000
_TAIL = 10  # resamples beyond a bound, at least: fewer say nothing about a quantile


@dataclass(frozen=True)
class Interval:
    """A mean with its interval; `kind` is `bootstrap`, `t`, or `none` where nothing was seen to vary."""

    mean: float
    low: float
    high: float
    kind: str


def mean_interval(
    values: NDArray,
    alpha: float = 0.05,
    seed: int = 0,
    *,
    draws: NDArray | None = None,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Interval:
    """The mean over patients of the patients' means over runs, with a 1-α interval.

    Patients vary, and so do runs: `variance.mean_variance` adds the two. Below 20 patients Student's t (Satterthwaite's
    degrees of freedom) on the scale where the metric has no bounds (logit between two bounds, log above one), so that
    no Dice above 1 is claimed. From 20 on a percentile bootstrap that resamples patients, draws, and seeds inside each
    draw, its percentiles taken as far out as t and the variance above ask (T. Hesterberg, What Teachers Should Know
    About the Bootstrap, The American Statistician 69, 2015, "expanded percentile"): the plain percentiles of n
    patients and three seeds are too narrow. Where so few runs disagree so much that these percentiles lie beyond what
    the resamples show, t is used whatever the number of patients. Deterministic.

    Args:
        values: (patients, runs), NaN where a patient was not in a run; every row and column has a value.
        alpha: One minus the nominal coverage.
        seed: Of the resampling.
        draws: (runs,), the draw of labelled patients each run belongs to; runs of one draw are its seeds. One draw by
            default.
        bounds: The smallest and largest value the metric can have.
    """
    means = np.nanmean(values, axis=1)
    mean, n = float(means.mean()), len(means)
    if n < 2:
        return Interval(mean, np.nan, np.nan, "none")
    draws = np.zeros(values.shape[1], dtype=int) if draws is None else np.asarray(draws)
    variance, freedom = mean_variance(values, draws)
    if not variance > 0:
        # All equal, such as a method that missed everything: no spread was seen, which is not certainty.
        return Interval(mean, np.nan, np.nan, "none")
    reach = float(stdtrit(freedom, 1 - alpha / 2) * np.sqrt(variance))
    if n >= BOOTSTRAP_FROM:
        drawn = _resampled_means(values, _weights(n, seed), _run_weights(tuple(draws.tolist()), seed))
        tail = float(ndtr(-reach / drawn.std()))
        if tail * len(drawn) >= _TAIL:
            low, high = np.quantile(drawn, [tail, 1 - tail])
            return Interval(mean, float(low), float(high), "bootstrap")
    return Interval(mean, *_around(mean, reach, bounds), "t")


def difference_interval(
    mine: NDArray, draws: NDArray, theirs: NDArray, other_draws: NDArray, alpha: float = 0.05
) -> tuple[float, float]:
    """A 1-α interval of the mean paired difference of two methods that takes training for luck too, by Student's t.

    Patients are paired, runs are not: the variance is that of the patients' differences plus what the runs of either
    method add. A signed-rank test of patients says whether these trained models differ; this says whether training them
    again would show it too. NaN with fewer than two patients, or where nothing varies.

    Args:
        mine: (patients, runs) of one method, NaN where a patient was not in a run.
        draws: (runs,) its draws.
        theirs: (patients, other runs) of the other on the same patients.
        other_draws: (other runs,) its draws.
        alpha: One minus the nominal coverage.
    """
    differences = np.nanmean(mine, axis=1) - np.nanmean(theirs, axis=1)
    if len(differences) < 2:
        return (np.nan, np.nan)
    parts = patient_part(differences), run_part(mine, draws), run_part(theirs, other_draws)
    variance, freedom = combined(*parts)
    if not variance > 0:
        return (np.nan, np.nan)
    reach = float(stdtrit(freedom, 1 - alpha / 2) * np.sqrt(variance))
    return float(differences.mean()) - reach, float(differences.mean()) + reach


def _around(mean: float, reach: float, bounds: tuple[float, float]) -> tuple[float, float]:
    """Mean ± reach, carried to where the metric has no bounds and back (the delta method)."""
    bottom, top = bounds
    if np.isfinite(bottom) and np.isfinite(top):
        share = (mean - bottom) / (top - bottom)
        step = reach / (top - bottom) / (share * (1 - share))
        low, high = expit(logit(share) + np.array([-step, step])) * (top - bottom) + bottom
    elif np.isfinite(bottom):
        low, high = bottom + (mean - bottom) * np.exp(np.array([-1.0, 1.0]) * reach / (mean - bottom))
    else:
        low, high = mean - reach, mean + reach
    return float(low), float(high)


def _resampled_means(values: NDArray, patients: NDArray, runs: NDArray) -> NDArray:
    """Mean over the drawn patients of each one's mean over the drawn runs, (resamples,).

    Args:
        values: (patients, runs), NaN where a patient was not in a run.
        patients: (resamples, patients), how often each is drawn.
        runs: (resamples, runs), how often each is drawn.
    """
    known = ~np.isnan(values)
    if known.all():
        return np.sum((patients @ values) * runs, axis=1) / (runs.sum(axis=1) * len(values))
    # A patient in none of the drawn runs sits out; a resample that draws nobody is left out.
    totals, counts = runs @ np.where(known, values, 0.0).T, runs @ known.T
    inner = np.divide(totals, counts, out=np.zeros_like(totals), where=counts > 0)
    share = np.sum(patients * (counts > 0), axis=1)
    return np.sum(patients * inner, axis=1)[share > 0] / share[share > 0]


@lru_cache(maxsize=128)
def _weights(n: int, seed: int) -> NDArray:
    """How often each of n patients is drawn in each resample, (resamples, n)."""
    rng = np.random.default_rng([seed, 0, n])
    return rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(float)


@lru_cache(maxsize=128)
def _run_weights(draws: tuple[int, ...], seed: int) -> NDArray:
    """How often each run is drawn, (resamples, runs): draws first, then in each drawn one as many seeds as it has."""
    rng = np.random.default_rng([seed, 1, len(draws)])
    labels, counts = np.unique(draws, return_counts=True)
    chosen = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), size=_RESAMPLES)
    weights = np.zeros((_RESAMPLES, len(draws)))
    for column, (label, count) in enumerate(zip(labels, counts, strict=True)):
        inside = rng.multinomial(chosen[:, column] * count, np.full(count, 1 / count))
        weights[:, np.asarray(draws) == label] = inside
    return weights
