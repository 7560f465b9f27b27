"""Suite information and settings: what the tables' footnotes rest on."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contrastseg.report.content.labels import budget_short, budget_title, number, p_value
from contrastseg.report.content.suite_info import EntryInfo, gather_suite_info
from contrastseg.report.settings import FigureSettings, TableSettings, default_figures, default_tables


def test_a_complete_data_set_has_no_subset_note():
    counts = {"train": 70, "val": 10, "test": 20}
    assert EntryInfo("acdc", present=counts, complete=counts).subset_note() is None
    assert EntryInfo("acdc", present={"train": 14, "test": 10}, complete={"train": 70, "test": 20}).subset_note() == (
        "14 of 70 training, 10 of 20 test patients"
    )


def test_suites_name_methods_and_data_sets_in_long_and_in_short():
    info = gather_suite_info({"name": "s", "methods": ["a", {"name": "b"}], "datasets": ["x", {"name": "y"}]}, [])
    assert info.methods == ("a", "b")
    assert info.datasets == ("x", "y")
    assert info.convention == "default"
    assert info.level == "95 %"


def test_the_pool_of_an_entry_is_known():
    split = {"name": "random", "hash": "5a17", "folds": []}
    suite = {"name": "s", "datasets": ["x", {"name": "y", "pool": ["y", "x"]}]}
    info = gather_suite_info(suite, [{"entry": name, **split} for name in ("x", "y")])
    assert (info.entry("x").pool, info.entry("y").pool) == ((), ("y", "x"))


def test_unknown_settings_are_errors():
    for model in (TableSettings, FigureSettings):
        with pytest.raises(ValidationError, match="colour"):
            model(name="x", kind="main", colour="red")
        with pytest.raises(ValidationError, match="name"):
            model(name="../x", kind="main")
    assert len({one.name for one in default_tables()}) == 4
    assert {one.kind for one in default_figures()} == {
        "label_ratio",
        "box",
        "outcomes",
        "significance",
        "rank_stability",
        "cost",
        "learning_curves",
        "overlays",
    }


def test_numbers_are_written_as_a_paper_would():
    assert number(-0.1234, 2) == "−0.12"
    assert number(-0.001, 2) == "0.00"
    assert number(float("nan"), 2) == "–"
    assert p_value(0.00049) == "< 0.001"
    assert p_value(0.03125) == "0.0312"
    assert p_value(1.0) == "1"
    assert budget_title("r0.1", 7) == "10 % labelled (7 patients)"
    assert budget_title("n1") == "1 labelled patient"
    assert (budget_short("r0.25"), budget_short("n7")) == ("25 %", "7")
