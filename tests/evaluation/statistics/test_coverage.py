from __future__ import annotations

import numpy as np
import pytest
from simulated_tests import power

from contrastseg.evaluation.statistics.coverage import detectable_shift, simulated_coverage
from contrastseg.evaluation.statistics.simulated import COVERAGE, DETECTABLE, FAMILIES, SHAPES


def test_between_two_simulated_numbers_the_lower_coverage_counts() -> None:
    plain, missed = SHAPES.index(("overlap", 2)), SHAPES.index(("overlap, some missed", 2))
    expected = tuple(min(COVERAGE[8][column], COVERAGE[10][column]) for column in (plain, missed))
    assert simulated_coverage(9, bounded=True, runs=3) == expected
    assert simulated_coverage(10, bounded=True, runs=3) == (COVERAGE[10][plain], COVERAGE[10][missed])
    assert simulated_coverage(5000, bounded=True, runs=9)[0] == COVERAGE[max(COVERAGE)][plain]
    alone = SHAPES.index(("distance", 1))
    assert simulated_coverage(30, bounded=False, runs=1)[0] == COVERAGE[30][alone]


def test_no_coverage_is_claimed_for_what_was_not_simulated() -> None:
    assert np.isnan(simulated_coverage(1, bounded=True, runs=3)).all()
    assert np.isnan(simulated_coverage(20, bounded=True, runs=3, alpha=0.1)).all()
    assert np.isnan(detectable_shift(5, 1))
    assert np.isnan(detectable_shift(20, FAMILIES[-1] + 1))
    assert np.isnan(detectable_shift(6, 2)), "six patients cannot pass a family of two"


def test_a_detectable_shift_is_on_the_safe_side() -> None:
    assert detectable_shift(11, 4) == DETECTABLE[10][FAMILIES.index(5)]
    assert power(11, detectable_shift(11, 4), 4, repetitions=600).share > 0.78


@pytest.mark.parametrize("table", [COVERAGE, DETECTABLE])
def test_the_measured_tables_are_whole(table: dict[int, tuple[float, ...]]) -> None:
    assert {len(row) for row in table.values()} == {len(SHAPES) if table is COVERAGE else len(FAMILIES)}


def test_intervals_hold_the_truth_as_often_as_the_project_promises() -> None:
    """93 to 97 % from 30 patients on, for overlaps without failures; 0.005 is the simulation's standard error."""
    for runs in (1, 2):
        column = SHAPES.index(("overlap", runs))
        assert all(0.93 - 0.01 <= row[column] <= 0.97 + 0.01 for n, row in COVERAGE.items() if n >= 30)
        assert all(row[column] >= 0.92 for row in COVERAGE.values())
