"""Made-up benchmarks of equal methods with several draws and seeds: false alarms of tests that average over runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from simulated_intervals import Share

from contrastseg.evaluation.statistics.intervals import difference_interval
from contrastseg.evaluation.statistics.paired import holm, signed_rank_rows

_NOISE, _COMMON = 0.03, 0.03


class Luck(NamedTuple):
    """Standard deviations of what training does to all patients of one method alike, in Dice."""

    draw: float
    seed: float


class RunsError(NamedTuple):
    """How often equal methods look different.

    Attributes:
        family: At least one test of the family rejects, scores averaged over all runs.
        one_test: The first test of the family alone rejects at the level.
        interval: 0 lies outside the interval of the first mean difference that also counts runs.
        every_seed: A test of the family rejects, and so does it on each seed alone, the same way; NaN with one seed.
        every_draw: The same of each draw alone.
    """

    family: Share
    one_test: Share
    interval: Share
    every_seed: Share
    every_draw: Share


def runs_error(
    draws: int, seeds: int, luck: Luck, n: int, methods: int, repetitions: int, seed: int = 0, alpha: float = 0.05
) -> RunsError:
    """Simulate families of equal methods, each trained with the same draws and as many seeds of each draw.

    A draw is easy or hard for all methods alike (standard deviation 0.03 Dice), which cancels in differences, and luck
    or bad luck for one. The patients' scores vary by 0.03 between methods and by 0.03 between runs.

    Args:
        draws: Draws of labelled patients.
        seeds: Seeds of each draw.
        luck: Of draws and seeds, one method at a time.
        n: Patients.
        methods: Tests of the family; one more method is the baseline of all.
        repetitions: Simulated families.
        seed: Of the simulation.
        alpha: Level of the corrected tests.
    """
    rng = np.random.default_rng([seed, draws, seeds, n, methods])
    labels = np.repeat(np.arange(draws), seeds)
    found = np.zeros((repetitions, 5))
    for at in range(repetitions):
        values = _scores(rng, draws, seeds, luck, n, methods)
        differences = values[1:] - values[0]
        whole = _rejected(differences.mean(axis=(2, 3)), alpha)
        by_seed = np.array([_rejected(differences[..., one].mean(axis=2), alpha) for one in range(seeds)])
        by_draw = np.array([_rejected(differences[:, :, one].mean(axis=2), alpha) for one in range(draws)])
        low, high = difference_interval(values[1].reshape(n, -1), labels, values[0].reshape(n, -1), labels, alpha)
        first = signed_rank_rows(differences[:1].mean(axis=(2, 3)))[0].p <= alpha
        repeated = [whole.any() and ((whole != 0) & (alone == whole).all(axis=0)).any() for alone in (by_seed, by_draw)]
        found[at] = (whole.any(), first, low > 0 or high < 0, *repeated)
    shares = [Share.of(column) for column in found.T]
    unknown = Share(float("nan"), float("nan"))
    return RunsError(*shares[:3], shares[3] if seeds > 1 else unknown, shares[4] if draws > 1 else unknown)


def _scores(rng: np.random.Generator, draws: int, seeds: int, luck: Luck, n: int, methods: int) -> NDArray:
    """(methods + 1, n, draws, seeds) Dice of equal methods."""
    everyone = methods + 1
    values = rng.beta(12, 2, (1, n, 1, 1)) + rng.normal(0, _COMMON, (1, 1, draws, 1))
    values = values + rng.normal(0, _NOISE, (everyone, n, 1, 1)) + rng.normal(0, luck.draw, (everyone, 1, draws, 1))
    found: NDArray = values + rng.normal(0, luck.seed, (everyone, 1, draws, seeds))
    return found + rng.normal(0, _NOISE, (everyone, n, draws, seeds))


def _rejected(differences: NDArray, alpha: float) -> NDArray:
    """(methods,) the direction of each test of a family that rejects, 0 where it does not."""
    tests = signed_rank_rows(differences)
    significant = holm([test.p for test in tests]) <= alpha
    return np.where(significant, np.sign([test.balance for test in tests]), 0)
