"""The table of comparisons: what was not tested, what empty references did, and where means contradict ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from contrastseg.evaluation.statistics import compare, summarise
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables.build import build_tables

SETTINGS = [TableSettings(name="main", metrics=["dice"]), TableSettings(name="comparison", kind="comparison")]


def tables(world, scores: pd.DataFrame):
    """Rows by method of the main table and of the comparison, and the titles of the comparison's columns."""
    data = replace(world.data, summary=summarise(scores), comparisons=compare(scores), frames={})
    main, comparison = build_tables(data, SETTINGS)
    rows = [{row.label.method: row.cells for row in table.blocks[0].rows} for table in (main, comparison)]
    return rows[0], rows[1], [column.title for column in comparison.blocks[0].columns]


def one_place(world) -> pd.DataFrame:
    scores = world.scores
    return scores[(scores["dataset"] == "organs") & (scores["labels"] == "r0.1")].reset_index(drop=True)


def test_a_method_with_missing_predictions_has_counts_and_no_mark(world):
    scores = one_place(world)
    lost = (scores["method"] == "pdcr") & (scores["patient"] < "organs-p06") & (scores["seed"] == 0)
    scores.loc[lost, ["outcome", "value"]] = ["hole", np.nan]
    main, comparison, _ = tables(world, scores)
    verdict = comparison["pdcr"][1]
    assert verdict.text == "not tested: predictions missing"
    assert verdict.small == "(18 missing; described on 18 common structures)"
    assert [cell.text for cell in comparison["pdcr"][3:5]] == ["–", "–"]
    assert (main["pdcr"][0].star, main["pdcr"][0].emphasis) == ("", "")
    assert (main["uafr"][0].star, main["uafr"][0].emphasis) == ("*", "best")


def test_beside_empty_references_stand_the_others_and_the_false_positives(world):
    scores = one_place(world)
    empty = (scores["class"] == "kidney") & (scores["patient"] < "organs-p10")
    scores.loc[empty, ["outcome", "value"]] = ["absent", np.nan]
    inventor = empty & (scores["method"] == "supervised")
    scores.loc[inventor, ["outcome", "value"]] = ["invented", 0.0]
    main, comparison, titles = tables(world, scores)
    assert titles[-7:] == ["verdict", "mean diff.", "p (Holm)", "n", "rate", "baseline", "verdict"]
    cells = dict(zip(titles[-3:], comparison["uafr"][-3:], strict=True))
    assert (cells["rate"].text, cells["baseline"].text, cells["verdict"].text) == ("0.00", "1.00", "better")
    assert {cells[0].emphasis for cells in main.values()} == {""}, "means over unlike structures have no best"


def test_better_with_a_lower_mean_is_flagged_wherever_it_stands(world):
    scores = one_place(world)
    dice = scores["metric"] == "dice"
    base = scores[dice & (scores["method"] == "supervised")].set_index(["patient", "class", "seed"])["value"]
    mine = dice & (scores["method"] == "pdcr")
    keys = pd.MultiIndex.from_frame(scores.loc[mine, ["patient", "class", "seed"]])
    patient = scores.loc[mine, "patient"].str[-2:].astype(int).to_numpy()
    gains = base.reindex(keys).to_numpy() + 0.001 * (1 + patient)
    scores.loc[mine, "value"] = np.where(patient == 0, 0.05, gains)
    main, comparison, _ = tables(world, scores)
    assert (comparison["pdcr"][1].text, comparison["pdcr"][1].small) == ("better", "(lower mean)")
    assert main["pdcr"][0].star == "*!"
