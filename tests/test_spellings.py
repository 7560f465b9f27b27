"""Renamed attributes and keywords: a row keeps the fingerprint, and only while it can be trusted."""

from __future__ import annotations

import shutil

import pytest

from contrastseg.code_graph import code_fingerprint, graph, spellings
from contrastseg.code_graph.remembered import VARIABLE
from contrastseg.code_graph.spellings import RENAMED, Renamed, stale

ENTRY = """
from dataclasses import dataclass, replace
from functools import partial

from parcel.boxes import area


@dataclass
class Box:
    side: float
    colour: str = "red"

    def grown(self, by):
        return replace(self, side=self.side * by)


def run(values):
    match Box(side=1):
        case Box(side=length):
            pass
    return area(Box(3).grown(2), scale=2), partial(area, scale=3), values.colour, length
"""
BOXES = "def area(box, scale, start=0):\n    return scale * box.side**2 + start\n"
WHOLE = ("parcel",)
ROWS = (Renamed("edge", "side", WHOLE), Renamed("enlarged", "grown", WHOLE), Renamed("factor", "scale", WHOLE))


def renamed(text: str, *rows: Renamed) -> str:
    for row in rows:
        text = text.replace(row.old, row.new)
    return text


@pytest.fixture
def parcel(tmp_path, monkeypatch):
    """Write a package of these modules and set the rows; gives its fingerprint."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(VARIABLE, "")  # the cache knows rows by the package's files, and these change in memory alone

    def of(entry: str = ENTRY, boxes: str = BOXES, rows: tuple[Renamed, ...] = ()) -> str:
        shutil.rmtree(tmp_path / "parcel", ignore_errors=True)
        (tmp_path / "parcel").mkdir()
        for name, text in {"__init__": "", "entry": entry, "boxes": boxes}.items():
            (tmp_path / "parcel" / f"{name}.py").write_text(text)
        monkeypatch.setattr(spellings, "RENAMED", rows)
        graph.clear()
        return code_fingerprint(("parcel.entry:run",))

    yield of
    graph.clear()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.new)
def test_a_listed_rename_keeps_the_fingerprint_and_an_unlisted_one_does_not(parcel, row):
    before = parcel()
    entry, boxes = renamed(ENTRY, row), renamed(BOXES, row)
    assert (entry, boxes) != (ENTRY, BOXES)
    assert parcel(entry, boxes, (row,)) == before
    assert parcel(entry, boxes) != before


def test_all_at_once_keep_it_and_an_edit_beside_them_still_counts(parcel):
    before = parcel()
    entry, boxes = renamed(ENTRY, *ROWS), renamed(BOXES, *ROWS)
    assert parcel(entry, boxes, ROWS) == before
    assert parcel(entry.replace("factor=2", "factor=4"), boxes, ROWS) != before
    assert parcel(entry, boxes.replace("box.edge", "box.colour"), ROWS) != before


def test_a_renamed_parameter_still_counts_where_it_is_passed_by_name(parcel):
    boxes = "def area(box, factor=0, start=1):\n    return factor * box.side**2 + start\n"
    swapped = "def area(box, start=0, factor=1):\n    return start * box.side**2 + factor\n"
    by_keyword = renamed(ENTRY, ROWS[2])
    assert parcel(by_keyword, boxes, ROWS[2:]) != parcel(by_keyword, swapped, ROWS[2:])
    by_text = ENTRY.replace("scale=2", '**{"factor": 2}').replace("scale=3", '**{"factor": 3}')
    assert parcel(by_text, boxes, ROWS[2:]) != parcel(by_text, swapped, ROWS[2:])


def test_a_row_holds_for_its_modules_alone(parcel):
    row = Renamed("hue", "colour", ("parcel.entry",))
    before = parcel()
    assert parcel(renamed(ENTRY, row), BOXES, (row,)) == before
    assert parcel(renamed(ENTRY, row), BOXES, (row._replace(inside=("parcel.boxes",)),)) != before


def test_a_row_may_hold_for_one_variable(parcel):
    """`box.side` was renamed to `box.by`, in a function where `by` and `side` are names of other things."""
    boxes = "def area(box, scale, pen):\n    return scale * box.side + pen.side + pen.by\n"
    row = Renamed("box.by", "side", ("parcel.boxes",))
    before = parcel(boxes=boxes)
    now = boxes.replace("box.side", "box.by")
    assert parcel(boxes=now, rows=(row,)) == before
    assert stale((row,)) == []
    assert parcel(boxes=now.replace("pen.side", "pen.by"), rows=(row,)) != before
    assert parcel(boxes=now) != before
    parcel(boxes=f"{now}\n\ndef other(box):\n    return box.side\n", rows=(row,))
    assert any("its former spelling side is in use in parcel.boxes" in reason for reason in stale((row,)))
    assert any("holds for the same modules" in each for each in stale((row, Renamed("scale", "side", row.inside))))
    assert not any("holds for" in each for each in stale((row, row._replace(new="pen.by"))))


@pytest.mark.parametrize(
    ("rows", "boxes", "reason"),
    [
        ((Renamed("edge", "side", WHOLE),), BOXES, "its former spelling side is in use in parcel.boxes"),
        ((Renamed("edge", "side", ("parcel.gone",)),), BOXES, "module parcel.gone not found"),
        ((Renamed("rim", "border", WHOLE),), BOXES, "nothing is spelled like this"),
        ((Renamed("scale", "start", WHOLE),), BOXES, "a function has a parameter start, too"),
        ((Renamed("edge", "rim", WHOLE), Renamed("colour", "rim", WHOLE)), "", "holds for the same modules"),
        (
            (Renamed("edge", "rim", WHOLE), Renamed("edge", "border", ("parcel.entry",))),
            "",
            "holds for the same modules",
        ),
    ],
)
def test_a_row_that_hides_something_or_does_nothing_is_refused(parcel, rows, boxes, reason):
    parcel(renamed(ENTRY, ROWS[0]), boxes)
    reasons = stale(rows)
    assert any(reason in each for each in reasons), reasons


def test_a_row_is_fine_where_the_former_spelling_stays_in_use_elsewhere(parcel):
    parcel(renamed(ENTRY, ROWS[0]), BOXES)
    assert stale((Renamed("edge", "side", ("parcel.entry",)),)) == []


def test_the_rows_of_this_package_can_be_trusted():
    graph.clear()
    assert stale(RENAMED) == []
    assert list(RENAMED) == sorted(RENAMED)


def test_what_a_left_out_module_defines_is_hashed_by_name(parcel, monkeypatch):
    """Whoever calls it names it, and its body is no part of the hash: a rename there needs a row as well."""
    monkeypatch.setattr(graph, "LEFT_OUT", frozenset({"parcel.boxes"}))
    monkeypatch.setattr(spellings, "LEFT_OUT", frozenset({"parcel.boxes"}))
    row = Renamed("surface", "area", ("parcel.boxes",))
    before = parcel()
    assert parcel(renamed(ENTRY, row), renamed(BOXES, row), (row,)) == before
    assert stale((row,)) == []
    assert parcel(renamed(ENTRY, row), renamed(BOXES, row)) != before
    parcel(rows=(row,))
    assert len(stale((row,))) == 2
