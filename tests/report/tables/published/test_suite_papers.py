"""The suites' own paper tables: every mapped name exists on both sides, and each table can be made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from contrastseg.errors import SuiteError
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.content.suite_info import gather_suite_info
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables.build import build_tables
from contrastseg.report.tables.formats import to_csv, to_html, to_markdown
from contrastseg.report.tables.latex import to_latex
from contrastseg.suite import Suite, load_suite, parse_suite

SUITES = Path(__file__).resolve().parents[4] / "benchmarks"
WITH_PAPERS = (
    *("acdc", "acdc_reduced", "acdc_small", "cvrl", "full", "ideal", "la", "la_reduced", "la_small"),
    *("mc_ph2_reduced", "pdcr", "pdcr_3d", "semantic_aware"),
)
COLUMNS = ("dataset", "evaluated_on", "checkpoint", "labels", "method", "variant", "class", "metric", "unit", "mean")
PAPER = {"name": "p", "kind": "paper", "published": {"source": "la", "where": "table 9 (own re-runs)"}}


def papers(suite: Suite) -> list[TableSettings]:
    return [table for table in suite.tables if table.kind == "paper"]


@pytest.mark.parametrize("name", WITH_PAPERS)
def test_the_tables_of_a_suite_stand_before_anything_has_run(name: str) -> None:
    suite = load_suite(SUITES / f"{name}.yaml")
    assert papers(suite)
    info = gather_suite_info(suite.model_dump(mode="json"), [])
    data = ReportData(summary=pd.DataFrame(columns=list(COLUMNS)), suite=info)
    for table, asked in zip(build_tables(data, papers(suite)), papers(suite), strict=True):
        assert asked.published is not None
        classes = {name for entry in suite.datasets for name in (*entry.spec.classes, "mean")}
        assert set(asked.published.classes.values()) <= classes
        texts = [cell.text for block in table.blocks for row in block.rows for cell in row.cells]
        printed = table.tidy["printed"].tolist()
        assert len([text for text in texts if text in set(printed)]) >= len(printed), "nothing printed is left out"
        beside = table.tidy[(table.tidy["labels"] != "") & (table.tidy["method"] != "") & (table.tidy["metric"] != "")]
        assert texts.count("missing") >= len(beside), "a hole is printed as a hole"
        notes = " ".join(note for block in table.blocks for note in block.footnotes)
        open_points = "".join(beside["protocol_differs"] + beside["protocol_not_stated"])
        assert bool(open_points) == bool(len(beside)), "no suite claims the whole protocol of its source"
        assert ("Not stated by the source" in notes) == beside["protocol_not_stated"].astype(bool).any()
        assert "Protocols match" not in notes
        for text in (to_csv(table), to_markdown(table), to_html(table), to_latex(table)):
            assert all(value in text for value in printed)


def test_the_mapped_settings_are_settings_of_training() -> None:
    for name in WITH_PAPERS:
        suite = load_suite(SUITES / f"{name}.yaml")
        known = suite.training.model_dump()
        for table in papers(suite):
            assert table.published is not None
            for key in table.published.protocol.recipe:
                first = key.partition(".")[0]
                assert first in known, f"{name}, {table.name}: {key}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"datasets": {"LA": "nowhere"}}, "unknown entry in p: 'nowhere'; there are: lesions"),
        (
            {"datasets": {"LA": {"entry": "lesions", "evaluated_on": "x"}}},
            "unknown entry in p: 'x'; there are: lesions",
        ),
        (
            {"datasets": {"LA": "lesions"}, "methods": {"MT": "moco"}},
            "unknown method in p: 'moco'; there are: supervised",
        ),
        (
            {"datasets": {"LA": "lesions"}, "methods": {"MT": "supervised/rf"}},
            "unknown variant of supervised in p: 'rf'; there are: default",
        ),
        (
            {"datasets": {"LA": "lesions"}, "labels": {"4 cases": "n4"}},
            "unknown label budget in p: 'n4'; there are: r1",
        ),
        ({"datasets": {"LB": "lesions"}}, "unknown published data set of la, 'LB'; there are: LA"),
    ],
)
def test_a_name_that_the_suite_lacks_lists_the_ones_it_has(change: dict, said: str) -> None:
    published = {**PAPER["published"], "blocks": ["labelled"], **change}  # type: ignore[dict-item]
    suite = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions"}],
        "methods": ["supervised"],
        "tables": [{**PAPER, "published": published}],
    }
    with pytest.raises(SuiteError) as error:
        parse_suite(suite)
    assert said in str(error.value)
