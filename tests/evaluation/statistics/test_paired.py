from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from contrastseg.evaluation.statistics import paired
from contrastseg.evaluation.statistics.paired import (
    hodges_lehmann,
    holm,
    sign_flip,
    signed_rank,
    signed_rank_rows,
    smallest_p,
)


@pytest.mark.parametrize("n", [3, 6, 12, 25, 50])
def test_without_ties_it_is_the_exact_wilcoxon_test(n: int) -> None:
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.3, 1.0):
        differences = rng.normal(shift, 1, n)
        expected = stats.wilcoxon(differences, method="exact").pvalue
        assert signed_rank(differences).p == pytest.approx(float(expected), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_with_ties_and_zeros_it_is_the_permutation_distribution(differences: list[int]) -> None:
    values = np.array(differences, float)
    nonzero = values[values != 0]
    found = signed_rank(values)
    assert (found.n, found.zeros) == (len(values), len(values) - len(nonzero))
    if not nonzero.size:
        assert found.p == 1
        return
    ranks = stats.rankdata(np.abs(nonzero))
    observed = abs(ranks[nonzero > 0].sum() - ranks.sum() / 2)
    flips = [ranks[np.array(flip, bool)].sum() for flip in itertools.product((0, 1), repeat=len(ranks))]
    expected = np.mean(np.abs(np.array(flips) - ranks.sum() / 2) >= observed - 1e-9)
    assert found.p == pytest.approx(expected)
    assert found.ties == sum(np.sum(np.abs(nonzero) == size) > 1 for size in np.abs(nonzero))


def test_the_normal_approximation_takes_over_smoothly(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.round(np.random.default_rng(0).normal(0.1, 1, 380), 1)
    exact = signed_rank(differences).p
    interval = hodges_lehmann(differences)
    monkeypatch.setattr(paired, "_EXACT_UP_TO", 10)
    assert signed_rank(differences).p == pytest.approx(exact, rel=0.01)
    assert hodges_lehmann(differences) == pytest.approx(interval, abs=0.01)


def test_averages_of_equal_scores_are_equal() -> None:
    assert signed_rank([0.1 + 0.2 - 0.3, 0.5]).zeros == 1


@pytest.mark.parametrize(("n", "family", "smallest"), [(6, 1, 0.03125), (10, 68, 0.1328125), (5, 1, 0.0625), (3, 9, 1)])
def test_smallest_reachable_p(n: int, family: int, smallest: float) -> None:
    assert smallest_p([n] * family).tolist() == [smallest] * family
    if family == 1:
        assert signed_rank(np.arange(1, n + 1)).p == smallest


def test_a_small_comparison_beside_large_ones_can_reach_more() -> None:
    """Holm multiplies by fewer after the certain ones: m·2/2ⁿ would call a significant p impossible."""
    reach = smallest_p([6, 30, 30])
    assert reach.tolist() == [0.03125, 3 * 2 / 2**30, 3 * 2 / 2**30]
    clearest = [signed_rank(np.arange(1, n + 1)).p for n in (6, 30, 30)]
    assert holm(clearest).tolist() == pytest.approx(reach.tolist())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([-3, -1.5, -1, 0, 0.5, 1, 2, 2.5, np.nan]), min_size=7, max_size=7), min_size=1)
)
def test_rows_are_tested_as_one_by_one(rows: list[list[float]]) -> None:
    rows.append([1, -2, 3, -4, 5, 6, 7])
    one_by_one = [signed_rank([value for value in row if not np.isnan(value)]) for row in rows]
    together = signed_rank_rows(rows)
    for slow, fast in zip(one_by_one, together, strict=True):
        assert fast == dataclasses.replace(slow, p=pytest.approx(slow.p, rel=1e-12))


def test_sign_flip_enumerates_small_samples_and_draws_for_large_ones() -> None:
    assert sign_flip(np.arange(1, 7)) == 2 / 2**6
    assert sign_flip([0.0, 0.0]) == 1
    differences = np.random.default_rng(1).normal(0.4, 1, 30)
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(0)
    ).pvalue
    assert sign_flip(differences) == pytest.approx(float(expected), abs=0.01)
    assert sign_flip(differences) == sign_flip(differences)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_stepping_down_rejects(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for alpha in (0.01, 0.05, 0.3):
        rejected = set()
        for step, index in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[index] * (len(p_values) - step) > alpha:
                break
            rejected.add(int(index))
        assert set(np.flatnonzero(adjusted <= alpha).tolist()) == rejected


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    # statsmodels.stats.multitest.multipletests(…, method="holm")
    found = holm([0.01, 0.8, 0.013, 0.02, 0.02, 0.6])
    assert found == pytest.approx([0.06, 1.0, 0.065, 0.08, 0.08, 1.0])


def test_hodges_lehmann_by_hand() -> None:
    estimate, low, high = hodges_lehmann([1, 2, 3, 4, 5, 6])
    assert (estimate, low, high) == (3.5, 1, 6)
    assert np.isnan(hodges_lehmann([1, 2, 3, 4, 5])[1:]).all()
    # Hollander, Wolfe and Chicken, table 3.1 (depression scores): estimate -0.46, interval (-0.786, -0.010) at n = 9.
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    found = hodges_lehmann(after - before, alpha=0.0391)
    assert found == pytest.approx((-0.46, -0.786, -0.010), abs=0.0006)


def test_the_interval_of_hodges_lehmann_agrees_with_the_test() -> None:
    rng = np.random.default_rng(5)
    for _ in range(40):
        differences = rng.normal(0.5, 1, 12)
        _, low, high = hodges_lehmann(differences)
        assert (low > 0 or high < 0) == (signed_rank(differences).p <= 0.05)
