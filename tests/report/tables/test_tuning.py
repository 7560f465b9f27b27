"""Tables of a tuned suite: K and hours in every caption, and the table of choices."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from contrastseg.evaluation.statistics.tuning_tables import CHOICE_COLUMNS
from contrastseg.report.page.figures import page_figures
from contrastseg.report.page.summary_text import overview_sentences
from contrastseg.report.settings import TableSettings, default_figures, default_tables
from contrastseg.report.tables.build import build_tables


def choice(method: str, draw: int = 0, **changes: object) -> dict[str, object]:
    shared = {"suite": "s", "dataset": "organs", "method": method, "variant": "default", "labels": "r0.1"}
    numbers = {"draw": draw, "fold": 0, "trials": 4, "inner_folds": 4, "n_patients": 7, "trial": 2, "rival": 0.0}
    means = {"dice": 0.75, "dice_defaults": 0.7, "difference": 0.05, "standard_error": 0.01, "hours": 1.5}
    return {**shared, **numbers, **means, "validation": "labelled", "values": '{"w": 0.3}', "diverged": "", **changes}


@pytest.fixture
def tuned(world):
    rows = [
        choice("pdcr", values="{}", trial=0, rival=3.0, diverged="1 2"),
        choice("supervised"),
        choice("mean_teacher", standard_error=float("nan"), rival=float("nan"), difference=float("nan")),
    ]
    frame = pd.DataFrame(rows)[list(CHOICE_COLUMNS)]
    suite = replace(world.data.suite, trials=4, validation="labelled")
    return replace(world.data, suite=suite, frames={**world.data.frames, "tuned": frame})


def test_k_and_hours_stand_in_the_caption_of_every_table(tuned, world):
    wanted = [table for table in default_tables(tuned=True) if table.kind != "conventions"]
    for table, untuned in zip(build_tables(tuned, wanted), build_tables(world.data, wanted[:-1]), strict=False):
        assert "K = 4" in table.caption
        assert "4.5 hours" in table.caption
        assert table.caption.startswith(untuned.caption)
        assert "K =" not in untuned.caption
    assert [text for text in overview_sentences(tuned) if "K = 4" in text]
    assert not [text for text in overview_sentences(world.data) if "K = " in text]


def test_k_and_hours_stand_in_the_caption_of_every_figure(tuned, world, tmp_path):
    wanted = default_figures()
    pairs = zip(*(page_figures(wanted, tmp_path, data) for data in (tuned, world.data)), strict=True)
    for figure, untuned in pairs:
        assert figure["caption"].startswith(untuned["caption"])
        assert "K = 4" in figure["caption"]
        assert "4.5 hours" in figure["caption"]
        assert "K =" not in untuned["caption"]


def test_choices_stand_in_the_suite_s_order_with_the_paired_error(tuned):
    (table,) = build_tables(tuned, [TableSettings(name="tuning", kind="tuning")])
    (block,) = table.blocks
    assert [row.label.method for row in block.rows] == ["supervised", "mean_teacher", "pdcr"]
    titles = [column.title for column in block.columns]
    first, second, last = (dict(zip(titles, row.cells, strict=True)) for row in block.rows)
    assert (first["trial"].text, first["settings"].text) == ("2", "w: 0.3")
    assert (first["difference"].text, first["difference"].small) == ("0.050", "± 0.010 (trial 0)")
    assert (second["difference"].text, second["difference"].small) == ("–", "")
    assert last["settings"].text == "defaults"
    assert any("1 2" in note for note in block.footnotes)
    assert len(table.tidy) == 3
    assert set(table.tidy["provenance"]) == {"published", "official", "reconstructed"}


def test_draws_are_told_apart(tuned):
    frame = pd.DataFrame([choice("supervised", 0), choice("supervised", 1, dice=0.8)])[list(CHOICE_COLUMNS)]
    data = replace(tuned, frames={"tuned": frame})
    (table,) = build_tables(data, [TableSettings(name="tuning", kind="tuning")])
    (block,) = table.blocks
    assert [row.cells[0].text for row in block.rows] == ["0", "1"]
    assert block.columns[0].title == "draw"
