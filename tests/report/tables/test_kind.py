"""A new kind of table is a file and one registration."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from contrastseg.evaluation.settings import ComparisonSettings, EvaluationSettings
from contrastseg.report.settings import TableSettings
from contrastseg.report.settings.kinds import TABLE_KINDS, RegisteredKind
from contrastseg.report.settings.metrics import scored
from contrastseg.report.tables.build import build_tables, make_tables
from contrastseg.report.tables.kind import frames_read, table_kind

FILE = '''
"""Patients behind each mean."""

from contrastseg.report.content.labels import budget_title
from contrastseg.report.content.report_data import records
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Row


def blocks(data, settings):
    made = []
    for place, rows in data.places(data.summary[data.summary["class"] == "mean"]):
        lines = [
            Row(data.label(row.method, row.variant), (Cell(budget_title(row.labels)), Cell(str(row.n_patients))))
            for row in records(rows[rows["metric"] == "dice"])
        ]
        made.append(Block(data.block_title(*place), (Column("labels"), Column("patients")), tuple(lines)))
    return made


def tidy(data, settings):
    return data.summary[data.summary["metric"].isin(settings.metrics)]


def footnotes(data, blocks):
    return [f"{len(blocks)} data sets."]


PATIENTS = TableKind("Patients.", blocks, tidy, footnotes, reads=("critical",))
'''


@pytest.fixture
def patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "patients_table.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(TABLE_KINDS, "patients", RegisteredKind("patients_table:PATIENTS", metrics=scored))
    yield
    sys.modules.pop("patients_table", None)


def test_a_registered_kind_is_asked_for_built_and_written(patients: None, world, tmp_path: Path) -> None:
    settings = TableSettings(name="behind", kind="patients", metrics=["dice"], methods=["pdcr"])
    (table,) = build_tables(world.data, [settings])
    assert table.caption == "Patients."
    assert table.footnotes == ("2 data sets.",)
    assert [[cell.text for cell in row.cells] for block in table.blocks for row in block.rows] == [
        ["10 % labelled", "12"],
        ["50 % labelled", "12"],
        ["10 % labelled", "8"],
    ]
    make_tables(world.data, [settings], tmp_path)
    written = pd.read_csv(tmp_path / "behind.csv")
    assert set(written["method"]) == {"pdcr"}
    assert set(written["provenance"]) == {"reconstructed"}


def test_a_registered_kind_says_what_it_reads_and_which_metrics_it_shows(patients: None) -> None:
    settings = TableSettings(name="behind", kind="patients")
    assert frames_read([settings, TableSettings(name="c", kind="conventions")]) == ["conventions", "critical"]
    evaluation = EvaluationSettings(metrics=["dice", "hd95"])
    assert settings.available_metrics(evaluation, ComparisonSettings()) == ["dice", "hd95"]


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="unknown kind of table 'patients'; there are: classes, comparison"):
        TableSettings(name="behind", kind="patients")


def test_what_is_registered_must_be_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE_KINDS, "wrong", RegisteredKind("contrastseg.report.tables.scores:STARS"))
    with pytest.raises(TypeError, match=r"contrastseg\.report\.tables\.scores:STARS is .*; expected a TableKind"):
        table_kind("wrong")
