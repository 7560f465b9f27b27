"""Made-up benchmarks whose true order is known: how often tests find what is not there, and what is."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from simulated_intervals import Share

from contrastseg.errors import ScoringError, unknown_name
from contrastseg.evaluation.statistics.critical import critical_difference
from contrastseg.evaluation.statistics.intervals import difference_interval
from contrastseg.evaluation.statistics.paired import holm, sign_flip, signed_rank_rows

Truth = Literal["none differs", "rounded to 0.01", "half differ", "same method, other seeds"]
TRUTHS: tuple[str, ...] = get_args(Truth)
_NOISE, _LUCK, _STEP = 0.03, 0.01, 0.01


def family_error(truth: Truth, n: int, methods: int, repetitions: int, seed: int = 0, alpha: float = 0.05) -> Share:
    """How often a family of tests against one reference calls at least one method different that is not.

    Patients are of unlike difficulty, and noise grows with it; every method is compared with the same reference, so
    the tests of a family are dependent as in a benchmark.

    Args:
        truth: `none differs`; the same with scores `rounded to 0.01` (zeros and ties); `half differ` by 0.03 (only the
            others can be called wrongly); `same method, other seeds`: equal methods whose three trained models differ
            by chance, all patients alike, with a standard deviation of 0.01 Dice.
        n: Patients.
        methods: Tests of the family.
        repetitions: Simulated families.
        seed: Of the simulation.
        alpha: Level of the corrected tests.

    Raises:
        ScoringError: There is no such truth.
    """
    if truth not in TRUTHS:
        raise ScoringError(unknown_name("truth", truth, list(TRUTHS)), remedy="choose one of these")
    rng = np.random.default_rng([seed, n, methods])
    wrong = 0
    same = np.ones(methods, dtype=bool)
    if truth == "half differ":
        same[: methods // 2] = False
    for _ in range(repetitions):
        patients = rng.beta(12, 2, n)
        values = patients + _NOISE * 2 * (1 - patients) * rng.normal(size=(methods + 1, n)) / 0.29
        values[1:][~same] += 0.03
        if truth == "same method, other seeds":
            values += rng.normal(0, _LUCK / np.sqrt(3), (methods + 1, 1))
        if truth == "rounded to 0.01":
            values = np.round(values / _STEP) * _STEP
        corrected = holm([one.p for one in signed_rank_rows(values[1:] - values[0])])
        wrong += bool((corrected[same] <= alpha).any())
    return Share.of(np.arange(repetitions) < wrong)


def retrained_error(n: int, seeds: int, luck: float, repetitions: int, seed: int = 0) -> tuple[Share, Share]:
    """Two equal methods, trained `seeds` times each: how often the test of patients and the interval see a difference.

    Args:
        n: Patients.
        seeds: Runs of each method.
        luck: Standard deviation of what training by chance does to all patients alike, in Dice.
        repetitions: Simulated comparisons.
        seed: Of the simulation.

    Returns:
        How often the signed-rank test of one comparison rejects at 0.05, and how often 0 lies outside the 95 % interval
        that takes training for luck too.
    """
    rng = np.random.default_rng([seed, n, seeds])
    draws = np.zeros(seeds, dtype=int)
    shape = (repetitions, 2, n, seeds)
    values = rng.beta(12, 2, (repetitions, 1, n, 1)) + rng.normal(0, _NOISE, (repetitions, 2, n, 1))
    values = values + rng.normal(0, luck, (repetitions, 2, 1, seeds)) + rng.normal(0, _NOISE, shape)
    tests = signed_rank_rows(values[:, 0].mean(axis=-1) - values[:, 1].mean(axis=-1))
    bounds = np.array([difference_interval(one, draws, other, draws) for one, other in values])
    return Share.of([test.p <= 0.05 for test in tests]), Share.of((bounds[:, 0] > 0) | (bounds[:, 1] < 0))


def both_tests(n: int, shift: float, repetitions: int, seed: int = 0) -> tuple[Share, Share, Share]:
    """One comparison at 0.05, without a family: the signed-rank test and the sign-flip test of the mean beside it.

    Args:
        n: Patients.
        shift: Mean difference in standard deviations of the patients' differences, which are normal.
        repetitions: Simulated comparisons.
        seed: Of the simulation.

    Returns:
        How often each of the two rejects, and how often they say the same.
    """
    differences = np.random.default_rng([seed, n]).normal(shift, 1, (repetitions, n))
    ranks = np.array([one.p for one in signed_rank_rows(differences)]) <= 0.05
    flips = np.array([sign_flip(row) for row in differences]) <= 0.05
    return Share.of(ranks), Share.of(flips), Share.of(ranks == flips)


def power(n: int, shift: float, family_size: int, repetitions: int, seed: int = 0, alpha: float = 0.05) -> Share:
    """How often a shift is found at Holm's first step, α/m: at least as often as in any family of that size.

    Args:
        n: Patients.
        shift: Mean difference in standard deviations of the patients' differences, which are normal.
        family_size: Tests of the family.
        repetitions: Simulated comparisons.
        seed: Of the simulation.
        alpha: Level of the corrected tests.
    """
    return Share.of(_shifted(n, shift, repetitions, seed) * family_size <= alpha)


def smallest_shift(n: int, family_size: int, repetitions: int, wanted: float = 0.8, seed: int = 0) -> float:
    """The smallest shift, on a grid of 0.05 standard deviations, that `power` finds so often; NaN from 4 on."""
    low, high = 0, 80
    while low < high:
        middle = (low + high) // 2
        if power(n, 0.05 * middle, family_size, repetitions, seed).share >= wanted:
            high = middle
        else:
            low = middle + 1
    return round(0.05 * low, 2) if low < 80 else float("nan")


@lru_cache(maxsize=512)
def _shifted(n: int, shift: float, repetitions: int, seed: int) -> NDArray:
    noise = np.random.default_rng([seed, n]).normal(size=(repetitions, n))
    return np.array([one.p for one in signed_rank_rows(noise + shift)])


def critical_error(datasets: int, methods: int, repetitions: int, seed: int = 0) -> Share:
    """How often Nemenyi's test over data sets tells any two of several equal methods apart at 0.05."""
    rng = np.random.default_rng([seed, datasets, methods])
    return Share.of(
        [
            critical_difference(rng.normal(size=(datasets, methods)), higher=True).significant.any()
            for _ in range(repetitions)
        ]
    )
