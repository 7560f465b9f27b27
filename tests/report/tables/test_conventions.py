"""The table and the figure of what the convention alone does to the ranking."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from contrastseg.evaluation.statistics.convention_ranks import convention_ranks
from contrastseg.report.figures.build import make_figures
from contrastseg.report.page.build import make_report
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.report.tables.build import build_tables, make_tables
from contrastseg.report.tables.formats import to_markdown
from contrastseg.report.tables.latex import to_latex

TABLE = TableSettings(name="conventions", kind="conventions", metrics=["hd95"])


@pytest.fixture(scope="module")
def ranks(world) -> pd.DataFrame:
    """The made-up scores; as SSL4MIS has them, a missed structure is at distance 0; as MONAI, it is not there."""
    default = world.scores[world.scores["dataset"] == "organs"].assign(convention="default")
    missed = (default["outcome"] == "missed") & (default["metric"] == "hd95")
    zero = default.assign(convention="ssl4mis", value=default["value"].mask(missed, 0.0))
    zero.loc[zero["metric"] == "hd95", "unit"] = "voxel"
    dropped = default.assign(convention="monai", value=default["value"].mask(missed))
    return convention_ranks(pd.concat([default, zero, dropped], ignore_index=True), "default")


@pytest.fixture(scope="module")
def table(world, ranks):
    data = dataclasses.replace(world.data, frames={"conventions": ranks})
    return build_tables(data, [TABLE])[0]


def test_each_convention_has_its_mean_in_its_unit_and_its_rank(table, ranks):
    first = table.blocks[0]
    assert [(column.group, column.title) for column in first.columns] == [
        ("default", "mean [mm]"),
        ("default", "rank"),
        ("ssl4mis", "mean [voxel]"),
        ("ssl4mis", "rank"),
        ("monai", "mean [mm]"),
        ("monai", "rank"),
    ]
    assert len(table.blocks) == 2, "one for each label budget"
    row = next(row for row in first.rows if row.label.method == "supervised")
    means = ranks[(ranks["method"] == "supervised") & (ranks["metric"] == "hd95") & (ranks["labels"] == "r0.1")]
    assert [row.cells[i].sort for i in (0, 2, 4)] == pytest.approx(means["mean"].tolist())
    assert row.cells[0].sort > row.cells[2].sort, "a missed structure at distance 0 makes the mean better"


def test_places_won_and_lost_are_in_brackets_and_holes_are_not_ranked(world, ranks):
    changed = ranks.copy()
    here = (changed["convention"] == "ssl4mis") & (changed["method"] == "supervised") & (changed["labels"] == "r0.1")
    changed.loc[here, ["rank", "shift"]] = [1.0, -3.0]
    there = (changed["convention"] == "ssl4mis") & (changed["method"] == "pdcr") & (changed["labels"] == "r0.1")
    changed.loc[there, ["rank", "shift"]] = [2.0, 1.0]
    (table,) = build_tables(dataclasses.replace(world.data, frames={"conventions": changed}), [TABLE])
    cells = {row.label.method: row.cells[3] for row in table.blocks[0].rows}
    assert (cells["supervised"].text, cells["supervised"].small) == ("1", "(−3)")
    assert (cells["pdcr"].text, cells["pdcr"].small) == ("2", "(+1)")
    holes = {row.label.method: row.cells[1] for row in table.blocks[1].rows}
    assert holes["uafr"].text == "not ranked"


def test_the_notes_say_what_was_left_out_and_where_each_convention_is_from(table):
    text = to_markdown(table)
    assert "monai 2 structures" in text, "one structure, two seeds"
    assert "Kendall's τ with the order under default: ssl4mis" in text
    assert "HiLab-git/SSL4MIS" in text
    assert "Best bold" not in text
    assert "ssl4mis" in to_latex(table)


def test_files_page_and_figure_are_made(world, ranks, tmp_path):
    data = dataclasses.replace(world.data, frames={"conventions": ranks})
    files = make_tables(data, [TABLE], tmp_path)
    tidy = pd.read_csv(files[0])
    assert {"rank", "shift", "tau", "left_out", "convention", "provenance"} <= set(tidy.columns)
    assert set(tidy["convention"]) == {"default", "ssl4mis", "monai"}
    figure = FigureSettings(name="conventions", kind="conventions", metric="hd95", dpi=50)
    make_figures(data, [figure], tmp_path)
    pixels = np.asarray(Image.open(tmp_path / "conventions.png").convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    page = make_report(data, tables=[TABLE], figures=[figure], figures_folder=tmp_path, path=tmp_path / "report.html")
    assert "ssl4mis" in page.read_text(encoding="utf-8")


def test_without_other_conventions_the_figure_says_so(world, tmp_path):
    settings = [FigureSettings(name="none", kind="conventions", dpi=50)]
    make_figures(dataclasses.replace(world.data, runs=[]), settings, tmp_path)
    assert (tmp_path / "none.svg").stat().st_size > 1000
