from __future__ import annotations

import numpy as np
import pytest

from contrastseg.evaluation.statistics.variance import combined, mean_variance, patient_part, run_part


def test_the_parts_are_those_of_the_two_way_table() -> None:
    """Against mean squares, summed cell by cell."""
    values = np.random.default_rng(0).normal(size=(7, 4)) + np.array([0.0, 1.0, 2.0, 3.0])
    n, runs = values.shape
    grand, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    patients = sum(runs * (rows[i] - grand) ** 2 for i in range(n)) / (n - 1)
    between = sum(n * (columns[j] - grand) ** 2 for j in range(runs)) / (runs - 1)
    cells = ((i, j) for i in range(n) for j in range(runs))
    inside = sum((values[i, j] - rows[i] - columns[j] + grand) ** 2 for i, j in cells) / ((n - 1) * (runs - 1))
    seeds = np.zeros(runs)
    assert mean_variance(values, seeds).variance == pytest.approx((patients + between - inside) / (n * runs))
    assert run_part(values, seeds) == pytest.approx(((between - inside) / (n * runs), runs - 1))


def test_its_expectation_is_the_variance_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    draws = np.repeat([0, 1, 2], 2)
    means, estimates = [], []
    for _ in range(3000):
        luck = rng.normal(0, 0.4, 3)[draws] + rng.normal(0, 0.3, 6)
        values = rng.normal(0, 1, (10, 1)) + luck + rng.normal(0, 0.5, (10, 6))
        means.append(values.mean())
        estimates.append(mean_variance(values, draws).variance)
    assert np.mean(estimates) == pytest.approx(np.var(means), rel=0.08)
    assert np.var(means) == pytest.approx(1 / 10 + 0.16 / 3 + 0.09 / 6 + 0.25 / 60, rel=0.08)


def test_runs_that_agree_add_nothing_and_one_run_shows_nothing() -> None:
    patients = np.random.default_rng(0).random((8, 1))
    alone = patient_part(patients[:, 0])
    assert mean_variance(patients, np.zeros(1)) == alone
    assert mean_variance(np.repeat(patients, 3, axis=1), np.zeros(3)) == pytest.approx(alone)


def test_degrees_of_freedom_lie_between_those_of_the_parts() -> None:
    patients = np.random.default_rng(0).random((20, 1))
    assert mean_variance(patients + np.array([[-5.0, 0, 5]]), np.zeros(3)).freedom == pytest.approx(2, abs=0.01)
    assert 2 < mean_variance(patients + np.array([[-0.1, 0, 0.1]]), np.zeros(3)).freedom < 19
    assert combined(patient_part(np.zeros(4))).freedom == 3


def test_patients_missing_from_some_runs_are_no_luck() -> None:
    """Without luck, a run of only the hard patients must not look like a bad run."""
    values = np.repeat(np.linspace(0, 1, 20)[:, None], 2, axis=1)
    values[:10, 0] = np.nan
    assert run_part(values, np.zeros(2)).variance == pytest.approx(0, abs=1e-12)
