"""Two rows for one case, class, metric and run that disagree are an error, wherever a table is read or averaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrastseg.errors import ScoringError
from contrastseg.evaluation.distinct import distinct_rows
from contrastseg.evaluation.scoring.collect import CONVENTION_COLUMNS, collect, read_table, write_table
from contrastseg.evaluation.scoring.scoring import write_scores
from contrastseg.evaluation.statistics import compare, critical_table, pairwise, per_patient, ranking_table, summarise
from contrastseg.evaluation.statistics.convention_ranks import convention_ranks

Table = Callable[..., pd.DataFrame]


@pytest.fixture
def scores(table: Table) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return table({"supervised": rng.uniform(0.5, 0.9, (8, 2)), "other": rng.uniform(0.5, 0.9, (8, 2))})


def with_row(scores: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """Once more the row of p003, of the second run of `other`, changed."""
    chosen = scores[(scores["case"] == "p003") & (scores["method"] == "other") & (scores["seed"] == 1)]
    return pd.concat([scores, chosen.assign(**changes)], ignore_index=True)


READERS: dict[str, Callable[[pd.DataFrame], Any]] = {
    "summarise": summarise,
    "compare": compare,
    "pairwise": pairwise,
    "ranking": ranking_table,
    "critical": lambda scores: critical_table(pd.concat([scores, scores.assign(dataset="second")])),
    "per_patient": per_patient,
    "conventions": lambda scores: convention_ranks(scores.assign(convention="default"), "default"),
}
CHANGES = [{"value": 0.123}, {"value": np.nan, "outcome": "hole"}, {"patient": "p004"}, {"outcome": "missed"}]


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_statistics_refuse_rows_that_disagree(
    scores: pd.DataFrame, read: Callable[[pd.DataFrame], Any], changes: dict[str, Any]
) -> None:
    read(scores)
    with pytest.raises(ScoringError, match="two rows disagree about dice of class RV") as error:
        read(with_row(scores, **changes))
    assert error.value.case == "p003"
    for name in ("method other", "seed 1", *(f"{name} {value}" for name, value in changes.items())):
        assert name in error.value.reason


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_row_that_is_there_twice_counts_once(scores: pd.DataFrame, read: Callable[[pd.DataFrame], Any]) -> None:
    pd.testing.assert_frame_equal(read(with_row(scores)), read(scores))


def test_what_differs_in_any_part_of_the_key_is_no_repetition(scores: pd.DataFrame) -> None:
    for changes in (
        {"case": "p003b"},
        {"class": "LV"},
        {"metric": "iou"},
        *({name: 7} for name in ("fold", "draw", "seed")),
        *({name: "else"} for name in ("dataset", "labels", "method", "variant", "evaluated_on", "checkpoint")),
    ):
        changed = with_row(scores, value=0.1, **changes)
        assert distinct_rows(changed) is changed


def test_files_of_scores_and_collected_tables_are_named(
    tmp_path: Path, axes: dict[str, Any], scores: pd.DataFrame
) -> None:
    one = scores[(scores["method"] == "other") & (scores["seed"] == 1)].assign(diagonal=9.0)
    write_scores(one, tmp_path / "1.csv")
    whole = collect([(axes, tmp_path / "1.csv")])
    write_scores(with_row(one), tmp_path / "1.csv")
    pd.testing.assert_frame_equal(collect([(axes, tmp_path / "1.csv")]), whole)
    write_scores(with_row(one, value=0.123), tmp_path / "1.csv")
    with pytest.raises(ScoringError, match=r"value 0\.\d+ and value 0\.123") as error:
        collect([(axes, tmp_path / "1.csv")])
    assert (error.value.case, error.value.file) == ("p003", tmp_path / "1.csv")
    write_table(with_row(whole.assign(method="other", seed=1), value=0.123), tmp_path / "scores.parquet")
    with pytest.raises(ScoringError, match="two rows disagree") as error:
        read_table(tmp_path / "scores.parquet")
    assert error.value.file == tmp_path / "scores.parquet"


def test_each_convention_has_its_own_row(tmp_path: Path, axes: dict[str, Any], scores: pd.DataFrame) -> None:
    one = scores[(scores["method"] == "other") & (scores["seed"] == 1)]
    both = pd.concat([one.assign(convention=name, value=value) for name, value in (("default", 0.2), ("medpy", 0.4))])
    write_scores(both, tmp_path / "1.csv")
    assert len(collect([(axes, tmp_path / "1.csv")], CONVENTION_COLUMNS)) == 16
    write_scores(pd.concat([both, both.assign(value=0.3)]), tmp_path / "1.csv")
    with pytest.raises(ScoringError, match=r"convention default.*; 15 more such rows"):
        collect([(axes, tmp_path / "1.csv")], CONVENTION_COLUMNS)


@given(st.lists(st.tuples(*[st.sampled_from(["a", "b", "NA", ""])] * 3, st.integers(0, 2)), max_size=12))
def test_repetitions_are_those_that_pandas_finds(rows: list[tuple[str, str, str, int]]) -> None:
    table = pd.DataFrame(rows, columns=["case", "class", "metric", "seed"]).assign(
        **{"patient": "p", "value": 0.5, "unit": "1", "outcome": "scored"}
    )
    expected = table.drop_duplicates(["case", "class", "metric", "seed"], ignore_index=True)
    pd.testing.assert_frame_equal(distinct_rows(table), expected)


def test_scores_that_differ_in_their_last_digit_alone_are_one(scores: pd.DataFrame) -> None:
    """As of the same predictions scored on two machines."""
    again = scores.assign(value=np.nextafter(scores["value"].to_numpy(), 1))
    assert not again["value"].equals(scores["value"])
    pd.testing.assert_frame_equal(distinct_rows(pd.concat([scores, again], ignore_index=True)), scores)
    again.loc[0, "value"] += 1e-6
    with pytest.raises(ScoringError, match="disagree"):
        distinct_rows(pd.concat([scores, again], ignore_index=True))
