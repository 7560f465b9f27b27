from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from contrastseg.evaluation.statistics.ranking import RANKING_COLUMNS, rank, ranking_table

Table = Callable[..., pd.DataFrame]
RNG = np.random.default_rng(0)


def test_a_clear_order_is_certain_and_equal_methods_share_first_place() -> None:
    patients = RNG.normal(0.7, 0.05, (20, 1))
    found = rank(patients + np.array([[0.0, 0.1, 0.2]]), higher=True)
    assert found.ranks.tolist() == [3, 2, 1]
    assert found.first.tolist() == [0, 0, 1]
    assert (found.tau == 1).all()
    assert found.shares.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    equal = rank(np.repeat(patients, 2, axis=1), higher=True)
    assert (equal.ranks.tolist(), equal.first.tolist()) == ([1.5, 1.5], [0.5, 0.5])
    assert np.isnan(equal.tau).all()


def test_of_distances_the_lowest_is_first() -> None:
    assert rank(np.array([[1.0, 5.0], [2.0, 9.0]]), higher=False).ranks.tolist() == [1, 2]


def test_how_often_first_is_the_chance_that_resampled_patients_say_so() -> None:
    """Two methods, n patients: the mean of resampled differences is above 0 about as often as a normal one is."""
    differences = RNG.normal(0.3, 1, 40)
    found = rank(np.stack([differences, np.zeros(40)], axis=1), higher=True, resamples=8000)
    expected = stats.norm.cdf(differences.mean() / (differences.std() / np.sqrt(40)))
    assert found.first[0] == pytest.approx(expected, abs=0.02)
    assert found.first.sum() == pytest.approx(1)


def test_kendalls_tau_is_scipys() -> None:
    values = np.round(RNG.normal(0, 1, (6, 5)), 1)
    values[:, 1] = values[:, 0]  # a tie in every ranking
    found = rank(values, higher=True, resamples=30)
    expected = [stats.kendalltau(row, found.ranks).statistic for row in found.resampled]
    assert found.tau == pytest.approx(expected)
    assert len({round(tau, 6) for tau in found.tau}) > 3


def test_the_table_ranks_complete_methods_within_a_place(table: Table) -> None:
    base = RNG.normal(0.7, 0.05, (10, 2))
    holed = base - 0.1
    holed[:4] = np.nan
    scores = pd.concat(
        [table({"a": base, "b": base + 0.1, "c": holed}), table({"a": base * 10, "b": base * 5}, "hd95", "mm")]
    )
    found = ranking_table(scores, ("dice", "hd95"))
    assert list(found.columns) == list(RANKING_COLUMNS)
    dice = found[found["metric"] == "dice"].set_index("method")
    assert dice["rank"].fillna(0).to_dict() == {"a": 2, "b": 1, "c": 0}, "c lacks predictions"
    assert (dice["n"].fillna(0).tolist(), dice["missing"].tolist()) == ([10, 10, 0], [0, 0, 8])
    assert dice.loc["a", "mean"] == pytest.approx(base.mean())
    assert found[found["metric"] == "hd95"].set_index("method")["rank"].to_dict() == {"a": 2, "b": 1}
    assert (found["kendall_tau"].dropna() == 1).all()
    assert (dice["rank_low"].dropna() == dice["rank_high"].dropna()).all()


def test_one_method_or_no_shared_patient_is_no_ranking(table: Table) -> None:
    assert ranking_table(table({"a": RNG.random(5)})).empty
    apart = {"a": [0.1, 0.2, np.nan, np.nan], "b": [np.nan, np.nan, 0.3, 0.4]}
    assert ranking_table(table(apart)).empty
