"""The oracle and its optimism against a slow version that a reader can check."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.statistics import compare, critical_table, pairwise, ranking_table, summarise
from contrastseg.evaluation.statistics.intervals import BOOTSTRAP_FROM
from contrastseg.evaluation.statistics.selection import (
    SELECTION_COLUMNS,
    _interval,
    _oracle_and_cross_fitted,
    oracle_choice,
    selection_table,
)
from tests.evaluation.conftest import AXES

NAMES = ["step100", "step20", "last"]  # in the order of files, not of training


def candidates(values: np.ndarray, names: list[str] = NAMES, **axes: Any) -> pd.DataFrame:
    """Collected Dice of (patients, candidates); a patient without a value has the structure in no image."""
    rows = [
        {
            **AXES,
            **axes,
            "checkpoint": name,
            "patient": f"p{p:02}",
            "case": f"p{p:02}",
            "class": "organ",
            "metric": "dice",
        }
        | {"value": value, "unit": "1", "outcome": "absent" if np.isnan(value) else "scored"}
        for name, column in zip(names, values.T, strict=True)
        for p, value in enumerate(column)
    ]
    return pd.DataFrame(rows)


def slow(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each patient's score with the oracle and cross-fitted. Candidates are in the order of training."""

    def best(rows: np.ndarray) -> int:
        means = [np.nanmean(column) for column in rows.T]
        return max(range(len(means)), key=lambda at: (round(means[at], 12), at))

    fitted = [values[p, best(np.delete(values, p, axis=0))] for p in range(len(values))]
    return values[:, best(values)], np.array(fitted)


def test_the_highest_mean_is_selected_and_of_equal_ones_the_latest() -> None:
    scores = candidates(np.array([[0.5, 0.9, 0.4], [0.7, 0.1, 0.7]]))
    choice = oracle_choice(scores)
    assert (choice.checkpoint, choice.incomplete) == ("step100", ())
    assert list(choice.means) == ["step20", "step100", "last"]
    assert choice.means == pytest.approx({"step20": 0.5, "step100": 0.6, "last": 0.55})
    assert oracle_choice(candidates(np.full((2, 3), 0.5))).checkpoint == "last"
    # A class of its own counts as much as the others: the mean is over classes, then patients.
    other = scores.assign(**{"class": "vessel", "value": [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]})
    assert oracle_choice(pd.concat([scores, other])).checkpoint == "step20"
    with pytest.raises(ScoringError, match="dice"):
        oracle_choice(scores.assign(metric="hd95"))


def test_a_candidate_with_missing_predictions_is_not_selected_while_another_is_whole() -> None:
    scores = candidates(np.array([[0.9, 0.2, 0.4], [0.9, 0.2, 0.3]]))
    hole = (scores["checkpoint"] == "step100") & (scores["patient"] == "p01")
    holed = scores.assign(value=scores["value"].mask(hole), outcome=scores["outcome"].mask(hole, "hole"))
    assert oracle_choice(scores).checkpoint == "step100"
    choice = oracle_choice(holed)
    assert (choice.checkpoint, choice.incomplete) == ("last", ("step100",))
    nothing = holed.assign(value=np.nan, outcome="hole")
    assert oracle_choice(nothing).checkpoint == "last", "the tables report what is missing"
    (row,) = selection_table(holed).to_dict("records")
    assert row["missing"] == 1
    assert np.isnan(row["oracle"])
    # Two seeds, of which one was not scored at its last checkpoint yet.
    other = scores.assign(seed=1)
    (row,) = selection_table(pd.concat([scores, other[other["checkpoint"] != "last"]])).to_dict("records")
    assert row["missing"] == 1
    assert np.isnan(row["last"])
    assert np.isnan(row["oracle"])


def test_the_table_is_the_slow_version_s_over_runs_and_absent_structures() -> None:
    rng = np.random.default_rng(3)
    runs = [rng.uniform(0.3, 0.9, (7, 3)) for _ in range(3)]
    runs[1][2, 0] = np.nan  # absent at one candidate, found by the others
    scores = pd.concat([candidates(values, seed=seed) for seed, values in enumerate(runs)])
    validated = rng.uniform(0.3, 0.9, (7, 3))
    scores = pd.concat([scores, candidates(validated[:, :1], ["best_val"], seed=0)])
    table = selection_table(scores)
    assert list(table.columns) == list(SELECTION_COLUMNS)
    (row,) = table.to_dict("records")
    in_order = [values[:, [1, 0, 2]] for values in runs]
    means = [slow(values) for values in in_order]
    oracle, fitted = (np.nanmean(each, axis=0).mean() for each in zip(*means, strict=True))
    assert (row["oracle"], row["cross_fitted"]) == pytest.approx((oracle, fitted))
    assert row["optimism"] == pytest.approx(row["oracle"] - row["cross_fitted"])
    assert row["last"] == pytest.approx(np.mean([values[:, 2] for values in runs]))
    assert row["best_val"] == pytest.approx(validated[:, 0].mean())
    assert (row["candidates"], row["n_runs"], row["n_patients"]) == (3, 3, 7)
    assert (row["checkpoint"], row["note"]) == ("best_test", "oracle, not comparable")
    assert np.isnan(row["optimism_low"]), "no interval of so few patients"


