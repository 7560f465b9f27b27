"""Tables: the right marks, everything missing named, and text that every format prints as it is."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from contrastseg.evaluation.statistics import summarise
from contrastseg.report.content.labels import VERDICTS
from contrastseg.report.page.build import make_report
from contrastseg.report.settings import TableSettings, default_tables
from contrastseg.report.tables import wording
from contrastseg.report.tables.build import build_tables, make_tables
from contrastseg.report.tables.formats import escape_markdown, to_csv, to_markdown
from contrastseg.report.tables.latex import escape_latex, to_latex
from contrastseg.report.tables.model import Cell, Table

MAIN = TableSettings(name="main", metrics=["dice", "hd95"])


def small_world(world, **means: float):
    """One data set, one budget, one metric, with these means."""
    base = world.summary[
        (world.summary["dataset"] == "organs")
        & (world.summary["labels"] == "r0.1")
        & (world.summary["class"] == "mean")
        & (world.summary["metric"] == "dice")
    ]
    rows = base[base["method"].isin(means)].copy()
    rows["mean"] = rows["method"].map(means)
    return rows.reset_index(drop=True)


def cells(table: Table, block: int, column: int) -> dict[str, Cell]:
    return {row.label.method: row.cells[column] for row in table.blocks[block].rows}


def build(world, summary: pd.DataFrame | None = None, comparisons=None, settings: TableSettings = MAIN) -> Table:
    data = world.data
    if summary is not None:
        tests = data.comparisons.iloc[:0] if comparisons is None else comparisons
        data = replace(data, summary=summary, comparisons=tests, skipped=())
    return build_tables(data, [settings])[0]


def test_best_is_bold_and_second_underlined(world):
    table = build(world, small_world(world, supervised=0.50, mean_teacher=0.70, pdcr=0.80, uafr=0.60))
    assert {name: cell.emphasis for name, cell in cells(table, 0, 0).items()} == {
        "supervised": "",
        "mean_teacher": "second",
        "pdcr": "best",
        "uafr": "",
    }
    assert cells(table, 0, 0)["pdcr"].text == "0.800"


def test_equal_printed_numbers_share_a_mark(world):
    table = build(world, small_world(world, supervised=0.5, mean_teacher=0.80049, pdcr=0.80011, uafr=0.6))
    marks = {name: cell.emphasis for name, cell in cells(table, 0, 0).items()}
    assert marks == {"supervised": "", "mean_teacher": "best", "pdcr": "best", "uafr": "second"}


def test_lower_is_better_for_distances(world):
    summary = small_world(world, supervised=5.0, mean_teacher=3.0, pdcr=4.0).assign(metric="hd95", unit="mm")
    marks = {name: cell.emphasis for name, cell in cells(build(world, summary), 0, 0).items()}
    assert marks == {"supervised": "", "mean_teacher": "best", "pdcr": "second"}


def test_cells_with_holes_or_fewer_patients_are_not_ranked(world):
    summary = small_world(world, supervised=0.5, mean_teacher=0.9, pdcr=0.8, uafr=0.6)
    summary.loc[summary["method"] == "mean_teacher", "holes"] = 1
    summary.loc[summary["method"] == "pdcr", "n_patients"] = 3
    marks = {name: cell.emphasis for name, cell in cells(build(world, summary), 0, 0).items()}
    assert marks == {"supervised": "second", "mean_teacher": "", "pdcr": "", "uafr": "best"}


def test_units_never_share_a_column(world):
    one = small_world(world, supervised=5.0, pdcr=4.0).assign(metric="hd95", unit="mm")
    other = small_world(world, supervised=5.0, pdcr=4.0).assign(metric="hd95", unit="voxel")
    titles = [column.title for column in build(world, pd.concat([one, other])).blocks[0].columns]
    assert titles[:2] == ["HD95 [mm] ↓", "HD95 [voxel] ↓"]


@pytest.mark.parametrize(
    ("verdict", "star"), [("better", "*"), ("worse", "†"), ("n.s.", ""), ("n too small", ""), ("no pairs", "")]
)
def test_stars_come_from_corrected_tests_alone(world, verdict, star):
    comparisons = world.comparisons.assign(verdict=verdict)
    table = build(world, small_world(world, supervised=0.5, pdcr=0.8), comparisons)
    assert cells(table, 0, 0)["pdcr"].star == star


def test_a_missing_cell_a_hole_and_a_skipped_pair_are_told_apart_and_named(world):
    summary = world.summary[
        ~((world.summary["method"] == "mean_teacher") & (world.summary["labels"] == "r0.5"))
        | (world.summary["dataset"] == "lesions")
    ]
    table = build_tables(replace(world.data, summary=summary), [MAIN])[0]
    organs, lesions = table.blocks
    assert organs.title.startswith("Invented organs")
    assert cells(table, 0, 3)["mean_teacher"].text == "missing"
    assert cells(table, 1, 3)["pdcr"].text == "n/a"
    assert cells(table, 0, 5)["uafr"].text == "0 / 0 / 3"
    notes = " ".join(organs.footnotes)
    assert "mean_teacher at 50 % labelled; uafr (rf) r0.5: organs-p03 (draw 0, fold 0, seed 0)" in notes
    assert "Not applicable: pdcr at 50 % labelled: no unlabelled patients are left." in lesions.footnotes


def test_every_table_says_what_it_rests_on(world):
    for table in build_tables(world.data, default_tables()):
        for block in table.blocks:
            notes = " ".join(block.footnotes)
            if block.title.startswith("Invented organs"):
                assert "14 of 70 training, 0 of 10 validation, 12 of 20 test patients" in notes
                assert "5a17c0de" in notes
            if table.name not in ("comparison", "variance"):
                assert re.search(r"(12|8) patients, 2 seeds, 1 draw; 95 % intervals: t", notes)
        text = " ".join(table.footnotes)
        assert "convention default" in text
        assert "[R] reconstructed" in text


def elsewhere(world):
    """The same results, the lesions' models evaluated on the organs."""
    frames = [frame.copy() for frame in (world.summary, world.comparisons, world.variance)]
    for frame in frames:
        frame.loc[frame["dataset"] == "lesions", "evaluated_on"] = "organs"
    return replace(world, summary=frames[0], comparisons=frames[1], variance=frames[2])


