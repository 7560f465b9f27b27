"""Data cards: what is said of a data set, the same for programs and on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.data.inspect.card import card
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.registry import registry
from contrastseg.report.site.data_page import page

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_what_the_data_sets_say() -> None:
    written = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert written == page(), "run `contrastseg datasets --markdown > docs/datasets.md`"


@pytest.mark.parametrize("name", registry.names())
def test_the_page_says_all_that_a_user_must_know(name: str) -> None:
    spec, text = registry.get(name), page()
    assert f"\n## {name}\n" in text
    for said in (spec.title, spec.licence, spec.citation, *spec.registration, *spec.traps, *spec.splits):
        assert said in text


def test_a_card_of_published_data(tmp_path: Path) -> None:
    row = card(registry.get("acdc"), None, tmp_path)
    assert row["split_patients"]["acdc_70_10_20"] == {"train": 70, "val": 10, "test": 20}
    assert row["registration"]
    assert row["cases"] is None
    assert "not on this machine" in row["data"]
    assert row["prepared"] == {}
    (tmp_path / "mine" / "ACDC").mkdir(parents=True)
    assert card(registry.get("acdc"), tmp_path / "mine", tmp_path)["data"] == str(tmp_path / "mine" / "ACDC")


def test_a_card_says_what_is_prepared(tmp_path: Path) -> None:
    options = {"cases": 5, "size": [24, 20]}
    prepare_dataset("small", "phantom_organs", options, {"size": [8, 8]}, None, tmp_path / "prepared" / "small")
    rows = json.loads(CliRunner().invoke(app, ["datasets", "--json", "--resources", str(tmp_path)]).stdout)
    row = next(row for row in rows if row["name"] == "phantom_organs")
    assert (row["cases"], row["data"]) == (30, "generated")
    found = row["prepared"]["small"]
    assert (found["cases"], found["patients"], found["labelled"], found["unit"]) == (5, 5, 5, "mm")
    assert found["spacing"] == {end: [5.0, 1.5, 1.5] for end in ("min", "median", "max")}
    assert found["size"]["median"][1:] == [24, 20]
    assert 12 <= found["size"]["min"][0] <= found["size"]["median"][0] <= found["size"]["max"][0] <= 16
    assert next(row for row in rows if row["name"] == "acdc")["prepared"] == {}


def test_photographs_have_sizes_and_no_spacing(tmp_path: Path) -> None:
    prepare_dataset("p", "phantom_lesions", {"cases": 2}, None, None, tmp_path / "prepared" / "p")
    found = card(registry.get("phantom_lesions"), None, tmp_path)["prepared"]["p"]
    assert found["spacing"] is None
    assert found["size"]["max"] == [96, 128]


def test_the_command_prints_the_page() -> None:
    assert CliRunner().invoke(app, ["datasets", "--markdown"]).stdout == page()