def test_a_selection_that_nothing_hangs_on_has_no_optimism() -> None:
    patients = np.random.default_rng(0).uniform(0.5, 0.9, (BOOTSTRAP_FROM, 1))
    clear = selection_table(candidates(patients + np.array([[0.0, -0.1, 0.05]]))).iloc[0]
    assert clear["oracle"] - clear["last"] == pytest.approx(0)
    assert (clear["optimism"], clear["optimism_low"], clear["optimism_high"]) == pytest.approx((0, 0, 0))


def test_the_optimism_among_equal_candidates_is_what_the_best_of_them_gains_by_luck() -> None:
    """Of three equal candidates the best mean is 0.846 standard errors too high; cross-fitted it is unbiased."""
    rng, trials, patients = np.random.default_rng(0), 4000, 10
    everyone = np.ones((1, patients))
    means = np.array([_oracle_and_cross_fitted([rng.normal(size=(patients, 3))], everyone) for _ in range(trials)])
    oracle, fitted = means[:, :, 0].mean(axis=0)
    assert oracle == pytest.approx(0.846 / np.sqrt(patients), abs=0.02)
    assert fitted == pytest.approx(0, abs=0.03)


def test_the_interval_repeats_the_selection_and_leaves_all_copies_of_a_patient_out() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0.3, 0.9, (BOOTSTRAP_FROM, 3))
    row = selection_table(candidates(values), resamples=200).iloc[0]
    weights = np.random.default_rng([0, len(values)]).multinomial(len(values), np.full(len(values), 0.05), size=200)
    in_order, optimism = values[:, [1, 0, 2]], []
    for drawn in weights:
        copies = np.repeat(np.arange(len(values)), drawn)
        fitted = []
        for p in copies:
            others = in_order[copies[copies != p]].mean(axis=0)
            fitted.append(in_order[p, others.argmax()])
        optimism.append(in_order[copies].mean(axis=0).max() - np.mean(fitted))
    expected = np.quantile(optimism, [0.025, 0.975])
    assert [row["optimism_low"], row["optimism_high"]] == pytest.approx(expected.tolist())


def test_the_interval_holds_the_mean_optimism_of_equal_candidates_at_least_as_often_as_it_claims() -> None:
    """It is wide: resamples add noise of their own to the selection. The mean is 1.163 standard errors for five."""
    rng, held, trials = np.random.default_rng(1), 0, 60
    for _ in range(trials):
        low, high = _interval([rng.normal(size=(BOOTSTRAP_FROM, 5))], BOOTSTRAP_FROM, 0.05, 200)
        held += low <= 1.163 / np.sqrt(BOOTSTRAP_FROM) <= high
    assert held >= 0.95 * trials


def test_the_oracle_is_described_and_never_tested_or_ranked() -> None:
    rng = np.random.default_rng(2)
    base = rng.uniform(0.5, 0.8, (10, 1))
    methods = [
        candidates(np.hstack([base + gain, base + gain + 0.1]), ["last", "best_test"], method=method)
        for method, gain in (("supervised", 0.0), ("mean_teacher", 0.05))
    ]
    scores = pd.concat([one.assign(dataset=name, evaluated_on=name) for one in methods for name in "abc"])
    summary = summarise(scores)
    assert set(summary["checkpoint"]) == {"last", "best_test"}
    oracle = summary[summary["checkpoint"] == "best_test"]
    assert oracle["mean"].notna().all()
    assert oracle["low"].isna().all()
    assert (oracle["interval_kind"] == "none").all()
    assert summary.loc[summary["checkpoint"] == "last", "low"].notna().all()
    for table in (compare(scores), pairwise(scores), ranking_table(scores)):
        assert set(table["checkpoint"]) == {"last"}
    pd.testing.assert_frame_equal(compare(scores), compare(scores[scores["checkpoint"] == "last"]))
    assert compare(scores[scores["checkpoint"] == "best_test"]).empty
    assert critical_table(scores).empty, "two methods make no diagram"
