"""`contrastseg compare` writes every table of statistics from the collected scores alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.evaluation.scoring.collect import COLUMNS, write_table
from contrastseg.evaluation.statistics import (
    COMPARISON_COLUMNS,
    CRITICAL_COLUMNS,
    PAIR_COLUMNS,
    RANKING_COLUMNS,
    SUMMARY_COLUMNS,
    VARIANCE_COLUMNS,
)

FILES = {
    "comparisons": COMPARISON_COLUMNS,
    "summary": SUMMARY_COLUMNS,
    "pairs": PAIR_COLUMNS,
    "rankings": RANKING_COLUMNS,
    "critical": CRITICAL_COLUMNS,
    "variance": VARIANCE_COLUMNS,
}


def write_scores(path: Path, datasets: int) -> None:
    rng = np.random.default_rng(0)
    axes = {
        **{"suite": "tiny", "split": "random", "fold": 0, "variant": "default", "label_ratio": 0.1, "labels": "r0.1"},
        **{"labelled_patients": 2, "draw": 0, "seed": 0, "checkpoint": "last", "class": "RV", "metric": "dice"},
        **{"unit": "1", "outcome": "scored"},
    }
    rows = [
        axes
        | {"dataset": f"d{dataset}", "evaluated_on": f"d{dataset}", "method": method, "patient": f"p{patient}"}
        | {"case": f"p{patient}", "value": 0.6 + 0.1 * place + rng.normal(0, 0.01)}
        for dataset in range(datasets)
        for place, method in enumerate(("supervised", "a", "b"))
        for patient in range(7)
    ]
    write_table(pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(COLUMNS), path)


def test_every_table_is_written(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", datasets=3)
    done = CliRunner().invoke(app, ["compare", "--results", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    read = {name: pd.read_csv(tmp_path / f"{name}.csv") for name in FILES}
    assert {name: tuple(frame.columns) for name, frame in read.items()} == FILES
    lengths = {"comparisons": 9, "summary": 18, "pairs": 9, "rankings": 9, "critical": 3, "variance": 9}
    assert {name: len(frame) for name, frame in read.items()} == lengths
    assert read["critical"].sort_values("mean_rank")["method"].tolist() == ["b", "a", "supervised"]


def test_a_table_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", datasets=1)
    done = CliRunner().invoke(app, ["compare", "--results", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "critical.csv").read_text() == ",".join(CRITICAL_COLUMNS) + "\n"
