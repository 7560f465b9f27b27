"""The audit: it finds what cannot be, and lets what can be pass, to the last printed decimal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.evaluation.published.audit import audit, with_marks
from contrastseg.evaluation.published.audit_checks import CHECKS
from contrastseg.evaluation.published.published import COLUMNS, load_published

ROOT = Path(__file__).resolve().parents[3]
LINE = dict.fromkeys(COLUMNS, "") | {"paper": "A paper", "where": "table 1", "dataset": "Invented", "method": "ours"}
LINE |= {"labelled": "10%", "class": "mean", "unit": "%", "status": "printed"}


def found(tmp_path: Path, *rows: dict[str, str]) -> list[tuple[str, str]]:
    """Check and severity of every finding in a table of these rows, each over LINE."""
    write(tmp_path, *rows)
    return [(finding.check, finding.severity) for finding in audit(load_published(tmp_path))]


def write(tmp_path: Path, *rows: dict[str, str]) -> None:
    pd.DataFrame([LINE | row for row in rows], columns=list(COLUMNS)).to_csv(tmp_path / "made.csv", index=False)


def pair(dice: str, jaccard: str, **more: str) -> list[dict[str, str]]:
    return [{"metric": "dice", "value": dice, **more}, {"metric": "jaccard", "value": jaccard, **more}]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 4))
def test_the_scores_of_real_predictions_are_never_flagged(dice: list[float], decimals: int) -> None:
    """Whatever the cases score and however few decimals are printed: the direction of Jensen's inequality."""
    jaccard = [value / (2 - value) for value in dice]
    rows = pair(f"{100 * np.mean(dice):.{decimals}f}", f"{100 * np.mean(jaccard):.{decimals}f}")
    table = pd.DataFrame([LINE | row for row in rows]).assign(decimals=decimals, file="made", line=[2, 3])
    table = table.assign(printed=table["value"], value=table["value"].astype(float))
    table["fraction"] = table["value"] / 100
    assert [finding for finding in audit(table) if finding.check == "dice_jaccard"] == []


def test_a_jaccard_too_low_for_its_dice_is_impossible_beyond_rounding(tmp_path: Path) -> None:
    # 0.9/(2 − 0.9) = 0.81818…; from a Dice of at least 0.89995 follows a Jaccard of at least 0.81810.
    assert found(tmp_path, *pair("90.00", "81.81")) == []
    assert found(tmp_path, *pair("90.00", "81.80")) == [("dice_jaccard", "impossible")]
    assert found(tmp_path, *pair("90", "81.3")) == [], "a Dice of 89.5 is printed as 90, too"
    assert found(tmp_path, *pair("0.90", "0.81", unit="fraction")) == []
    assert found(tmp_path, *pair("0.90", "0.80", unit="fraction")) == [("dice_jaccard", "impossible")]
    assert found(tmp_path, *pair("90.00", "89.99")) == [], "a mean of zeros and ones comes close to Dice itself"


def test_a_jaccard_above_dice_is_impossible(tmp_path: Path) -> None:
    assert found(tmp_path, *pair("92.90", "92.90")) == []
    assert found(tmp_path, *pair("92.90", "96.86")) == [("dice_jaccard", "impossible")]


def test_only_one_line_s_numbers_are_held_against_each_other(tmp_path: Path) -> None:
    dice, jaccard = pair("90.00", "50.00")
    for key in ("method", "labelled", "class", "dataset", "where", "paper"):
        assert found(tmp_path, dice, jaccard | {key: "another"}) == [], key


@pytest.mark.parametrize(
    ("row", "severity"),
    [
        ({"metric": "dice", "value": "100.01"}, "impossible"),
        ({"metric": "dice", "value": "1.2", "unit": "fraction"}, "impossible"),
        ({"metric": "asd", "value": "-0.1", "unit": "voxel"}, "impossible"),
        ({"metric": "dice", "value": "0.84"}, "unlikely"),
        ({"metric": "dice", "value": "100"}, None),
        ({"metric": "dice gain", "value": "-3.1"}, None),
        ({"metric": "hd95", "value": "140.1", "unit": "voxel"}, None),
    ],
)
def test_values_stay_in_their_range(tmp_path: Path, row: dict[str, str], severity: str | None) -> None:
    assert found(tmp_path, row) == ([("range", severity)] if severity else [])


def test_an_average_is_the_mean_of_its_columns(tmp_path: Path) -> None:
    columns = [{"metric": "dice", "class": name, "value": value} for name, value in (("a", "48.37"), ("b", "79.16"))]
    for printed, expected in (("63.76", []), ("63.77", []), ("63.79", [("average", "impossible")])):
        assert found(tmp_path, *columns, {"metric": "dice", "class": "avg", "value": printed}) == expected


