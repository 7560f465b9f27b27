"""The oracle checkpoint is marked in every output, and neither ranked, tested, bold nor starred."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from contrastseg.checkpoint_names import ORACLE, ORACLE_MARK
from contrastseg.evaluation.statistics import compare, ranking_table, summarise
from contrastseg.evaluation.statistics.selection import selection_table
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures.build import make_figures
from contrastseg.report.page.build import make_report
from contrastseg.report.page.leaderboard import leaderboard
from contrastseg.report.page.summary_text import overview_sentences
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.report.tables.build import build_tables, make_tables

TABLES = [
    TableSettings(name="main", metrics=["dice"]),
    TableSettings(name="classes", kind="classes", metrics=["dice"]),
    TableSettings(name="selection", kind="selection"),
]


@pytest.fixture(scope="module")
def data(world) -> ReportData:
    """The made-up results with snapshots, of which the oracle is one."""
    scores = world.scores[(world.scores["dataset"] == "lesions") & (world.scores["metric"] == "dice")]
    scores = scores[scores["outcome"] != "hole"]
    better = scores.assign(checkpoint="step100", value=scores["value"] * 0.5 + 0.5)
    candidates = pd.concat([scores, better], ignore_index=True)
    shown = pd.concat([scores, better.assign(checkpoint=ORACLE)], ignore_index=True)
    frames = {"selection": selection_table(candidates), "rankings": ranking_table(shown)}
    return replace(
        world.data, scores=shown, summary=summarise(shown), comparisons=compare(shown), frames=frames, skipped=()
    )


@pytest.mark.parametrize("table", TABLES[:2], ids=lambda table: table.name)
def test_the_oracle_s_block_is_marked_without_bold_star_or_interval(data: ReportData, table: TableSettings) -> None:
    (built,) = build_tables(data, [table])
    oracle = [block for block in built.blocks if ORACLE in block.title]
    last = [block for block in built.blocks if ORACLE not in block.title]
    assert oracle
    for block in oracle:
        assert block.title.startswith(ORACLE_MARK)
        assert any(ORACLE_MARK in footnote for footnote in block.footnotes)
        cells = [cell for row in block.rows for cell in row.cells]
        assert any(cell.sort for cell in cells), "its means are printed"
        assert not [cell for cell in cells if cell.emphasis or cell.star or "[" in cell.small]
    assert any(cell.emphasis == "best" for block in last for row in block.rows for cell in row.cells)
    assert not [block for block in last if ORACLE_MARK in block.title]


def test_a_method_without_snapshots_is_not_missing_where_the_oracle_chose(data: ReportData) -> None:
    """Nor is one that does not apply at a budget, which the other blocks name."""
    method = str(data.scores["method"].iloc[0])
    kept = data.scores[(data.scores["checkpoint"] != ORACLE) | (data.scores["method"] != method)]
    budget = str(data.scores["labels"].iloc[0])
    skipped = [{"dataset": "lesions", "method": name, "labels": budget, "reason": "no"} for name in (method, "absent")]
    few = replace(data, scores=kept, summary=summarise(kept), comparisons=compare(kept), skipped=skipped)
    (built,) = build_tables(few, TABLES[:1])
    named = {ORACLE in block.title: {row.label.name for row in block.rows} for block in built.blocks}
    assert {method, "absent"} <= named[False]
    assert named[True]
    assert not {method, "absent"} & named[True]
    (notes,) = [" ".join(block.footnotes) for block in built.blocks if ORACLE in block.title]
    assert "absent" not in notes


def test_every_format_of_every_table_says_it(data: ReportData, tmp_path: Path) -> None:
    for path in make_tables(data, TABLES, tmp_path):
        assert ORACLE_MARK in path.read_text(), path.name
    main = pd.read_csv(tmp_path / "main.csv", keep_default_na=False)
    assert (main["note"] == main["checkpoint"].map({"last": "", ORACLE: ORACLE_MARK})).all()


def test_the_selection_table_has_what_the_statistics_have(data: ReportData) -> None:
    (table,) = build_tables(data, TABLES[2:])
    frame = data.selection
    block = table.blocks[0]
    assert block.title.endswith("selected from 2 checkpoints")
    rows = frame[frame["labels"] == frame["labels"].iloc[0]].set_index("method")
    assert [row.label.method for row in block.rows] == ["supervised", "mean_teacher", "pdcr", "uafr"]
    for row in block.rows:
        expected = rows.loc[row.label.method, ["last", "oracle", "cross_fitted", "optimism"]]
        assert [cell.sort for cell in row.cells] == pytest.approx(expected.tolist())
        assert not [cell for cell in row.cells if cell.emphasis or cell.star]
    holed = replace(data, frames={"selection": frame.assign(missing=2)})
    (table,) = build_tables(holed, TABLES[2:])
    assert {cell.text for row in table.blocks[0].rows for cell in row.cells} == {"missing"}


def test_leaderboard_and_sentences_pass_it_over(data: ReportData) -> None:
    without = replace(
        data,
        summary=data.summary[data.summary["checkpoint"] == "last"],
        scores=data.scores[data.scores["checkpoint"] == "last"],
    )
    assert leaderboard(data) == leaderboard(without)
    assert overview_sentences(data) == overview_sentences(without)
    alone = replace(data, summary=data.summary[data.summary["checkpoint"] == ORACLE])
    assert leaderboard(alone) == []


def test_figures_and_page_carry_the_mark(data: ReportData, tmp_path: Path) -> None:
    marked = ["label_ratio", "cost"]
    untouched = ["significance"]
    figures = [FigureSettings(name=kind, kind=kind, dpi=50) for kind in marked + untouched]
    make_figures(data, figures, tmp_path)
    drawn = {kind: (tmp_path / f"{kind}.svg").read_text() for kind in marked + untouched}
    assert [kind for kind, text in drawn.items() if ORACLE_MARK in text] == marked
    assert not [kind for kind in untouched if ORACLE in drawn[kind]], "nothing of it is tested or ranked"
    page = make_report(data, tables=TABLES, figures=[], figures_folder=tmp_path, path=tmp_path / "report.html")
    assert page.read_text().count(ORACLE_MARK) > len(TABLES)
