"""Further draws of some methods: verdicts stay those of the draws that all have, beside a mean over all draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.statistics import DRAW_COLUMNS, compare, draw_table, pairwise, summarise, variance_table
from contrastseg.evaluation.statistics.draws import balanced_draws, common_draws, shared_draws
from contrastseg.evaluation.statistics.example import example_scores

Runs = Mapping[str, Sequence[tuple[int, int]]]
FURTHER = {
    "supervised": [(0, 0), (0, 1), (1, 0), (2, 0)],
    "a": [(0, 0), (0, 1), (1, 0), (2, 0)],
    "b": [(0, 0), (0, 1)],
    "c": [(0, 0), (0, 1), (1, 0)],
}


def scores_of(runs: Runs, gains: Mapping[tuple[str, int], float], patients: int = 10) -> pd.DataFrame:
    """Scores of methods in (draw, seed), with a gain by method and draw; the same numbers in whatever company."""
    usual = example_scores(patients=patients).query("method == 'supervised'")
    parts = []
    for number, (method, there) in enumerate(runs.items()):
        for draw, seed in there:
            noise = np.random.default_rng([number, draw, seed]).normal(0, 0.01, patients)
            values = usual["value"] + gains.get((method, draw), 0.0) + noise
            parts.append(usual.assign(method=method, draw=draw, seed=seed, value=values))
    return pd.concat(parts, ignore_index=True)


GAINS = {("a", 0): 0.0, ("a", 1): 0.05, ("a", 2): 0.05, ("b", 0): 0.05}


@pytest.fixture
def scores() -> pd.DataFrame:
    return scores_of(FURTHER, GAINS)


@pytest.fixture
def alone() -> pd.DataFrame:
    """The scores as if the further draws had not been run."""
    return scores_of({method: [run for run in runs if run[0] == 0] for method, runs in FURTHER.items()}, GAINS)


@pytest.mark.parametrize("statistics", [compare, pairwise, summarise, variance_table])
def test_statistics_of_the_common_draws_are_as_if_no_other_had_been_run(
    statistics: object, scores: pd.DataFrame, alone: pd.DataFrame
) -> None:
    ours, expected = (statistics(part) for part in (common_draws(scores, [0]), alone))  # type: ignore[operator]
    pd.testing.assert_frame_equal(ours, expected)
    assert not ours.equals(statistics(scores)), "with all draws it is another table"  # type: ignore[operator]


def test_draws_that_all_methods_have(scores: pd.DataFrame, alone: pd.DataFrame) -> None:
    assert shared_draws(scores) == [0]
    assert shared_draws(scores[scores["method"] != "b"]) == [0, 1]
    apart = scores[(scores["method"] == "b") | (scores["draw"] > 0)]
    assert shared_draws(apart) == [0, 1, 2], "they share none: nothing is left out"
    assert shared_draws(scores.iloc[:0]) == []
    assert common_draws(alone, [0]) is alone


def test_components_are_of_all_draws_and_repetitions_of_the_common_ones(
    scores: pd.DataFrame, alone: pd.DataFrame
) -> None:
    table, of_all, before = (
        variance_table(*given).set_index("method")
        for given in (
            (scores, "supervised", ("dice",), 0.05, "methods_and_ratios", "best_or_worst", [0]),
            (scores,),
            (alone,),
        )
    )
    components = [name for name in table if "variance" in name or "unknown" in name] + ["draws", "seeds", "n"]
    pd.testing.assert_frame_equal(table[components], of_all[components])
    assert table["draws"].to_dict() == {"supervised": 3, "a": 3, "b": 1, "c": 2}
    assert np.isfinite(table.loc["a", "variance_draw"])
    assert before["unknown"].str.contains("one draw").all()
    repeated = [name for name in table if name.startswith("one_")] + ["first_draw_verdict"]
    pd.testing.assert_frame_equal(table[repeated], before[repeated])


def test_the_mean_over_draws_is_a_family_of_the_methods_with_all_of_them(scores: pd.DataFrame) -> None:
    table = draw_table(scores, [0, 1, 2])
    assert tuple(table.columns) == DRAW_COLUMNS
    assert table["method"].tolist() == ["a", "supervised"], "b has one draw, c two"
    row, headline = table.iloc[0], compare(common_draws(scores, [0])).set_index("method")
    assert headline.loc["a", "family_size"] == 3
    assert row["family_size"] == 1
    assert row["family"] == headline.loc["a", "family"] + " · mean over draws 0, 1, 2"
    assert (headline.loc["a", "verdict"], row["verdict"]) == ("n.s.", "better")
    assert row["p_holm"] == pytest.approx(row["p"])
    assert (row["draws"], row["seeds"], row["one_draw"], row["one_draw_better"]) == (3, 1, 3, 2)
    assert pd.isna(row["one_seed"]), "one seed is in every draw"


def test_each_draw_has_the_same_weight(scores: pd.DataFrame) -> None:
    """Draw 0 has two seeds: the one that the other draws lack is left out."""
    balanced = balanced_draws(scores, [0, 1, 2], "supervised")
    assert set(balanced["seed"]) == {0}
    at = balanced.pivot_table("value", "patient", ["method", "draw"])
    expected = float((at["a"] - at["supervised"]).mean().mean())
    row = draw_table(scores, [0, 1, 2]).iloc[0]
    assert row["mean_difference"] == pytest.approx(expected)
    assert compare(scores).set_index("method").loc["a", "mean_difference"] != pytest.approx(expected)


def test_each_place_has_the_methods_that_have_all_draws_there(scores: pd.DataFrame) -> None:
    one, other = scores, scores.assign(labels="n7", label_ratio=0.7)
    other = other[(other["method"] != "a") | (other["draw"] < 2)]
    assert set(
        balanced_draws(pd.concat([one, other]), [0, 1, 2], "supervised")[["labels", "method"]].agg("/".join, axis=1)
    ) == {"n3/a", "n3/supervised", "n7/supervised"}
    table = draw_table(pd.concat([one, other]), [0, 1, 2])
    assert table.loc[table["method"] == "a", "labels"].tolist() == ["n3"]
    assert table["family_size"].unique().tolist() == [1]


def test_without_all_draws_nothing_is_compared(scores: pd.DataFrame) -> None:
    lacking = scores[(scores["method"] != "supervised") | (scores["draw"] < 2)]
    for given in (lacking, scores[scores["method"] != "a"], scores.iloc[:0]):
        table = draw_table(given, [0, 1, 2])
        assert table.empty
        assert tuple(table.columns) == DRAW_COLUMNS
    with pytest.raises(ScoringError):
        draw_table(scores, [0, 1, 2], baseline="absent")
