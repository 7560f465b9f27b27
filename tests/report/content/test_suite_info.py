"""Facts and settings: what the tables' footers rest on."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contrastseg.report.content.labels import budget_short, budget_title, number, p_value
from contrastseg.report.content.suite_info import EntryFacts, gather_facts
from contrastseg.report.settings import FigureSettings, TableSettings, default_figures, default_tables


def test_a_complete_data_set_has_no_subset_note():
    counts = {"train": 70, "val": 10, "test": 20}
    assert EntryFacts("acdc", present=counts, complete=counts).subset_note() is None
    assert EntryFacts("acdc", present={"train": 14, "test": 10}, complete={"train": 70, "test": 20}).subset_note() == (
        "14 of 70 training, 10 of 20 test patients"
    )


def test_suites_name_methods_and_data_sets_in_long_and_in_short():
    facts = gather_facts({"name": "s", "methods": ["a", {"name": "b"}], "datasets": ["x", {"name": "y"}]}, [])
    assert facts.methods == ("a", "b")
    assert facts.datasets == ("x", "y")
    assert facts.convention == "default"
    assert facts.level == "95 %"


def test_the_pool_of_an_entry_is_known():
    split = {"name": "random", "hash": "5a17", "folds": []}
    suite = {"name": "s", "datasets": ["x", {"name": "y", "pool": ["y", "x"]}]}
    facts = gather_facts(suite, [{"entry": name, **split} for name in ("x", "y")])
    assert (facts.entry("x").pool, facts.entry("y").pool) == ((), ("y", "x"))


def test_unknown_settings_are_errors():
    for model in (TableSettings, FigureSettings):
        with pytest.raises(ValidationError, match="colour"):
            model(name="x", kind="main", colour="red")
        with pytest.raises(ValidationError, match="name"):
            model(name="../x", kind="main")
    assert len({one.name for one in default_tables()}) == 3
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
