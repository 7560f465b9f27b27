from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from contrastseg.evaluation.intervals import BOOTSTRAP_FROM, mean_interval, measured_coverage


def test_small_samples_get_students_t() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, (8, 3))
    found = mean_interval(values)
    expected = stats.t.interval(0.95, 7, values.mean(), stats.sem(values.mean(axis=1)))
    assert (found.low, found.high, found.kind) == (pytest.approx(expected[0]), pytest.approx(expected[1]), "t")


def test_large_samples_get_the_bootstrap_over_patients_and_runs() -> None:
    rng = np.random.default_rng(0)
    patients = rng.normal(0.8, 0.1, (60, 1))
    alone = mean_interval(patients)
    assert alone.kind == "bootstrap"
    expected = stats.t.interval(0.95, 59, patients.mean(), stats.sem(patients[:, 0]))
    assert (alone.low, alone.high) == pytest.approx(expected, abs=0.004)
    # Seeds that disagree widen it, however many patients there are.
    unstable = mean_interval(patients + np.array([[-0.2, 0.0, 0.2]]))
    assert unstable.high - unstable.low > 3 * (alone.high - alone.low)


def test_it_is_deterministic() -> None:
    values = np.random.default_rng(0).random((25, 2))
    assert mean_interval(values) == mean_interval(values.copy())


def test_patients_missing_from_a_run_keep_their_weight() -> None:
    values = np.random.default_rng(0).random((30, 3))
    values[:10, 1:] = np.nan
    found = mean_interval(values)
    assert found.mean == pytest.approx(np.nanmean(values, axis=1).mean())
    assert found.low < found.mean < found.high


def test_one_patient_has_no_interval() -> None:
    found = mean_interval(np.array([[0.5, 0.7]]))
    assert (found.mean, found.kind) == (0.6, "none")
    assert np.isnan(found.low)


@pytest.mark.parametrize("n", [3, 6, 12, BOOTSTRAP_FROM, 50])
def test_coverage_is_what_was_measured(n: int) -> None:
    rng = np.random.default_rng(n)
    samples = (rng.beta(12, 2, (n, 1)) + rng.normal(0, 0.02, (n, 3)) for _ in range(400))
    held = [found.low <= 12 / 14 <= found.high for found in map(mean_interval, samples)]
    assert np.mean(held) == pytest.approx(measured_coverage(n), abs=0.035)


def test_no_coverage_is_claimed_for_a_pair_of_patients() -> None:
    assert np.isnan(measured_coverage(2))
    assert measured_coverage(25) == measured_coverage(20)
