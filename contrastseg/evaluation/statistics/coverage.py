"""What the statistics were measured to be worth, looked up for the number of patients at hand."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np

from contrastseg.evaluation.statistics.simulated import COVERAGE, DETECTABLE, FAMILIES, LEVEL, SHAPES


def simulated_coverage(n: int, bounded: bool, runs: int, alpha: float = LEVEL) -> tuple[float, float]:
    """Share of nominal 95 % intervals of `mean_interval` that held the truth in simulation.

    Args:
        n: Patients. Between two simulated numbers the lower of their coverages counts.
        bounded: Whether the metric has an upper bound (an overlap) or none (a distance).
        runs: Trained models behind each patient's value. One says nothing about how training varies: the coverage is
            then that of the mean of this trained model.
        alpha: One minus the nominal coverage.

    Returns:
        The share for scores without failures, and with one patient in twelve whose structure is missed. NaN below two
        patients, and for another level than the simulated one.

    Example:
        >>> simulated_coverage(20, bounded=True, runs=3)
        (0.95, 0.865)
    """
    kind = "overlap" if bounded else "distance"
    plain, missed = (SHAPES.index((name, min(runs, 2))) for name in (kind, f"{kind}, some missed"))
    sizes = sorted(COVERAGE)
    if alpha != LEVEL or n < sizes[0]:
        return (np.nan, np.nan)
    around = {sizes[bisect_right(sizes, n) - 1], sizes[min(bisect_left(sizes, n), len(sizes) - 1)]}
    return min(COVERAGE[size][plain] for size in around), min(COVERAGE[size][missed] for size in around)


def detectable_shift(n: int, family_size: int, alpha: float = LEVEL) -> float:
    """The difference that a paired comparison finds in 4 of 5 cases, in standard deviations of patients' differences.

    Simulated with normal differences at Holm's first step, so for the next smaller number of patients and the next
    larger family in the table it is on the safe side. NaN where no difference is found so often (too few patients), and
    for sizes and levels that were not simulated.

    Args:
        n: Patients with a difference.
        family_size: Tests of the family.
        alpha: Level of the corrected tests.

    Example:
        >>> detectable_shift(20, family_size=1), detectable_shift(20, family_size=20)
        (0.7, 1.05)
    """
    sizes = sorted(DETECTABLE)
    if alpha != LEVEL or n < sizes[0] or not 0 < family_size <= FAMILIES[-1]:
        return np.nan
    return DETECTABLE[sizes[bisect_right(sizes, n) - 1]][bisect_left(FAMILIES, family_size)]