def test_every_table_names_the_splits_it_rests_on_in_every_format(world, tmp_path):
    other = elsewhere(world)
    make_tables(other.data, default_tables(), tmp_path)
    page = make_report(
        other.data, tables=default_tables(), figures=[], figures_folder=tmp_path, path=tmp_path / "report.html"
    )
    shown, blocks = page.read_text(), 0
    for table in build_tables(other.data, default_tables()):
        markdown = (tmp_path / f"{table.name}.md").read_text()
        latex = (tmp_path / f"{table.name}.tex").read_text()
        here, there = "Split list (5a17c0de).", "Split random (beef)."
        organs = [block for block in table.blocks if block.title.startswith("Invented organs")]
        lesions = [block for block in table.blocks if block.title.startswith("Invented lesions")]
        assert organs
        assert lesions
        for text in (markdown, latex):
            assert text.count(here) == len(organs) + len(lesions), "trained on it, and evaluated on it"
            assert text.count(there) == len(lesions)
            assert text.count("Evaluated on Invented organs: Subset: 14 of 70 training") == len(lesions)
        blocks += len(lesions)
        frame = pd.read_csv(tmp_path / f"{table.name}.csv")
        of_lesions = frame[frame["dataset"] == "lesions"]
        assert set(of_lesions["split_name"]) == {"random"}
        assert set(of_lesions["split_hash"]) == {"beef"}
        assert set(of_lesions["evaluated_split_name"]) == {"list"}
        assert set(of_lesions["evaluated_split_hash"]) == {"5a17c0de"}
    assert shown.count(there) == shown.count("Evaluated on Invented organs: Subset:") == blocks


