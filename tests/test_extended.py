"""Definitions that gained an option: a row keeps the fingerprint until the next edit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contrastseg.code_graph import code_fingerprint, extended, graph
from contrastseg.code_graph.extended import EXTENDED, Extended
from contrastseg.code_graph.normal_form import NormalForm, Reference
from contrastseg.code_graph.remembered import VARIABLE

BEFORE = "def area(box, scale=1):\n    return scale * box.side**2\n\n\ndef run(box):\n    return area(box, scale=2)\n"
NOW = BEFORE.replace("=1):\n", "=1, start=None):\n    if start is not None:\n        return start\n")


@pytest.fixture
def parcel(tmp_path, monkeypatch):
    """Write a package of one module and set the rows; gives its fingerprint."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "")  # the cache knows rows by the package's files, and these change in memory alone
    (tmp_path / "parcel").mkdir()
    (tmp_path / "parcel" / "__init__.py").touch()

    def of(text: str, *rows: Extended) -> str:
        (tmp_path / "parcel" / "boxes.py").write_text(text)
        monkeypatch.setattr(extended, "EXTENDED", rows)
        graph.clear()
        return code_fingerprint(("parcel.boxes:run",))

    yield of
    monkeypatch.undo()
    graph.clear()


def form(name: str) -> NormalForm:
    return graph._form(Reference("parcel.boxes", name), frozenset({"parcel", "contrastseg"}))


def test_an_addition_with_a_row_changes_nothing_and_the_next_edit_counts(parcel):
    before, old = parcel(BEFORE), form("area")
    assert parcel(NOW) != before
    row = Extended("parcel.boxes:area", form("area").digest, old.digest, ("start",))
    assert parcel(NOW, row) == before
    assert form("area") == replace(old, words=form("area").words)
    assert parcel(NOW.replace("return start", "return -start"), row) != before
    assert parcel(NOW.replace("side**2", "side**3"), row) != before
    assert parcel(NOW.replace("scale=2", "scale=3"), row) != before


@pytest.mark.parametrize("row", EXTENDED, ids=lambda row: row.definition)
def test_every_row_is_of_the_definition_as_it_stands(row):
    graph.clear()
    module, _, name = row.definition.partition(":")
    assert graph._form(Reference(module, name), frozenset({"contrastseg"})).digest == row.before, "remove the row"
