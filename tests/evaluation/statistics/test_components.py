"""Variance components on synthetic scores whose components are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from contrastseg.evaluation.statistics import components
from contrastseg.evaluation.statistics.components import minque, spread_range, variance_components

DRAWS = np.repeat([0, 1, 2], 3)


def simulated(rng: np.random.Generator, n: int, draws: NDArray, variances: tuple[float, ...]) -> NDArray:
    """Patients × runs of independent normal effects: patient, draw, seed, patient × draw, the rest."""
    patient, draw, seed, shared, rest = np.sqrt(variances)
    levels, at = np.unique(draws, return_inverse=True)
    values = rng.normal(0, patient, (n, 1)) + rng.normal(0, draw, len(levels))[at] + rng.normal(0, seed, len(draws))
    found: NDArray = values + rng.normal(0, shared, (n, len(levels)))[:, at] + rng.normal(0, rest, (n, len(draws)))
    return found


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_the_estimates_are_right_on_average_whatever_is_missing(missing: float) -> None:
    rng, found = np.random.default_rng(0), []
    for _ in range(600):
        values = simulated(rng, 10, DRAWS, (1.0, 0.25, 0.09, 0.16, 0.04))
        values[rng.random(values.shape) < missing] = np.nan
        if missing:
            values[:, 8] = np.nan  # a draw with two seeds
        values = values[~np.isnan(values).all(axis=1)]
        one = variance_components(values, DRAWS)
        assert not one.unknown
        found.append((one.patient, one.draw, one.seed, one.interaction))
    truth = np.array([1.0, 0.25, 0.09, 0.20])
    error = np.std(found, axis=0) / math.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - truth) < 3.5 * error)
    assert np.all(error < 0.1 * truth), "a wrong estimate would be seen"


def test_balanced_seeds_give_the_analysis_of_variance() -> None:
    values = simulated(np.random.default_rng(1), 7, np.zeros(4), (1.0, 0.0, 0.5, 0.0, 0.2))
    n, runs = values.shape
    grand, rows, columns = values.mean(), values.mean(axis=1), values.mean(axis=0)
    inside = ((values - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (runs - 1))
    found = variance_components(values, np.zeros(4))
    assert found.interaction == pytest.approx(inside)
    assert found.patient == pytest.approx((runs * rows.var(ddof=1) - inside) / runs)
    assert found.seed == pytest.approx((n * columns.var(ddof=1) - inside) / n)
    assert math.isnan(found.draw)
    assert found.unknown == {"draw": components.ONE_DRAW}


def test_balanced_draws_and_seeds_give_the_nested_analysis_of_variance() -> None:
    values = simulated(np.random.default_rng(2), 6, DRAWS, (1.0, 0.5, 0.3, 0.2, 0.1))
    n, seeds, draws = 6, 3, 3
    cells = values.reshape(n, draws, seeds)
    of_draw, of_run, of_both = cells.mean(axis=(0, 2)), cells.mean(axis=0), cells.mean(axis=2)
    patients, grand = cells.mean(axis=(1, 2)), cells.mean()
    ms_seed = n * ((of_run - of_draw[:, None]) ** 2).sum() / (draws * (seeds - 1))
    ms_both = seeds * ((of_both - patients[:, None] - of_draw + grand) ** 2).sum() / ((n - 1) * (draws - 1))
    rest = cells - of_both[:, :, None] - of_run + of_draw[:, None]
    ms_rest = (rest**2).sum() / (draws * (n - 1) * (seeds - 1))
    ms_draw = n * seeds * of_draw.var(ddof=1)
    found = variance_components(values, DRAWS)
    assert found.seed == pytest.approx((ms_seed - ms_rest) / n)
    assert found.interaction == pytest.approx((ms_both - ms_rest) / seeds + ms_rest)
    assert found.draw == pytest.approx((ms_draw - ms_seed - ms_both + ms_rest) / (n * seeds))
    assert found.patient == pytest.approx((seeds * draws * patients.var(ddof=1) - ms_both) / (seeds * draws))


@pytest.mark.parametrize(
    ("values", "draws", "unknown"),
    [
        (np.ones((1, 4)), [0, 0, 1, 1], dict.fromkeys(("patient", "draw", "seed", "interaction"), "one patient")),
        (np.ones((5, 1)), [0], {"draw": "one draw", "seed": "one seed", "interaction": "part of the patients"}),
        (np.ones((5, 3)), [0, 0, 0], {"draw": "one draw"}),
        (np.ones((5, 3)), [0, 1, 2], {"seed": "part of the draws"}),
        (np.ones((5, 3)), [0, 0, 1], {}),
    ],
)
def test_what_a_design_cannot_tell_is_named(values: NDArray, draws: list[int], unknown: dict[str, str]) -> None:
    values = values * np.random.default_rng(0).normal(size=values.shape)
    found = variance_components(values, np.array(draws))
    assert found.unknown == unknown
    for name in ("patient", "draw", "seed", "interaction"):
        assert math.isnan(getattr(found, name)) == (name in unknown)


def test_effects_that_the_design_makes_one_are_not_told_apart() -> None:
    values = np.random.default_rng(0).normal(size=(8, 2))
    values[:4, 0] = values[4:, 1] = np.nan  # no patient in both runs
    assert set(variance_components(values, np.zeros(2)).unknown.values()) == {components.CONFOUNDED}


def test_one_run_has_the_variance_of_its_scores() -> None:
    values = np.random.default_rng(0).normal(size=(9, 1))
    assert variance_components(values, np.zeros(1)).patient == pytest.approx(values.var(ddof=1))


@given(st.integers(0, 1000), st.floats(-5, 5), st.floats(0.1, 10))
def test_a_shift_changes_nothing_and_a_scale_counts_squared(seed: int, shift: float, scale: float) -> None:
    values = simulated(np.random.default_rng(seed), 5, DRAWS, (1.0, 0.3, 0.2, 0.1, 0.1))
    one, other = variance_components(values, DRAWS), variance_components(scale * values + shift, DRAWS)
    for name in ("patient", "draw", "seed", "interaction"):
        assert getattr(other, name) == pytest.approx(scale**2 * getattr(one, name), abs=1e-9 * scale**2)


@given(st.integers(0, 1000), st.floats(0, 3))
def test_an_effect_of_one_kind_counts_there_alone(seed: int, size: float) -> None:
    """What is added to whole draws changes the component of draws, and no other."""
    rng = np.random.default_rng(seed)
    values = simulated(rng, 6, DRAWS, (1.0, 0.3, 0.2, 0.1, 0.1))
    one = variance_components(values, DRAWS)
    other = variance_components(values + size * rng.normal(size=3)[DRAWS], DRAWS)
    for name in ("patient", "seed", "interaction"):
        assert getattr(other, name) == pytest.approx(getattr(one, name), abs=1e-9)


def test_the_range_of_a_spread_of_three() -> None:
    assert spread_range(3) == pytest.approx((0.5207, 6.2847), abs=1e-4)
    rng = np.random.default_rng(0)
    low, high = spread_range(4, 0.9)
    deviations = rng.normal(size=(20_000, 4)).std(axis=1, ddof=1)
    assert np.mean((low * deviations <= 1) & (high * deviations >= 1)) == pytest.approx(0.9, abs=0.01)


def test_a_design_without_groups_has_the_variance() -> None:
    scores = np.random.default_rng(0).normal(size=12)
    assert minque(scores, []) == pytest.approx([scores.var(ddof=1)])
