"""Families with tuned rows and with rows from elsewhere keep their level, and what the protocol forbids does not."""

from __future__ import annotations

import numpy as np
import pytest
import simulated_rows
from simulated_rows import external_error, tuned_error

LEVEL, FEW, MANY = 0.05, 400, 3000


def most(repetitions: int) -> float:
    """Three Monte-Carlo standard errors above the level."""
    return float(LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / repetitions))


def test_tuned_rows_keep_the_level_and_tuning_one_side_alone_does_not() -> None:
    alike = tuned_error(0.0, n=16, methods=4, repetitions=FEW)
    assert 0.005 < alike.same_setting.share <= most(FEW)
    assert alike.same_setting == alike.any_setting, "no setting is better than another"
    differing = tuned_error(0.02, n=16, methods=4, repetitions=100)
    assert differing.same_setting.share <= most(100)
    assert differing.untuned_baseline.share > 0.3
    assert differing.on_test.share > 0.3


def test_rows_from_elsewhere_keep_the_level_where_they_are_entered_once() -> None:
    assert 0.005 < external_error(2, n=16, methods=4, repetitions=FEW).share <= most(FEW)
    assert external_error(4, n=50, methods=4, repetitions=FEW, entries=10).share > most(FEW)


def test_without_correction_both_kinds_of_rows_raise_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_rows, "holm", np.asarray)
    assert tuned_error(0.0, n=16, methods=8, repetitions=100).same_setting.share > 0.12
    assert external_error(4, n=16, methods=8, repetitions=200).share > 0.12


@pytest.mark.long
@pytest.mark.parametrize("spread", [0.0, 0.02])
@pytest.mark.parametrize("n", [10, 50])
def test_the_family_wise_error_of_tuned_rows_is_at_most_five_per_cent(spread: float, n: int) -> None:
    assert tuned_error(spread, n, methods=6, repetitions=MANY, seed=1).same_setting.share <= most(MANY)


@pytest.mark.long
@pytest.mark.parametrize("external", [1, 6, 12])
@pytest.mark.parametrize("n", [10, 50])
def test_the_family_wise_error_with_rows_from_elsewhere_is_at_most_five_per_cent(external: int, n: int) -> None:
    assert external_error(external, n, methods=12, repetitions=MANY, seed=1).share <= most(MANY)
