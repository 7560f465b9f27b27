"""The table of variance components, and what one seed alone would have said beside each verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from contrastseg.evaluation.statistics import compare, variance_table
from contrastseg.report.content.labels import number
from contrastseg.report.page.summary_text import overview_sentences
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import wording
from contrastseg.report.tables.build import build_tables

VARIANCE = TableSettings(name="variance", kind="variance", metrics=["dice"])
COMPARISON = TableSettings(name="comparison", kind="comparison", metrics=["dice"])


@pytest.fixture(scope="module")
def several(world):
    """The invented comparison, of two seeds and one draw."""
    return world.data


def test_a_standard_deviation_is_the_root_of_its_component_and_what_is_unknown_says_why(several):
    (table,) = build_tables(several, [VARIANCE])
    frame = several.variance
    (block,) = [block for block in table.blocks if block.title.startswith("Invented organs")]
    titles = [(column.group, column.title) for column in block.columns]
    rows = {(row.label.method, row.cells[0].text): row.cells for row in block.rows}
    at = (frame["dataset"] == "organs") & (frame["method"] == "pdcr") & (frame["labels"] == "r0.1")
    (stored,) = frame[at & (frame["metric"] == "dice")].itertuples()
    cells = dict(zip(titles, rows["pdcr", "10 %"], strict=True))
    assert cells["SD of scores", "patients"].text == number(math.sqrt(max(0, stored.variance_patient)), 3)
    assert stored.variance_patient > 0
    assert cells["SD of scores", "patient × run"].sort == pytest.approx(math.sqrt(stored.variance_interaction))
    assert (cells["SD of scores", "draws"].text, cells["SD of scores", "draws"].small) == ("–", "(one draw)")
    assert [cells["", name].text for name in ("n", "draws", "seeds")] == ["12", "1", "2"]
    assert rows["supervised", "10 %"][-1].text == "–", "the baseline does not differ from itself"
    assert len(table.tidy) == len(frame[frame["metric"] == "dice"])
    assert any("2 seeds 0.45 to 32" in note for note in block.footnotes), "an SD of two says little"


def test_a_negative_estimate_is_printed_as_zero(several):
    frame = several.variance.assign(variance_seed=-0.01)
    (table,) = build_tables(replace(several, frames={"variance": frame}), [VARIANCE])
    at = [column.title for column in table.blocks[0].columns].index("seeds", 4)
    assert {row.cells[at].text for row in table.blocks[0].rows} == {"0.000"}
    assert (table.tidy["variance_seed"] == -0.01).all(), "the CSV keeps it"


def test_one_seed_alone_stands_beside_the_verdict(several, world):
    (table,) = build_tables(several, [COMPARISON])
    (block,) = [block for block in table.blocks if block.title.startswith("Invented organs")]
    assert [column.title for column in block.columns[-2:]] == ["one seed", "one draw"]
    scores = world.scores[world.scores["dataset"] == "organs"]
    alone = pd.concat([compare(scores[scores["seed"] == seed]) for seed in (0, 1)])
    for row in block.rows:
        verdict, seed, draw = row.cells[1].text, row.cells[-2].text, row.cells[-1].text
        mine = alone[(alone["method"] == row.label.method) & (alone["label_ratio"] == (row.cells[0].sort))]
        found = mine["verdict"].tolist()
        assert draw == "–"
        if verdict in ("better", "worse"):
            assert seed == f"{found.count(verdict)} of {len(found)}"
    assert any(row.cells[-2].text == "2 of 2" for row in block.rows)


def test_without_several_runs_nothing_stands_beside_the_verdict(several, world):
    one = world.scores[world.scores["seed"] == 0]
    data = replace(several, comparisons=compare(one), frames={"variance": variance_table(one)})
    (table,) = build_tables(data, [COMPARISON])
    assert {column.title for block in table.blocks for column in block.columns} & {"one seed", "one draw"} == set()
    assert not any("alone" in sentence for sentence in overview_sentences(data))


def test_the_overview_counts_repetitions_of_what_is_better(several):
    rows = several.comparisons[several.comparisons["verdict"] == "better"]
    assert len(rows)
    keys = ["dataset", "evaluated_on", "checkpoint", "labels", "metric", "method", "variant"]
    found = rows.merge(several.variance, on=keys)
    same, total = int(found["one_seed_better"].sum()), int(found["one_seed"].sum())
    assert 0 < same <= total
    (sentence,) = [sentence for sentence in overview_sentences(several) if "alone" in sentence]
    assert f"one seed alone repeats it in {same} of {total} tests" in sentence
    assert "one draw" not in sentence


def test_the_verdict_of_the_first_draw_stays_printed(world):
    organs = world.scores[(world.scores["dataset"] == "organs") & (world.scores["labels"] == "r0.1")]
    level = (organs["metric"] == "dice") & (organs["method"] == "pdcr")
    worse = organs.assign(draw=1, value=organs["value"].where(~level, organs["value"] - 0.2))
    scores = pd.concat([organs, worse], ignore_index=True)
    data = replace(world.data, comparisons=compare(scores), frames={"variance": variance_table(scores)})
    (table,) = build_tables(data, [COMPARISON])
    cells = {row.label.method: row.cells[-1] for row in table.blocks[0].rows}
    assert cells["uafr"].text == "2 of 2"
    assert cells["pdcr"].small == "(first draw: better)"
    assert cells["pdcr"].text in ("1 of 2", "better 1, worse 1 of 2")


def test_a_table_declares_the_family_of_its_tests_or_that_it_has_none(world):
    main, comparison, classes, variance = build_tables(
        world.data, [TableSettings(name=kind, kind=kind) for kind in ("main", "comparison", "classes", "variance")]
    )
    sizes = sorted({int(size) for size in world.comparisons["family_size"]})
    for table in (main, comparison):
        declared = table.footnotes[-1]
        assert "at all label budgets" in declared
        assert f"({' or '.join(map(str, sizes))} tests)" in declared
    assert classes.footnotes[-1] == variance.footnotes[-1] == wording.NO_TESTS
    narrow = replace(world.data, suite=replace(world.suite, family="methods"))
    (table,) = build_tables(narrow, [COMPARISON])
    assert "at one label budget" in table.footnotes[-1]
    untested = replace(world.data, comparisons=world.comparisons.iloc[:0])
    assert build_tables(untested, [COMPARISON])[0].footnotes[-1] == wording.NO_TESTS
