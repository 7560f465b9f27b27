"""The table of variance components, and the tests repeated on one seed and one draw alone."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from contrastseg.evaluation.statistics import VARIANCE_COLUMNS, compare, variance_table
from contrastseg.evaluation.statistics.aggregation import ReplicateMatrix
from contrastseg.evaluation.statistics.components import variance_components
from contrastseg.evaluation.statistics.example import example_scores
from contrastseg.evaluation.statistics.variance_table import differences


def scores_of(gains: dict[str, list[float]], draws: int = 1, patients: int = 10) -> pd.DataFrame:
    """Scores of methods with a gain in each seed, the patients' difficulty the same for all."""
    rng = np.random.default_rng(0)
    difficulty = rng.normal(0.6, 0.1, patients)
    usual = example_scores(patients=patients).query("method == 'supervised'")
    parts = []
    for draw in range(draws):
        for method, seeds in gains.items():
            for seed, gain in enumerate(seeds):
                values = difficulty + gain + rng.normal(0, 0.005, patients)
                parts.append(usual.assign(method=method, seed=seed, draw=draw, value=values))
    return pd.concat(parts, ignore_index=True)


def row_of(table: pd.DataFrame, method: str) -> pd.Series:
    return table.set_index("method").loc[method]


def test_one_seed_alone_is_counted_with_the_same_tests() -> None:
    scores = scores_of({"supervised": [0, 0, 0], "a": [0.1, 0.1, 0.0], "b": [0.05, 0.05, -0.1]})
    table = variance_table(scores)
    assert tuple(table.columns) == VARIANCE_COLUMNS
    whole = compare(scores).set_index("method")["verdict"]
    assert whole["a"] == "better"
    for method in ("a", "b"):
        alone = [
            compare(scores[scores["seed"] == seed]).set_index("method").loc[method, "verdict"] for seed in range(3)
        ]
        row = row_of(table, method)
        assert (row["one_seed"], row["one_seed_better"], row["one_seed_worse"]) == (
            *(3, alone.count("better"), alone.count("worse")),
        )
        assert pd.isna(row["one_draw"]), "there is one draw"
        assert row["first_draw_verdict"] == ""
    assert (row_of(table, "a")["one_seed_better"], row_of(table, "b")["one_seed_worse"]) == (2, 1)
    assert pd.isna(row_of(table, "supervised")["one_seed"])


def test_a_draw_without_the_baseline_is_no_repetition() -> None:
    scores = scores_of({"supervised": [0], "a": [0.1]}, draws=3)
    scores = scores[(scores["draw"] < 2) | (scores["method"] == "a")]
    row = row_of(variance_table(scores), "a")
    assert (row["draws"], row["one_draw"], row["one_draw_better"]) == (3, 2, 2)
    assert row["first_draw_verdict"] == "better"
    assert pd.isna(row["one_seed"])
    assert row["unknown"] == row["difference_unknown"] == "seed: part of the draws"


def test_components_are_those_of_scores_and_of_differences_run_by_run() -> None:
    scores = scores_of({"supervised": [0.0, 0.2, 0.0], "a": [0.1, 0.3, 0.1]}, draws=2)
    row = row_of(variance_table(scores), "a")
    at = scores.pivot_table("value", ["patient"], ["method", "draw", "seed"])
    draws = np.array([draw for draw, _ in at["a"].columns])
    ours = variance_components(at["a"].to_numpy(), draws)
    apart = variance_components((at["a"] - at["supervised"]).to_numpy(), draws)
    assert row["variance_seed"] == pytest.approx(ours.seed)
    assert row["difference_variance_seed"] == pytest.approx(apart.seed)
    assert row["variance_seed"] > 0.01 > 100 * abs(row["difference_variance_seed"]), "both share the luck of a seed"
    assert (row["unknown"], row["n"], row["draws"], row["seeds"]) == ("", 10, 2, 3)


def test_without_a_baseline_nothing_is_tested() -> None:
    table = variance_table(scores_of({"a": [0.0, 0.1]}), None)
    row = row_of(table, "a")
    assert math.isnan(row["difference_variance_patient"])
    assert pd.isna(row["one_seed"])
    assert row["reference"] == ""
    assert row["variance_seed"] > 0
    assert len(variance_table(example_scores(), metrics=("hd95",))) == 0


def test_differences_meet_in_shared_runs_and_patients() -> None:
    names = np.array(["p1", "p2", "p3"], dtype=object)
    mine = ReplicateMatrix(names, np.array([0, 0, 1]), np.array([0, 1, 0]), np.arange(9.0).reshape(3, 3))
    theirs = ReplicateMatrix(names[[0, 2]], np.array([0, 1]), np.array([1, 0]), np.array([[1.0, 1.0], [2.0, np.nan]]))
    found = differences(mine, theirs)
    assert found is not None
    values, draws = found
    assert draws.tolist() == [0, 1]
    np.testing.assert_array_equal(values, [[0.0, 1.0], [5.0, np.nan]])
    alone = ReplicateMatrix(names[:1], np.array([2]), np.array([0]), np.ones((1, 1)))
    assert differences(mine, alone) is None