@pytest.mark.parametrize(
    ("for_all", "said"),
    [(False, wording.pretraining_pool), (True, wording.unlabelled_pool)],
    ids=["pretraining", "all"],
)
def test_a_pool_is_said_under_the_data_that_has_it(world, for_all, said):
    organs = replace(world.suite.entry("organs"), pool=("organs", "archive"), pool_for_all=for_all)
    other = replace(world, suite=replace(world.suite, entries={**world.suite.entries, "organs": organs}))
    for table in build_tables(other.data, default_tables()):
        for block in table.blocks:
            pool = said(("organs", "archive"))
            assert "organs and archive" in pool
            assert (pool in block.footnotes) == block.title.startswith("Invented organs")


def test_every_method_carries_its_provenance_mark(world):
    marks = {"supervised": "P", "mean_teacher": "O", "pdcr": "R", "uafr (rf)": "P"}
    for table in build_tables(world.data, default_tables()):
        markdown, latex = to_markdown(table), to_latex(table)
        for block in table.blocks:
            for row in block.rows:
                assert row.label.mark == marks[row.label.name]
                assert f"| {escape_markdown(row.label.plain)} |" in markdown
                assert f"{escape_latex(row.label.name)}\\textsuperscript{{{row.label.mark}}} &" in latex


def test_a_shortened_schedule_is_part_of_the_name(world):
    named = {"printed_name": "U-Net", "name_note": "20 × 50 iterations"}
    runs = [run | named if run["method"] in ("uafr", "pdcr") else run for run in world.runs]
    other = replace(world, runs=runs)
    assert other.data.label("uafr", "rf").name == "U-Net (rf, 20 × 50 iterations)"
    assert other.data.label("pdcr", "default").name == "U-Net (20 × 50 iterations)"
    assert other.data.label("supervised", "default").name == "supervised"
    assert "U-Net (20 × 50 iterations)" in to_markdown(build(other))


def test_a_method_without_a_card_is_marked_unknown(world):
    table = build_tables(replace(world.data, runs=(), skipped=()), [MAIN])[0]
    assert {row.label.mark for row in table.blocks[0].rows} == {"?"}
    assert any(note.startswith("[?] unknown provenance") for note in table.footnotes)


def test_distances_without_the_size_of_their_images_are_said_to_be_unclipped(world):
    """Stored scores of older versions lack the diagonal; with it, their intervals end there and are marked."""
    said = [wording.UNCLIPPED in block.footnotes for block in build(world).blocks]
    assert said == [True] * len(said)
    longest = float(world.scores.loc[world.scores["metric"] == "hd95", "value"].max())
    known = summarise(world.scores.assign(diagonal=longest))
    distances = known[known["metric"] == "hd95"]
    assert (distances["longest"] == longest).all()
    assert (distances["high"].dropna() <= longest).all()
    assert not any(wording.UNCLIPPED in block.footnotes for block in build(world, known).blocks)


def test_too_few_patients_is_said_and_never_called_no_difference(world):
    few = world.comparisons.assign(verdict="n too small", p_smallest=0.75, n=4, hl_low=np.nan, hl_high=np.nan)
    few.loc[few["method"] == "supervised", "verdict"] = "reference"
    main, comparison = build_tables(
        replace(world.data, comparisons=few),
        [MAIN, TableSettings(name="comparison", kind="comparison")],
    )
    assert any("11 of 11 comparisons cannot reach a mark: n too small" in note for note in main.footnotes)
    text = to_markdown(comparison)
    assert "n too small" in text
    assert "0.750" in text
    assert "not significant" not in text
    assert "n = 6" in text
    assert all(row.label.method != "supervised" for block in comparison.blocks for row in block.rows)


def test_no_pairs_is_a_row_without_numbers(world):
    none = world.comparisons.copy()
    numbers = ["n", "zeros", "mean_difference", "hl_estimate", "hl_low", "hl_high", "p_holm", "p_smallest"]
    none.loc[none["method"] == "pdcr", numbers] = pd.NA
    none.loc[none["method"] == "pdcr", "verdict"] = "no pairs"
    settings = TableSettings(name="comparison", kind="comparison")
    row = next(r for r in build(world, world.summary, none, settings).blocks[0].rows if r.label.method == "pdcr")
    assert [cell.text for cell in row.cells[1:6]] == [VERDICTS["no pairs"], "–", "–", "–", "–"]


