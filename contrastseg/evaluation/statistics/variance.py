"""How uncertain a mean over patients and runs is, when both are samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class VariancePart(NamedTuple):
    """One part of a variance, and the degrees of freedom it was estimated with."""

    variance: float
    freedom: float


def mean_variance(values: NDArray, draws: NDArray) -> VariancePart:
    """Variance of the grand mean of patients × runs, both random.

    With patients p and runs r crossed, x = μ + a_p + b_r + e_pr, Var(x̄) = σ_a²/n + σ_b²/R + σ_e²/(nR). The variance of
    the patients' means over n holds the first term and the third; `run_part` is the second.

    Args:
        values: (patients, runs), NaN where a patient was not in a run; at least two patients.
        draws: (runs,), the draw each run belongs to.

    Example:
        >>> values = np.array([[0.8, 0.82], [0.7, 0.74], [0.9, 0.88]])  # three patients, two runs
        >>> round(mean_variance(values, np.zeros(2)).variance, 5)
        0.00241
    """
    return combined(patient_part(np.nanmean(values, axis=1)), run_part(values, draws))


def patient_part(means: NDArray) -> VariancePart:
    """Variance of the mean of the patients' means (or differences), (n,).

    Example:
        >>> round(patient_part(np.array([0.8, 0.7, 0.9])).variance, 5)
        0.00333
    """
    return VariancePart(float(means.var(ddof=1)) / len(means), len(means) - 1.0)


def run_part(values: NDArray, draws: NDArray) -> VariancePart:
    """What the luck of the runs adds to the variance of the grand mean, at least 0: s_b²/R - s_e²/(nR).

    S. Searle, G. Casella, C. McCulloch, Variance Components, 1992, ch. 4. Runs are the draws of labelled patients where
    there are several (each the mean of its seeds, which are nested in it, so their spread is inside), else the seeds.
    With one run its luck cannot be seen, and the part is 0. With patients missing from runs the sums are over what is
    there, which is approximate.

    Example:
        >>> values = np.array([[0.8, 0.9], [0.7, 0.81], [0.9, 0.98]])  # the second run is better by 0.1
        >>> round(run_part(values, np.zeros(2)).variance, 5)
        0.00232
    """
    columns = _repeats(values - np.nanmean(values, axis=1, keepdims=True), draws)
    n, repeats = columns.shape
    if repeats < 2:
        return VariancePart(0.0, 1.0)
    luck = np.nanmean(columns, axis=0)
    known = int(np.count_nonzero(~np.isnan(columns)))
    inside = float(np.nansum((columns - luck) ** 2)) / max(1, known - n - repeats + 1)
    return VariancePart(max(0.0, float(luck.var(ddof=1)) / repeats - inside / (n * repeats)), repeats - 1.0)


def combined(*parts: VariancePart) -> VariancePart:
    """The sum of independent parts, with the degrees of freedom of F. Satterthwaite (Biometrics Bulletin 2, 1946).

    Example:
        >>> means = np.array([0.8, 0.7, 0.9])
        >>> part = patient_part(means)
        >>> combined(part, part).freedom, round(combined(part, part).variance / part.variance, 6)
        (4.0, 2.0)
    """
    total = sum(part.variance for part in parts)
    if total <= 0:
        return VariancePart(0.0, parts[0].freedom)
    return VariancePart(total, total**2 / sum(part.variance**2 / part.freedom for part in parts))


def _repeats(deviations: NDArray, draws: NDArray) -> NDArray:
    """The columns that repeat the experiment at its highest level: draws (means of seeds), or the seeds of one draw."""
    labels = np.unique(draws)
    return deviations if len(labels) < 2 or len(labels) == len(draws) else draw_means(deviations, draws)


def draw_means(values: NDArray, draws: NDArray) -> NDArray:
    """The mean over the seeds of each draw, (patients, draws) in the order of the draws; NaN where all are.

    Example:
        >>> draw_means(np.array([[0.8, 0.9, 0.6]]), np.array([1, 1, 0])).round(2).tolist()
        [[0.6, 0.85]]
    """
    columns = []
    for label in np.unique(draws):
        of_draw = values[:, draws == label]
        counts = np.sum(~np.isnan(of_draw), axis=1)
        # A patient in none of a draw's runs stays unknown there.
        columns.append(
            np.divide(np.nansum(of_draw, axis=1), counts, out=np.full(len(of_draw), np.nan), where=counts > 0)
        )
    return np.stack(columns, axis=1)