def test_distances_keep_their_order(tmp_path: Path) -> None:
    def distances(**values: str) -> list[tuple[str, str]]:
        return found(tmp_path, *({"metric": name, "value": text, "unit": "voxel"} for name, text in values.items()))

    assert distances(hd="5.0", hd95="4.0", asd="1.0") == []
    assert distances(hd="3.9", hd95="4.1") == [("distances", "impossible")]
    assert distances(hd="0.9", asd="1.1") == [("distances", "impossible")]
    assert distances(hd95="0.9", asd="1.1") == [("distances", "unlikely")]
    mixed = [{"metric": "hd95", "value": "0.9", "unit": "voxel"}, {"metric": "asd", "value": "3", "unit": "not stated"}]
    assert found(tmp_path, *mixed) == [], "two units cannot be held against each other"


def test_a_deviation_fits_its_mean(tmp_path: Path) -> None:
    mean = {"metric": "dice", "value": "90.0"}
    assert found(tmp_path, mean, {"metric": "dice std", "value": "42.0"}) == []
    assert found(tmp_path, mean, {"metric": "dice std", "value": "43.0"}) == [("deviation", "impossible")]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=10))
def test_no_scores_deviate_more_than_the_bound(values: list[float]) -> None:
    assert np.var(values, ddof=1) <= 2 * np.mean(values) * (1 - np.mean(values)) + 1e-12


def test_accuracy_is_never_below_jaccard_and_the_structure_keeps_its_size(tmp_path: Path) -> None:
    def line(method: str, accuracy: str, jaccard: str) -> list[dict[str, str]]:
        values = (("pixel_accuracy", accuracy), ("jaccard", jaccard))
        return [{"method": method, "metric": name, "value": value} for name, value in values]

    others = [*line("a", "92.0", "80"), *line("b", "96.0", "90"), *line("c", "96.8", "92")]  # 40 % of the image
    assert found(tmp_path, *others, *line("ours", "97.5", "93")) == []
    assert found(tmp_path, *others, *line("ours", "99.8", "95")) == [("accuracy_jaccard", "unlikely")]
    assert found(tmp_path, *others, *line("ours", "92.0", "95")) == [("accuracy_jaccard", "impossible")]


def test_one_line_under_two_names(tmp_path: Path) -> None:
    same = pair("80.00", "70.00")
    again = [row | {"method": "theirs"} for row in same]
    assert found(tmp_path, *same, *again) == [("twins", "unlikely")]
    assert found(tmp_path, *same, *(row | {"where": "table 2"} for row in again)) == [("twins", "remark")]
    assert found(tmp_path, *same, *(row | {"labelled": "20%"} for row in same)) == [("twins", "unlikely")]
    assert found(tmp_path, *same, again[0], again[1] | {"value": "70.01"}) == []


def test_two_sources_that_disagree_are_remarked(tmp_path: Path) -> None:
    one = {"metric": "dice", "value": "80.00"}
    assert found(tmp_path, one, one | {"paper": "Another", "value": "80.20"}) == [("sources", "remark")]
    assert found(tmp_path, one, one | {"paper": "Another", "value": "80.01"}) == []


def test_marks_grow_and_never_shrink(tmp_path: Path) -> None:
    rows = [*pair("90.00", "70.00"), {"metric": "asd", "unit": "voxel", "value": "1", "status": "inconsistent"}]
    write(
        tmp_path, *rows, *(row | {"method": "fine", "status": "suspect", "note": "a note"} for row in pair("90", "85"))
    )
    table = load_published(tmp_path)
    marked = with_marks(table, audit(table))
    assert marked["status"].tolist() == ["printed", "printed", "inconsistent", "suspect", "suspect"]
    assert marked["mark"].tolist() == ["inconsistent"] * 3 + ["suspect"] * 2
    assert marked["why"].str.contains("at least 81.82 %").tolist() == [True, True, False, False, False]
    assert marked["why"].tolist()[3:] == ["a note", "a note"]


def test_every_number_carried_as_inconsistent_is_found() -> None:
    table = load_published()
    impossible = {
        (row["file"], row["line"]) for one in audit(table) if one.severity == "impossible" for row in one.rows
    }
    carried = table[table["status"] == "inconsistent"]
    assert set(zip(carried["file"], carried["line"], strict=True)) <= impossible
    assert len(carried) == 18


def test_the_documents_list_what_the_command_finds() -> None:
    printed = CliRunner().invoke(app, ["published", "--markdown"])
    assert printed.exit_code == 0
    page = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
    assert page == printed.stdout, "run `contrastseg published --markdown > docs/published.md`"
    for finding in audit(load_published()):
        assert finding.what.replace("|", r"\|") in page
    assert all(f"- **{name}**: " in page for name in CHECKS)
