"""Tables of other suites on a suite's page: shown apart, or said to be missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from contrastseg.evaluation.statistics.tuning_tables import CHOICE_COLUMNS
from contrastseg.files import read_json, write_json
from contrastseg.report.page.build import make_report
from contrastseg.report.page.other_suites import other_suites

STORED = Path(__file__).resolve().parents[3] / "results" / "reference"
PHANTOMS = STORED / "phantoms" / "cpu-amd-epyc-2cores"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results in which one suite is finished, and tuned."""
    folder = tmp_path / "finished"
    folder.mkdir()
    for name in ("scores.parquet", "summary.csv", "comparisons.csv", "plan.json", "cards.json", "data.json"):
        shutil.copy(PHANTOMS / name, folder)
    plan = read_json(folder / "plan.json")
    plan["suite"] |= {"title": "Another suite", "tuning": {"trials": 3, "validation": "free"}}
    write_json(folder / "plan.json", plan)
    numbers = {"trials": 3, "inner_folds": 1, "n_patients": 5, "trial": 1, "dice": 0.5, "dice_defaults": 0.25}
    cell = {"suite": "s", "dataset": "organs_few", "method": "supervised", "variant": "default", "labels": "r0.1"}
    choice = {**dict.fromkeys(CHOICE_COLUMNS, 0), **numbers, **cell, "values": '{"w": 7}', "diverged": "", "hours": 2.5}
    pd.DataFrame([choice | {"validation": "free"}]).to_csv(folder / "tuned.csv", index=False)
    return tmp_path


def test_the_main_table_and_the_choices_of_a_finished_suite_are_shown(results: Path) -> None:
    finished, missing = other_suites(["finished", "started"], results, results / "resources")
    assert (finished.title, [table.name for table in finished.tables]) == ("Another suite", ["main", "tuning"])
    assert all("K = 3" in table.caption and "2.5 hours" in table.caption for table in finished.tables)
    assert (missing.name, missing.tables) == ("started", ())


def test_they_stand_on_the_page_apart_from_its_own_tables(results: Path, world) -> None:
    others = other_suites(["finished", "started"], results, results / "resources")
    pages = [
        make_report(
            world.data, tables=[], figures=[], figures_folder=results, path=results / "r.html", others=shown
        ).read_text()
        for shown in (others, [])
    ]
    assert "Another suite" in pages[0]
    assert "w: 7" in pages[0]
    assert "started" in pages[0]
    assert 'id="others"' not in pages[1]
    assert "K = 3" not in pages[1]
