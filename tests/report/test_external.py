"""Entered rows in the report: a mark, a statement, no costs, and no number where they are outdated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contrastseg.report.content.pending import OUTDATED, pending_runs
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures._style import drawing
from contrastseg.report.figures.cost import cost_scores
from contrastseg.report.figures.kind import FigureSource
from contrastseg.report.page.runs import device
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.report.tables.build import build_tables
from tests.report.conftest import World

ENTERED = "pdcr"  # of the invented methods, the one that is entered here


def as_entered(run: dict[str, Any], **more: Any) -> dict[str, Any]:
    if run["method"] != ENTERED:
        return run
    return {**run, **more, "card": {**run["card"], "provenance": "external"}}


def entered(world: World, **more: Any) -> ReportData:
    return replace(world.data, runs=[as_entered(run, **more) for run in world.runs])


def main_table(data: ReportData) -> Any:
    (table,) = build_tables(data, [TableSettings(name="main", kind="main", metrics=["dice"])])
    return table


def test_a_row_is_marked_and_its_statement_printed(world: World) -> None:
    stated = {"checkpoint": "last epoch", "labelled_patients": ["a", "stranger"]}
    table = main_table(entered(world, stated=stated, labelled_patients=["a", "b"], moved_maps=3))
    (row,) = [row for row in table.blocks[0].rows if row.label.method == ENTERED]
    assert row.label.mark == "E"
    assert any(line.startswith("[E]") for line in table.footnotes)
    (line,) = [line for line in table.blocks[0].footnotes if ENTERED in line and "not verified" in line]
    for words in ("checkpoint: last epoch", "1 of 2", "stranger", "3 maps", "not stated: training data, code"):
        assert words in line
    assert not [line for line in main_table(world.data).blocks[0].footnotes if "not verified" in line]


@pytest.mark.parametrize("known", [True, False])
def test_figures_of_costs_leave_it_out_whether_or_not_it_says_a_cost(world: World, known: bool) -> None:
    def shown(data: ReportData) -> str:
        with drawing():
            figure = cost_scores(FigureSource(data), FigureSettings(name="cost", kind="cost", metric="dice"))
        return " ".join(text.get_text() for text in figure.findobj(lambda item: hasattr(item, "get_text")))

    assert ENTERED in shown(world.data)
    text = shown(entered(world) if known else entered(world, wall_s=None))
    assert ENTERED not in text
    assert "left out" not in text


def test_it_ran_on_no_device_that_is_known(world: World) -> None:
    assert {device(run) for run in entered(world, hardware=None).runs if run["method"] == ENTERED} == {"external"}


def test_an_outdated_row_has_no_number_and_says_why(world: World) -> None:
    axes = {"dataset": "organs", "method": "theirs", "variant": "default", "draw": 0, "fold": 0}
    runs = [
        {**axes, "labels": labels, "seed": seed, "folder": f"{labels}-{seed}"}
        for labels, seed in (("r0.1", 0), ("r0.5", 0), ("r0.5", 1))
    ]
    evaluations = [{"folder": run["folder"], "evaluated_on": "organs", "checkpoint": "last"} for run in runs]
    changed = {"organs/last": "the references changed"}
    records = [{**runs[0], "outdated": changed}, {**runs[1], "outdated": changed}, runs[2]]
    pending = pending_runs({"runs": runs, "evaluations": evaluations}, world.scores.iloc[:0], records)
    states = {item["labels"]: (item["state"], item["reason"]) for item in pending}
    assert states["r0.1"] == (OUTDATED, "the references changed")
    assert states["r0.5"][0] != OUTDATED
    table = main_table(replace(world.data, skipped=[*world.skipped, pending[0]]))
    (block,) = [block for block in table.blocks if any(row.label.method == "theirs" for row in block.rows)]
    (row,) = [row for row in block.rows if row.label.method == "theirs"]
    assert "outdated" in {cell.text for cell in row.cells}
    assert any("the references changed" in line for line in block.footnotes)
