"""Further draws of some methods in the report: the suite's verdicts stay, beside a table averaged over draws."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.evaluation.scoring.collect import COLUMNS, write_table
from contrastseg.files import write_json
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.page.build import make_report
from contrastseg.report.page.summary_text import overview_sentences
from contrastseg.report.settings import TableSettings, default_tables
from contrastseg.report.tables.build import build_tables
from tests.evaluation.statistics.test_draws import FURTHER, GAINS, scores_of

METHODS = {"a": "mean_teacher", "b": "cps", "c": "ict"}
AS_BEFORE = ("comparisons", "summary", "pairs", "rankings", "critical")


def results(folder: Path, scores: pd.DataFrame, *, further: bool) -> Path:
    """The results of a suite, with its statistics."""
    folder.mkdir()
    scores = scores.assign(method=scores["method"].replace(METHODS), diagonal=float("nan"))
    write_table(scores.reindex(columns=list(COLUMNS)).astype(COLUMNS), folder / "scores.parquet")
    axes = ["dataset", "method", "variant", "labels", "draw", "fold", "seed"]
    runs = scores[axes].drop_duplicates().to_dict("records")
    own = {"supervised": [0, 1, 2], "mean_teacher": [0, 1, 2], "ict": [0, 1]} if further else {}
    methods = [
        {"name": name} | ({"draws": own[name]} if name in own else {}) for name in ("supervised", *METHODS.values())
    ]
    suite = {"name": "s", "datasets": [{"name": "phantoms"}], "methods": methods, "draws": [0]}
    suite["comparison"] = {"reference": "supervised"}
    plan = {"suite": suite, "runs": [], "evaluations": [], "skipped": [], "unavailable": {}}
    write_json(folder / "plan.json", plan)
    write_json(folder / "cards.json", [{**run, "labelled_count": 3, "provenance": "official"} for run in runs])
    done = CliRunner().invoke(app, ["compare", "--results", str(folder)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Results with further draws, and as if these had not been run."""
    root, scores = tmp_path_factory.mktemp("draws"), scores_of(FURTHER, GAINS)
    return results(root / "all", scores, further=True), results(
        root / "before", scores[scores["draw"] == 0], further=False
    )


def test_every_statistic_but_the_variance_is_as_if_no_further_draw_had_been_run(folders: tuple[Path, Path]) -> None:
    ours, before = folders
    for name in AS_BEFORE:
        assert (ours / f"{name}.csv").read_bytes() == (before / f"{name}.csv").read_bytes()
    assert not (before / "draws.csv").exists()
    assert pd.read_csv(ours / "variance.csv")["draws"].max() == 3
    pd.testing.assert_frame_equal(ReportData.load(ours).scores, ReportData.load(before).scores)


def test_tables_and_page_name_the_verdict_of_the_suite_and_that_over_draws(folders: tuple[Path, Path]) -> None:
    data, before = map(ReportData.load, folders)
    assert (data.suite.draws, data.suite.further_draws) == ((0,), (1, 2))
    usual = [table for table in default_tables() if table.kind != "variance"]
    for ours, theirs in zip(build_tables(data, usual), build_tables(before, usual), strict=True):
        assert ours.blocks == theirs.blocks
        assert ours.footnotes == theirs.footnotes
    (table,) = build_tables(data, [TableSettings(name="draws", kind="draws")])
    (block,) = table.blocks
    (row,) = block.rows
    verdicts = {column.title: cell.text for column, cell in zip(block.columns, row.cells, strict=True)}
    assert "draws 0, 1, 2" in block.footnotes[0]
    assert (verdicts["verdict"], verdicts["comparison table"], verdicts["one draw"]) == (
        "better",
        "not significant",
        "2 of 3",
    )
    assert any("(1 test" in line for line in table.footnotes)
    (sentence,) = [text for text in overview_sentences(data) if "draws 0, 1, 2" in text]
    assert "1 significantly better" in sentence
    assert [text for text in overview_sentences(data) if text != sentence] == overview_sentences(before)


def test_the_page_counts_runs_of_further_draws_apart(folders: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    tables = default_tables(draws=True)
    make_report(ReportData.load(folders[0]), tables=tables, figures=[], figures_folder=tmp_path, path=page)
    text = page.read_text()
    assert "8 (2 seeds, 1 draw, 1 fold); 5 runs more of further draws (1, 2)" in text
