"""Submitted rows: what `submit` writes is in order, and every fault of a row is a typed error with a remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from contrastseg.errors import SubmissionError
from contrastseg.evaluation.entered.submission import PROTOCOLS, check, check_all, folders
from contrastseg.files import read_json, write_json
from contrastseg.report.site.submitted_rows import submitted_rows
from tests.entered.conftest import ROOT, enter, invoke, maps

STATED = {"title": "Mine", "source": "A paper", "checkpoint": "last", "training_data": "labelled cases", "code": "1.0"}
WHERE = ("--suite", "tiny.yaml", "--entry", "lesions", "--method", "mine", "--labels", "r0.4")
ROWS = Path("results/submitted")


@pytest.fixture
def row(work: Path) -> Path:
    """A submitted row whose predictions are the references themselves."""
    enter(maps("lesions"), "--stated", json.dumps(STATED))
    invoke("submit", *WHERE)
    (folder,) = folders(ROWS)
    return folder


def test_a_row_is_written_whole_and_checked_without_the_data(row: Path, work: Path) -> None:
    assert row == ROWS / "tiny/lesions/mine/r0.4/draw0-fold0-seed0"
    shutil.rmtree("resources")
    shutil.rmtree("results/tiny")
    assert "1 submitted row in order" in invoke("submitted")
    scores = pd.read_csv(row / "scores.csv")
    assert set(scores["metric"]) == {"dice"}
    assert (scores["value"] == 1).all()
    protocol = read_json(ROWS / PROTOCOLS / "tiny" / "lesions.json")
    assert read_json(row / "run.json")["protocol"]["digest"] == protocol["rows"]["lesions/r0.4/draw0-fold0"]["digest"]
    assert set(scores["case"]) == set(protocol["test"]["lesions/fold0"])
    (found,) = submitted_rows([], work)
    assert (found.method, found.provenance, found.mean) == ("mine", "external", pytest.approx(1.0))
    assert found.patients == scores["patient"].nunique()


def test_a_statement_with_gaps_is_refused_and_nothing_is_written(work: Path) -> None:
    enter(maps("lesions"), "--stated", json.dumps({**STATED, "code": ""}))
    with pytest.raises(SubmissionError, match="code missing"):
        invoke("submit", *WHERE)
    assert not ROWS.exists() or not list(ROWS.rglob("*.csv"))


def test_a_row_that_was_not_entered_is_refused(work: Path) -> None:
    with pytest.raises(SubmissionError) as caught:
        invoke("submit", *WHERE)
    assert "contrastseg enter" in str(caught.value.remedy)


def change(name: str, edit: Callable[[dict], object]) -> Callable[[Path], None]:
    def changed(row: Path) -> None:
        file = row / name if name == "run.json" else ROWS / PROTOCOLS / "tiny" / "lesions.json"
        content = read_json(file)
        edit(content)
        write_json(file, content)

    return changed


def scores(edit: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def changed(row: Path) -> None:
        table = pd.read_csv(row / "scores.csv", dtype={"patient": str, "case": str})
        edit(table).to_csv(row / "scores.csv", index=False)

    return changed


def wrong_iou(row: Path) -> None:
    change("protocol", lambda protocol: protocol["scoring"].update(metrics=["dice", "iou"]))(row)
    scores(lambda table: pd.concat([table, table.assign(metric="iou", value=0.5)]))(row)


FAULTS = {
    "another digest": (change("run.json", lambda record: record["protocol"].update(digest="0")), "another protocol"),
    "another budget": (change("protocol", lambda protocol: protocol.update(rows={})), "has no row"),
    "no statement": (change("run.json", lambda record: record["stated"].pop("source")), "source missing"),
    "an unknown key": (change("run.json", lambda record: record["stated"].update(seeds=3)), "seeds"),
    "a test patient": (change("run.json", lambda r: r["stated"].update(labelled_patients=["x"])), "labelled patients"),
    "another place": (change("run.json", lambda record: record.update(seed=1)), "folder"),
    "no axis": (change("run.json", lambda record: record.pop("labels")), "no labels"),
    "a case too few": (scores(lambda table: table[table["case"] != table["case"].iloc[0]]), "scores missing: 1"),
    "a case too many": (
        scores(lambda table: pd.concat([table, table.head(1).assign(case="another")])),
        "not of the protocol: 1",
    ),
    "a row twice": (scores(lambda table: pd.concat([table, table.head(1)])), "more than once: 1"),
    "another patient": (scores(lambda table: table.assign(patient="nobody")), "patient: found another"),
    "a column too many": (scores(lambda table: table.assign(note="")), "columns: found"),
    "a word as value": (scores(lambda table: table.astype({"value": object}).assign(value="good")), "number"),
    "more than 1": (scores(lambda table: table.assign(value=1.5)), "outside the range"),
    "a hole": (scores(lambda table: table.assign(outcome="hole")), "missing prediction"),
    "no value": (scores(lambda table: table.assign(value=float("nan"))), "no value"),
    "an outcome": (scores(lambda table: table.assign(outcome="fine")), "unknown outcome"),
    "overlaps disagree": (wrong_iou, "disagree"),
    "no scores": (lambda row: (row / "scores.csv").unlink(), "scores.csv is missing"),
    "no protocol": (lambda row: (ROWS / PROTOCOLS / "tiny" / "lesions.json").unlink(), "protocol of the row"),
}


@pytest.fixture(scope="module")
def made(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of submitted rows, made once."""
    folder = tmp_path_factory.mktemp("submitted") / "work"
    shutil.copytree(prepared, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        enter(maps("lesions"), "--stated", json.dumps(STATED))
        invoke("submit", *WHERE)
    return folder / ROWS


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_a_typed_error_with_a_remedy(
    fault: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made, ROWS)
    (row,) = folders(ROWS)
    assert check(row, ROWS) == []
    damage, told = FAULTS[fault]
    damage(row)
    errors = check(row, ROWS)
    assert any(told in error.reason for error in errors), errors
    assert all(isinstance(error, SubmissionError) and error.remedy and error.file for error in errors)
    with pytest.raises(SubmissionError, match="1 of 1 submitted row"):
        invoke("submitted")
    assert list(submitted_rows([], tmp_path)) == []


def test_the_rows_of_this_repository_are_in_order() -> None:
    root = ROOT / "results" / "submitted"
    wrong = {str(folder): errors for folder, errors in check_all(root) if errors} if root.is_dir() else {}
    assert wrong == {}