def test_classes_follow_the_data_set_and_count_what_was_missed(world):
    table = build(world, world.summary, settings=TableSettings(name="c", kind="classes", metrics=["dice"]))
    assert [column.title for column in table.blocks[0].columns] == ["liver", "spleen", "kidney", "mean"]
    assert cells(table, 0, 2)["supervised"].small.endswith("2 missed")
    lesions = next(block for block in table.blocks if "lesions" in block.title)
    assert [column.title for column in lesions.columns] == ["lesion"]


def test_a_structure_no_patient_has_is_absent_not_missing(world):
    """And where all were missed, what has no value then, such as precision, is undefined."""
    summary = small_world(world, supervised=0.5, pdcr=np.nan)
    structures = ["scored", "missed", "invented"]
    summary.loc[summary["method"] == "pdcr", structures] = 0
    assert cells(build(world, summary), 0, 0)["pdcr"].text == "absent"
    summary.loc[summary["method"] == "pdcr", "missed"] = 12
    assert cells(build(world, summary), 0, 0)["pdcr"].text == "undefined"


def test_a_p_value_keeps_its_side_of_the_level_in_the_csv(world):
    comparisons = world.data.comparisons.copy()
    values = [0.04999999996, 0.05, 0.0500000001, 0.0312345678, 0.04977]
    comparisons.loc[comparisons.index[: len(values)], "p_holm"] = values
    settings = TableSettings(name="t", kind="comparison")
    table = build(world, world.summary, comparisons, settings)
    written = pd.read_csv(StringIO(to_csv(table)))["p_holm"][: len(values)]
    assert written.tolist() == [0.04999999996, 0.05, 0.0500000001, 0.0312346, 0.04977]


def test_settings_choose_and_order(world):
    settings = TableSettings(
        name="t", metrics=["hd95"], methods=["pdcr", "supervised"], labels=["r0.5"], decimals={"hd95": 1}
    )
    table = build_tables(world.data, [settings])[0]
    assert [row.label.method for row in table.blocks[0].rows] == ["supervised", "pdcr"]
    assert len(table.blocks[0].columns) == 2
    assert re.fullmatch(r"\d\.\d", table.blocks[0].rows[1].cells[0].text)


def test_the_csv_is_unrounded_and_stands_alone(world, tmp_path):
    written = make_tables(world.data, [MAIN], tmp_path)
    assert [path.name for path in written] == ["main.csv", "main.md", "main.tex", "main.html"]
    frame = pd.read_csv(tmp_path / "main.csv")
    assert set(frame["metric"]) == {"dice", "hd95"}
    organs = frame[frame["dataset"] == "organs"]
    assert set(organs["split_hash"]) == {"5a17c0de"}
    assert organs["subset"].str.contains("14 of 70 training").all()
    assert set(frame.loc[frame["method"] == "pdcr", "provenance"]) == {"reconstructed"}
    assert (frame["holes_named"] == "organs-p03 (draw 0, fold 0, seed 0)").sum() == 2


def test_an_empty_comparison_makes_empty_tables(world, tmp_path):
    nothing = replace(
        world.data,
        summary=world.summary.iloc[:0],
        comparisons=world.comparisons.iloc[:0],
        runs=(),
        infos=(),
        skipped=(),
    )
    make_tables(nothing, default_tables(), tmp_path)
    assert "No scores." in (tmp_path / "main.md").read_text()


def test_latex_rows_have_as_many_cells_as_columns(world):
    for table in build_tables(world.data, default_tables()):
        for body in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", to_latex(table), re.DOTALL):
            width = len(re.match(r"\{(l?r+)\}|\{l(r+)\}", body)[0]) - 2
            rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
            assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {width}
