from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy import stats

from contrastseg.evaluation.statistics.critical import (
    CRITICAL_COLUMNS,
    Critical,
    critical_difference,
    critical_table,
    diagram_power,
    diagrams,
    groups,
    nemenyi,
)

Table = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_scikit_posthocs_and_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (12, 5)) + np.linspace(0, 2.5, 5)
    found = critical_difference(scores, higher=True)
    statistic = 12 * 12 / (5 * 6) * (np.sum(found.ranks**2) - 5 * 6**2 / 4)  # Demšar 2006, section 3.2.2
    assert found.p == pytest.approx(float(stats.chi2.sf(statistic, 4)))
    p = posthoc_nemenyi_friedman(scores).to_numpy()
    off = ~np.eye(5, dtype=bool)
    assert ((p <= 0.05) == found.significant)[off].all()
    assert (p <= 0.05)[off].any(), "the case shows nothing"
    assert nemenyi(scores) == pytest.approx(p)


def test_the_published_example() -> None:
    """Demšar 2006: q of 4 methods at 0.05 is 2.569, and 14 data sets give a critical difference of 1.25."""
    found = critical_difference(np.eye(14, 4), higher=True)
    assert found.difference == pytest.approx(2.569 * np.sqrt(4 * 5 / (6 * 14)), abs=2e-3)
    assert found.difference == pytest.approx(1.25, abs=0.01)


def test_first_rank_is_best_and_equal_methods_are_no_finding() -> None:
    scores = np.tile([0.5, 0.9, 0.7], (4, 1))
    assert critical_difference(scores, higher=True).ranks.tolist() == [3, 1, 2]
    assert critical_difference(scores, higher=False).ranks.tolist() == [1, 3, 2]
    assert critical_difference(np.ones((4, 3)), higher=True).p == 1


def test_three_data_sets_cannot_tell_many_methods_apart_however_clear() -> None:
    perfect = np.tile(np.arange(20.0), (3, 1))
    found = critical_difference(perfect, higher=True)
    assert not found.cannot_reject
    assert found.significant.sum() <= 6, "only the far ends, after three unanimous data sets"
    assert diagram_power(3, 20) < 0.02
    assert diagram_power(30, 4) > 0.7
    assert critical_difference(np.tile(np.arange(3.0), (2, 1)), higher=True).cannot_reject


def test_bars_join_what_is_not_told_apart_and_are_not_inside_one_another() -> None:
    ranks = np.array([4.0, 1.0, 1.8, 3.2])
    apart = np.abs(ranks[:, None] - ranks) >= 1.5
    bars = groups(Critical(ranks, 1.5, 0.01, apart, 9))
    assert [bar.tolist() for bar in bars] == [[1, 2], [2, 3], [3, 0]]
    assert groups(Critical(ranks, 0.5, 0.01, np.abs(ranks[:, None] - ranks) >= 0.5, 9)) == []
    assert [bar.tolist() for bar in groups(Critical(ranks, 9, 0.5, np.zeros((4, 4), bool), 9))] == [[1, 2, 3, 0]]


def test_diagrams_hold_what_ran_everywhere_and_a_data_set_once(table: Table) -> None:
    rng = np.random.default_rng(0)
    parts = []
    for dataset in ("d1", "d2", "d3", "d4"):
        methods = {name: rng.normal(mean, 0.02, 8) for name, mean in zip("abc", (0.6, 0.7, 0.8), strict=True)}
        if dataset != "d2":
            methods["partly"] = methods["a"]
        parts.append(table(methods, dataset=dataset, evaluated_on=dataset))
    parts.append(table({name: 1 - methods[name] for name in "abc"}, dataset="d4", evaluated_on="elsewhere"))
    parts.append(table({name: methods[name] for name in "abc"}, labels="r1", label_ratio=1.0))
    scores = pd.concat(parts, ignore_index=True)
    (found,) = diagrams(scores)
    assert found.datasets == ["d1", "d2", "d3", "d4"]
    assert [method for method, _ in found.methods] == ["a", "b", "c"]
    assert found.critical.ranks.tolist() == [3, 2, 1]
    rows = critical_table(scores)
    assert list(rows.columns) == list(CRITICAL_COLUMNS)
    assert rows["datasets"].tolist() == [4, 4, 4]
    assert rows.set_index("method")["p_to_best"]["c"] == 1
    assert rows["power"].iloc[0] == diagram_power(4, 3)
    assert critical_table(parts[0]).empty
