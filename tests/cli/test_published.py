"""`contrastseg published`: what it finds, and what it says when there is nothing."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from contrastseg.cli import app


def run(*arguments: str) -> list[dict]:
    done = CliRunner().invoke(app, ["published", *arguments, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found
    return found


def test_filters_are_combined() -> None:
    rows = run("--dataset", "acdc", "--labelled", "7 patients", "--metric", "dice", "--method", "MC-Net+")
    assert [(row["printed"], row["paper"]) for row in rows] == [("87.10", "MC-Net+ repository performance file")]
    assert {row["metric"] for row in run("--source", "la", "--metric", "hd95_pooled")} == {"hd95"}


def test_marks_of_the_audit_can_be_asked_for() -> None:
    rows = run("--mark", "inconsistent")
    assert {row["status"] for row in rows} == {"inconsistent", "printed", "suspect"}, "more than the files carry"
    assert all(row["why"] for row in rows)


def test_the_audit_is_filtered_too() -> None:
    rows = run("--audit", "--source", "pdcr_uafr", "--dataset", "MC")
    assert [(row["check"], row["severity"]) for row in rows] == [("accuracy_jaccard", "unlikely")]


def test_people_read_a_table_with_the_reasons_under_it() -> None:
    done = CliRunner().invoke(app, ["published", "--dataset", "DigestPath", "--mark", "inconsistent"])
    assert "79.44" in done.stdout
    assert "- this Dice and Jaccard cannot come from one set of predictions" in done.stdout


def test_an_unknown_name_lists_the_known_ones() -> None:
    done = CliRunner().invoke(app, ["published", "--dataset", "nowhere"])
    assert done.exit_code == 1
    told, _, known = str(done.exception).partition("; there are: ")
    assert told.endswith("unknown published dataset 'nowhere'")
    assert {"ACDC", "LA", "MMWHS"} <= set(known.partition("\n")[0].split(", "))
