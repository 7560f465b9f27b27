from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.scoring.collect import COLUMNS
from contrastseg.evaluation.statistics.convention_ranks import RANK_COLUMNS, convention_ranks
from contrastseg.evaluation.statistics.summary import summarise

Table = Callable[..., pd.DataFrame]
NAN = math.nan


def under(table: pd.DataFrame, convention: str) -> pd.DataFrame:
    return table.assign(convention=convention)


@pytest.fixture
def scores(table: Table) -> pd.DataFrame:
    """b misses an organ: worst by default, best where a missed one is at distance 0, unseen where it is dropped."""
    default = table({"a": [4.0, 4.0], "b": [2.0, 90.0], "c": [5.0, 5.0]}, metric="hd95", unit="mm")
    zero = table({"a": [4.0, 4.0], "b": [2.0, 0.0], "c": [5.0, 5.0]}, metric="hd95", unit="voxel")
    dropped = table({"a": [4.0, 4.0], "b": [2.0, NAN], "c": [5.0, 5.0]}, metric="hd95", unit="mm")
    missed = (default["method"] == "b") & (default["patient"] == "p001")
    for part in (default, zero, dropped):
        part.loc[missed, "outcome"] = "missed"
    return pd.concat([under(zero, "ssl4mis"), under(default, "default"), under(dropped, "monai")], ignore_index=True)


def by(ranks: pd.DataFrame, column: str) -> dict[str, list[float]]:
    return {str(name): part.sort_values("method")[column].tolist() for name, part in ranks.groupby("convention")}


def test_ranks_shift_by_the_convention_alone(scores: pd.DataFrame) -> None:
    ranks = convention_ranks(scores, "default")
    assert tuple(ranks.columns) == RANK_COLUMNS
    assert ranks["convention"].iloc[0] == "default", "the base comes first"
    assert by(ranks, "rank") == {"default": [1, 3, 2], "ssl4mis": [2, 1, 3], "monai": [2, 1, 3]}
    assert by(ranks, "shift") == {"default": [0, 0, 0], "ssl4mis": [1, -2, 1], "monai": [1, -2, 1]}
    assert by(ranks, "left_out") == {"default": [0, 0, 0], "ssl4mis": [0, 0, 0], "monai": [0, 1, 0]}
    # Of three pairs of methods, two change places.
    assert {name: tau[0] for name, tau in by(ranks, "tau").items()} == pytest.approx(
        {"default": 1.0, "ssl4mis": -1 / 3, "monai": -1 / 3}
    )
    assert dict(zip(ranks["convention"], ranks["unit"], strict=True)) == {
        "default": "mm",
        "ssl4mis": "voxel",
        "monai": "mm",
    }


def test_means_are_those_of_the_tables(scores: pd.DataFrame) -> None:
    summary = summarise(scores[scores["convention"] == "default"][list(COLUMNS)])
    expected = summary[summary["class"] == "mean"].sort_values("method")["mean"].tolist()
    assert by(convention_ranks(scores, "default"), "mean")["default"] == pytest.approx(expected)


def test_higher_is_better_where_it_is_and_equal_means_share_a_rank(table: Table) -> None:
    scores = under(table({"a": [0.5], "b": [0.9], "c": [0.9]}), "default")
    ranks = convention_ranks(scores, "default")
    assert by(ranks, "rank")["default"] == [3, 1, 1]


def test_methods_with_holes_or_without_a_value_have_no_rank(table: Table) -> None:
    holes = under(table({"a": [0.5, 0.5], "b": [0.9, NAN]}), "default")  # the fixture calls NaN a hole
    nothing = under(table({"a": [0.5, 0.5], "b": [NAN, NAN]}), "medpy")
    nothing["outcome"] = "missed"
    ranks = convention_ranks(pd.concat([holes, nothing]), "default")
    assert by(ranks, "rank")["default"] == pytest.approx([1, NAN], nan_ok=True)
    assert by(ranks, "holes")["default"] == [0, 1]
    assert by(ranks, "rank")["medpy"] == pytest.approx([1, NAN], nan_ok=True)
    assert by(ranks, "n_patients")["medpy"] == [2, 0]
    assert np.isnan(ranks["tau"]).all()


def test_each_budget_and_data_set_has_its_own_ranking(table: Table) -> None:
    parts = [table({"a": [0.5], "b": [0.9]}), table({"a": [0.8], "b": [0.6]}, labels="r0.5", label_ratio=0.5)]
    ranks = convention_ranks(under(pd.concat(parts), "default"), "default")
    found = {key: part.sort_values("method")["rank"].tolist() for key, part in ranks.groupby("labels")}
    assert found == {"r0.1": [2, 1], "r0.5": [1, 2]}


def test_units_may_differ_between_conventions_but_not_within_one(table: Table) -> None:
    mixed = [table({"a": [1.0]}, metric="hd", unit=unit, method=name) for name, unit in (("a", "mm"), ("b", "voxel"))]
    with pytest.raises(ScoringError, match="mm and voxel"):
        convention_ranks(under(pd.concat(mixed), "default"), "default")


def test_without_scores_there_is_nothing_to_rank(scores: pd.DataFrame) -> None:
    assert convention_ranks(scores.iloc[:0], "default").empty
