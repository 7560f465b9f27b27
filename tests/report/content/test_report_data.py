"""ReportData.load: what a results folder holds, in one object."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contrastseg.errors import ContrastsegError
from contrastseg.files import read_json, write_json
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import wording
from contrastseg.report.tables.build import build_tables

STORED = Path(__file__).resolve().parents[3] / "results" / "reference"
PHANTOMS = STORED / "phantoms" / "cpu-amd-epyc-2cores"


def test_a_results_folder_is_loaded_whole() -> None:
    data = ReportData.load(PHANTOMS)
    assert (data.suite.name, data.suite.baseline) == ("phantoms", "supervised")
    assert len(data.runs) == len(data.scores[["dataset", "method", "variant", "labels", "seed"]].drop_duplicates())
    assert set(data.summary["dataset"]) == set(data.scores["dataset"]) == {str(info["entry"]) for info in data.infos}
    assert len(data.comparisons)
    assert len(data.rankings)
    assert not len(data.conventions)
    assert data.skipped_known
    (table,) = build_tables(data, [TableSettings(name="main", metrics=["dice"])])
    assert sum(len(block.rows) for block in table.blocks) > 10


def test_ranks_by_convention_are_loaded_where_they_are() -> None:
    assert len(ReportData.load(STORED / "la_reduced" / "cpu-amd-epyc-2cores").conventions)


def test_a_folder_without_a_plan_knows_its_scores_and_says_what_is_unknown(tmp_path: Path) -> None:
    for name in ("scores.parquet", "summary.csv", "comparisons.csv"):
        shutil.copy(PHANTOMS / name, tmp_path)
    data = ReportData.load(tmp_path)
    assert data.suite.name == "phantoms"
    assert not data.skipped_known
    assert (data.runs, data.infos) == ([], [])
    (tmp_path / "summary.csv").unlink()
    with pytest.raises(ContrastsegError, match=r"summary\.csv"):
        ReportData.load(tmp_path)


def test_the_totals_of_a_plan_reach_the_footnotes(tmp_path: Path) -> None:
    for name in ("scores.parquet", "summary.csv", "comparisons.csv", "plan.json", "cards.json", "data.json"):
        shutil.copy(PHANTOMS / name, tmp_path)
    assert ReportData.load(tmp_path).suite.step_totals == (), "an older plan has none"
    total = {"dataset": "organs_few", "method": "supervised", "variant": "default", "total": 300, "as_long_as": ""}
    plan = read_json(tmp_path / "plan.json")
    write_json(tmp_path / "plan.json", plan | {"step_totals": [{**total, "stages": {"train": 300}}]})
    (table,) = build_tables(ReportData.load(tmp_path), [TableSettings(name="main", metrics=["dice"])])
    said = [wording.equal_steps(300) in block.footnotes for block in table.blocks]
    assert sum(said) == 1
