"""Tables in a paper's layout: every printed number with its mark, ours beside it, two protocols never called one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from contrastseg.checkpoint_names import ORACLE, ORACLE_MARK
from contrastseg.evaluation.published.published import load_published
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.content.suite_info import EntryInfo
from contrastseg.report.settings import TableSettings
from contrastseg.report.settings.published import PublishedSettings
from contrastseg.report.tables import wording
from contrastseg.report.tables.build import build_tables
from contrastseg.report.tables.formats import escape_markdown, to_markdown
from contrastseg.report.tables.model import Block, Cell, Table
from contrastseg.report.tables.published.protocol import Protocols

LA: dict[str, Any] = {
    "source": "la",
    "where": "table 9 (own re-runs)",
    "blocks": ["labelled"],
    "datasets": {"LA": {"entry": "organs", "split": "list"}},
    "methods": {"VNet-L": "supervised", "MT": "mean_teacher"},
    "labels": {"1 cases": "r0.1"},
    "classes": {"left atrium": "mean"},
}
PDCR: dict[str, Any] = {
    "source": "pdcr_uafr",
    "datasets": {"ISIC2016": "lesions", "MC": "lesions"},
    "methods": {"PDCR+UAFR": "uafr/rf"},
    "labels": {"100%": "r0.5"},
    "classes": {"foreground": "mean"},
}


def settings(published: dict[str, Any], **more: Any) -> TableSettings:
    return TableSettings(name="paper", kind="paper", intervals=False, published=published, **more)


def build(data: ReportData, published: dict[str, Any], **more: Any) -> Table:
    return build_tables(data, [settings(published, **more)])[0]


def block(table: Table, title: str) -> Block:
    return next(one for one in table.blocks if one.title.startswith(title))


def row(of: Block, name: str) -> dict[str, Cell]:
    found = next(line for line in of.rows if line.label.name.startswith(name))
    heads = [f"{column.group.split(' ')[0]} {column.title}" for column in of.columns]
    return dict(zip(heads, found.cells, strict=True))


def complete(world: Any, **changes: Any) -> ReportData:
    """The invented comparison with nobody missing from its data."""
    whole = {name: replace(entry, complete={}, subset=None) for name, entry in world.suite.entries.items()}
    return replace(world.data, suite=replace(world.suite, entries=whole, **changes))


def test_every_printed_number_stands_there_with_its_mark(world):
    table = build(world.data, PDCR)
    published = load_published()
    for title in ("ISIC2016", "MC"):
        of = next(one for one in table.blocks if one.title == title)
        rows = published[(published["file"] == "pdcr_uafr") & (published["dataset"] == title)]
        texts = [cell.text for line in of.rows for cell in line.cells]
        assert [text for text in texts if text in set(rows["printed"])]
        for printed in rows["printed"]:
            assert printed in texts
        names = [line.label.name.partition(" (here")[0] for line in of.rows]
        assert names[: rows["method"].nunique()] == list(dict.fromkeys(rows["method"])), "in the paper's order"
    ours = row(next(one for one in table.blocks if one.title == "ISIC2016"), "PDCR+UAFR")
    assert (ours["Dice published"].text, ours["Dice published"].small) == ("94.51", "inconsistent")
    assert row(block(table, "MC"), "PDCR+UAFR")["Accuracy published"].small == "suspect"
    assert "PDCR+UAFR: inconsistent: this Dice and Jaccard cannot come from one set" in " ".join(
        table.blocks[0].footnotes
    )


def test_ours_stands_in_the_printed_unit_and_the_difference_is_theirs_taken_from_ours(world):
    of = next(one for one in build(world.data, PDCR).blocks if one.title == "ISIC2016")
    summary = world.summary
    mean = summary[
        (summary["dataset"] == "lesions")
        & (summary["method"] == "uafr")
        & (summary["labels"] == "r0.5")
        & (summary["class"] == "mean")
        & (summary["metric"] == "dice")
    ]["mean"].item()
    cells = row(of, "PDCR+UAFR")
    assert cells["Dice ours"].text == f"{100 * mean:.2f}"
    assert cells["Dice difference"].text == f"{100 * mean - 94.51:.2f}".replace("-", "−")
    assert cells["Accuracy ours"].text == "not scored"
    assert cells["Accuracy difference"].text == "–"


def test_a_hole_says_which_kind_it_is(world):
    summary = world.summary
    gone = summary[~((summary["dataset"] == "organs") & (summary["method"] == "mean_teacher"))]
    table = build(replace(world.data, summary=gone), LA)
    assert row(block(table, "1 cases"), "MT")["Dice ours"].text == "missing"
    assert row(block(table, "1 cases"), "MT")["Dice difference"].text == "–"
    assert row(block(table, "1 cases"), "CCT")["Dice ours"].text == "not run"
    assert row(block(table, "4 cases"), "VNet-L")["Dice ours"].text == "not run", "no budget of ours is mapped to it"
    empty = build(replace(world.data, summary=summary.iloc[:0], comparisons=world.comparisons.iloc[:0]), LA)
    assert row(block(empty, "1 cases"), "VNet-L")["Dice published"].text == "40.0"
    assert row(block(empty, "1 cases"), "VNet-L")["Dice ours"].text == "missing"


def test_units_are_never_subtracted(world):
    pancreas = LA | {"source": "pancreas_ct", "where": "table", "datasets": {"Pancreas-CT": "organs"}}
    pancreas |= {"methods": {"UA-MT": "supervised"}, "labels": {"6 cases": "r0.1"}, "classes": {"pancreas": "mean"}}
    data = world.data
    pooled = data.summary.replace({"metric": {"hd95": "hd95_pooled"}})
    of = block(build(replace(data, summary=pooled), pancreas), "6 cases")
    cells = row(of, "UA-MT")
    assert cells["HD95 ours"].small == "mm", "what the heading calls voxels"
    assert cells["HD95 difference"].text == "–"
    assert "unit of hd95: voxel there, mm here" in " ".join(of.footnotes)
    voxels = pooled.assign(unit=pooled["unit"].replace({"mm": "voxel"}))
    cells = row(block(build(replace(data, summary=voxels), pancreas), "6 cases"), "UA-MT")
    assert cells["HD95 ours"].small == ""
    assert cells["HD95 difference"].text[0] in "+−"


def test_our_methods_that_the_paper_lacks_stand_below(world):
    of = block(build(world.data, LA), "1 cases")
    names = [line.label.name for line in of.rows]
    assert names[-2:] == ["pdcr", "uafr (rf)"]
    assert row(of, "pdcr")["Dice published"].text == "–"
    assert row(of, "uafr")["Dice ours"].kind == ""
    assert {line.label.mark for line in of.rows} == {"P", "O", "R", ""}, (
        "every row of ours has its mark, no other has one"
    )
    assert row(of, "VNet-L (here supervised)")


def test_marked_numbers_and_incomplete_cells_are_not_ranked(world):
    of = next(one for one in build(world.data, PDCR).blocks if one.title == "ISIC2016")
    assert row(of, "PDCR+UAFR")["Dice published"].emphasis == "", "the largest, and impossible"
    assert row(of, "biDFL")["Dice published"].emphasis == "best"
    assert row(of, "Bi et al.")["Dice published"].emphasis == "second"
    summary = world.summary.copy()
    summary.loc[summary["method"] == "uafr", "holes"] = 1
    of = next(one for one in build(replace(world.data, summary=summary), PDCR).blocks if one.title == "ISIC2016")
    assert row(of, "PDCR+UAFR")["Dice ours"].emphasis == ""


def test_label_budgets_in_the_rows_are_not_ranked(world):
    ideal = {"source": "ideal", "where": "table 1", "rows": ["labelled"], "datasets": {"ACDC": "organs"}}
    table = build(world.data, ideal | {"methods": {"IDEAL": "pdcr"}, "labels": {"10%": "r0.1"}})
    (of,) = table.blocks
    assert of.head == "Labelled"
    assert [line.label.name.partition(" (")[0] for line in of.rows][:2] == ["1.25% labelled", "2.5% labelled"]
    assert {cell.emphasis for line in of.rows for cell in line.cells} == {""}


def test_stars_come_from_corrected_tests_alone(world):
    for verdict, star in (("better", "*"), ("n too small", "")):
        comparisons = world.comparisons.assign(verdict=verdict)
        of = block(build(replace(world.data, comparisons=comparisons), LA), "1 cases")
        assert row(of, "MT")["Dice ours"].star == star
        assert row(of, "MT")["Dice published"].star == ""


def verdict(data: ReportData, published: dict[str, Any], title: str = "1 cases") -> str:
    notes = block(build(data, published), title).footnotes
    return next(note for note in notes if "rotocol" in note and not note.startswith("Protocol of the source"))


def test_two_protocols_are_called_one_only_when_everything_is_known_and_equal(world):
    data = complete(world)
    training = [
        run | {"training": {"steps": 1200, "network": {"name": "vnet"}}, "labelled_count": 1} for run in world.runs
    ]
    summary = data.summary[data.summary["metric"] == "dice"]
    data = replace(data, runs=training, summary=summary)
    known = {"convention": "default", "checkpoint": "last", "recipe": {"network.name": "vnet", "steps": 1200}}
    same = LA | {"protocol": known, "metrics": {"dice": "dice"}}
    assert verdict(data, same).startswith("Protocols match in split, labels, unit")
    for change, said in (
        (
            {"protocol": known | {"convention": "ssl4mis"}},
            "Protocol differs: scoring convention: ssl4mis there, default",
        ),
        ({"protocol": known | {"checkpoint": "best_test"}}, "Protocol differs: checkpoint: best_test there, last here"),
        ({"protocol": known | {"recipe": {"steps": 6000}}}, "Protocol differs: steps: 6000 there, 1200 here"),
        ({"protocol": known | {"recipe": {"network.name": "unet"}}}, "network.name: unet there, vnet here"),
        ({"protocol": known | {"recipe": {"no.such": 1}}}, "no.such: 1 there, None here"),
        ({"protocol": known | {"differs": ["they cropped"]}}, "Protocol differs: they cropped."),
        ({"datasets": {"LA": {"entry": "organs", "split": "another"}}}, "Protocol differs: split: another there, list"),
        ({"datasets": {"LA": "organs"}}, "Protocols may differ. Not stated by the source: whether"),
        ({"protocol": {**known, "convention": None}}, "may differ. Not stated by the source: scoring convention."),
        ({"protocol": {**known, "checkpoint": None}}, "may differ. Not stated by the source: checkpoint."),
        ({"protocol": {**known, "recipe": {}}}, "may differ. Not stated by the source: training recipe."),
    ):
        text = verdict(data, same | change)
        assert said in text, change
        assert "Protocols match" not in text
    other = [run | {"labelled_count": 3} for run in training]
    assert "labels: 1 cases there, 10 % labelled (3 patients) here" in verdict(replace(data, runs=other), same)


def test_a_subset_makes_another_protocol(world):
    assert "subset: 14 of 70 training" in verdict(world.data, LA)


@pytest.mark.parametrize(("percent", "count", "same"), [("10%", 8, True), ("1.25%", 1, True), ("10%", 3, False)])
def test_a_share_is_held_against_the_patients_it_comes_to(world, percent, count, same):
    entry = EntryInfo("organs", "chaitanya", "h", complete={"train": 78}, present={"train": 78})
    data = complete(world)
    runs = [run | {"labelled_count": count, "labels": f"n{count}"} for run in world.runs]
    summary = data.summary.replace({"labels": {"r0.1": f"n{count}"}})
    suite = replace(data.suite, entries={"organs": entry})
    data = replace(data, runs=runs, suite=suite, summary=summary)
    ideal = {"source": "ideal", "where": "table 1", "rows": ["labelled"], "datasets": {"ACDC": "organs"}}
    text = verdict(data, ideal | {"methods": {"IDEAL": "pdcr"}, "labels": {percent: f"n{count}"}}, "ACDC")
    assert ("labels:" not in text) == same


def test_the_verdict_never_hides_what_is_open():
    assert Protocols().verdict.startswith("Protocols match")
    assert Protocols(("a",), ("b",)).verdict == "Protocol differs: a. Not stated by the source: b."
    assert Protocols((), ("b",)).verdict == "Protocols may differ. Not stated by the source: b."
    assert Protocols.merged([Protocols(("a",)), Protocols(("a", "c"), ("d",))]) == Protocols(("a", "c"), ("d",))


def test_the_csv_holds_every_printed_number_with_its_source(world):
    frame = build(world.data, PDCR).tidy
    published = load_published()
    wanted = published[(published["file"] == "pdcr_uafr") & published["dataset"].isin(["ISIC2016", "MC"])]
    assert frame["printed"].tolist() == wanted["printed"].tolist()
    assert set(frame["mark"]) == {"printed", "suspect", "inconsistent"}
    ours = frame[frame["difference"].notna()]
    assert set(ours["method"]) == {"uafr"}
    assert (ours["ours_in_printed_unit"] - ours["printed"].astype(float) - ours["difference"]).abs().max() < 1e-9
    assert (100 * ours["mean"] - ours["ours_in_printed_unit"]).abs().max() < 1e-9
    assert set(ours["provenance"]) == {"published"}
    assert set(frame.loc[frame["method"] == "", "provenance"]) == {""}
    assert ours["protocol_not_stated"].str.contains("checkpoint").all()


def test_two_sources_of_one_method_are_two_rows(world):
    of = block(build(world.data, LA | {"where": "README or table", "methods": {}, "labels": {}}), "16 cases")
    names = [line.label.name for line in of.rows if line.label.name.startswith("SASSNet")]
    assert names == ["SASSNet, DTC README; UG-MCL", "SASSNet, AUA"]


def test_what_a_row_s_column_lacks_is_a_hole_not_a_shift(world):
    ideal = {"source": "ideal", "where": "table 2", "blocks": [], "columns": ["dataset", "labelled", "metric"]}
    (of,) = build(world.data, ideal | {"datasets": {"ACDC": "organs", "MMWHS": "lesions"}}).blocks
    assert of.title == "table 2"
    line = next(one for one in of.rows if one.label.name == "Global CL [6]")
    groups = {
        column.group: cell for column, cell in zip(of.columns, line.cells, strict=True) if column.title == "published"
    }
    assert groups["ACDC · 2.5% labelled · Dice [fraction] ↑"].text == "–"
    assert groups["ACDC · 10% labelled · Dice [fraction] ↑"].text == "0.847"
    assert groups["MMWHS · 10% labelled · Dice [fraction] ↑"].text == "0.500"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": "nowhere"}, "unknown published source, 'nowhere'; there are: acdc, ideal, la"),
        ({"where": "table 99"}, "unknown published table (where) of la, 'table 99'; there are: README, "),
        ({"papers": ["Nobody"]}, "unknown published paper of la, 'Nobody'; there are: ARCO"),
        ({"datasets": {"ACDC": "organs"}}, "unknown published data set of la, 'ACDC'; there are: LA"),
        ({"methods": {"V-Nett": "supervised"}}, "unknown published method of la, 'V-Nett'; there are: ACTION"),
        ({"labels": {"2 cases": "n2"}}, "unknown published labelled of la, '2 cases'; there are: 1 cases, 4 cases"),
        ({"classes": {"left": "mean"}}, "unknown published class of la, 'left'; there are: left atrium"),
        ({"metrics": {"nsd": "nsd"}}, "unknown published metric of la, 'nsd'; there are: asd, dice"),
        (
            {"blocks": ["dataset"]},
            "la has several of labelled (80 cases, 1 cases, 4 cases, 8 cases)",
        ),
        ({"rows": ["method", "labelled"]}, "labelled stands twice"),
    ],
)
def test_an_unknown_printed_name_lists_the_known_ones(change, said):
    with pytest.raises(ValidationError) as error:
        PublishedSettings.model_validate(LA | change)
    assert said in str(error.value)


def test_a_table_of_kind_paper_and_no_other_names_its_source():
    with pytest.raises(ValidationError, match="a table of kind paper, and no other"):
        TableSettings(name="t", kind="paper")
    with pytest.raises(ValidationError, match="a table of kind paper, and no other"):
        TableSettings(name="t", kind="main", published=LA)


def test_markdown_says_how_to_read_it(world):
    text = to_markdown(build(world.data, LA))
    assert "Dice \\[%\\] ↑: published | Dice \\[%\\] ↑: ours | Dice \\[%\\] ↑: difference" in text
    assert escape_markdown(wording.PUBLISHED_FOOTNOTES[2]) in text


def test_our_oracle_beside_a_source_that_selects_on_test_is_marked_and_neither_bold_nor_starred(world):
    oracle = replace(world.data, summary=world.summary.assign(checkpoint=ORACLE))
    table, usual = build(oracle, LA), build(world.data, LA)

    def ours(of: Table) -> list[Cell]:
        return [
            cell
            for part in of.blocks
            for line in part.rows
            for column, cell in zip(part.columns, line.cells, strict=True)
            if column.title == "ours" and cell.sort is not None
        ]

    assert ours(table)
    assert all(ORACLE_MARK in cell.small for cell in ours(table))
    assert not [cell for cell in ours(table) if cell.emphasis or cell.star]
    assert [cell for cell in ours(usual) if cell.emphasis]
    assert not [cell for cell in ours(usual) if ORACLE_MARK in cell.small]
