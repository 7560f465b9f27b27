from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.scoring.collect import AXES, COLUMNS, CONVENTION_COLUMNS, collect, read_table, write_table
from contrastseg.evaluation.scoring.scoring import CONVENTION_COLUMNS as SCORING_CONVENTION_COLUMNS
from contrastseg.evaluation.scoring.scoring import SCORE_COLUMNS, write_scores


def run(path: Path, *values: float) -> Path:
    rows = [("NA", f"c{i}", "RV", "dice", value, "1", "scored", 12.5) for i, value in enumerate(values)]
    write_scores(pd.DataFrame(rows, columns=list(SCORE_COLUMNS)), path)
    return path


def test_columns_types_and_order_are_fixed(tmp_path: Path, axes: dict[str, Any]) -> None:
    first, second = run(tmp_path / "1.csv", 0.1 + 0.2), run(tmp_path / "2.csv", np.nan)
    runs = [(axes | {"seed": 1}, second), (axes, first)]
    table = collect(runs)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == COLUMNS
    assert table["seed"].tolist() == [0, 1]
    assert table["value"].tolist() == pytest.approx([0.1 + 0.2, np.nan], abs=0, nan_ok=True)
    assert table["patient"].tolist() == ["NA", "NA"]
    assert table["diagonal"].tolist() == [12.5, 12.5]
    write_table(table, tmp_path / "scores.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "scores.parquet"), table)
    again = (tmp_path / "scores.parquet").read_bytes()
    write_table(collect(reversed(runs)), tmp_path / "scores.parquet")
    assert (tmp_path / "scores.parquet").read_bytes() == again


def test_older_scores_have_no_diagonal_and_are_read(tmp_path: Path, axes: dict[str, Any]) -> None:
    file = run(tmp_path / "1.csv", 0.5)
    pd.read_csv(file, keep_default_na=False).drop(columns="diagonal").to_csv(file, index=False)
    table = collect([(axes, file), (axes | {"seed": 1}, run(tmp_path / "2.csv", 0.5))])
    assert table["diagonal"].tolist() == pytest.approx([np.nan, 12.5], nan_ok=True)
    table.drop(columns="diagonal").to_parquet(tmp_path / "scores.parquet")
    again = read_table(tmp_path / "scores.parquet")
    assert {name: str(kind) for name, kind in again.dtypes.items()} == COLUMNS
    assert again["diagonal"].isna().all()


def test_no_runs_give_an_empty_table() -> None:
    assert {name: str(kind) for name, kind in collect([]).dtypes.items()} == COLUMNS


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_is_required(tmp_path: Path, axes: dict[str, Any], axis: str) -> None:
    del axes[axis]
    with pytest.raises(ScoringError, match=axis):
        collect([(axes, run(tmp_path / "1.csv", 1))])


def test_what_cannot_be_collected_is_an_error(tmp_path: Path, axes: dict[str, Any]) -> None:
    file = run(tmp_path / "1.csv", 1)
    with pytest.raises(ScoringError, match="two runs with the same axes"):
        collect([(axes, file), (axes, file)])
    with pytest.raises(ScoringError, match="without scores"):
        collect([(axes, tmp_path / "2.csv")])
    file.write_text("case,value\nx,1\n")
    with pytest.raises(ScoringError, match="patient, class"):
        collect([(axes, file)])
    with pytest.raises(ScoringError, match="collect"):
        read_table(tmp_path / "scores.parquet")


def test_scores_by_convention_are_a_table_of_their_own(tmp_path: Path, axes: dict[str, Any]) -> None:
    rows = [(name, "NA", "c0", "RV", "dice", 0.5, "1", "scored", 12.5) for name in ("default", "medpy")]
    write_scores(pd.DataFrame(rows, columns=list(SCORING_CONVENTION_COLUMNS)), tmp_path / "1.csv")
    table = collect([(axes, tmp_path / "1.csv")], CONVENTION_COLUMNS)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == CONVENTION_COLUMNS
    assert table["convention"].tolist() == ["default", "medpy"]
    write_table(table, tmp_path / "conventions.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "conventions.parquet", CONVENTION_COLUMNS), table)
    with pytest.raises(ScoringError, match="without the columns convention"):
        collect([(axes, run(tmp_path / "2.csv", 1))], CONVENTION_COLUMNS)
