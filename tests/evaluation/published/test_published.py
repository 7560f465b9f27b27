from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from contrastseg.errors import ScoringError
from contrastseg.evaluation.published.published import COLUMNS, FOLDER, STATUSES, find_published, load_published


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return load_published()


def test_every_file_loads(published: pd.DataFrame) -> None:
    files = sorted(FOLDER.glob("*.csv"))
    assert sorted(published["file"].unique()) == [file.stem for file in files]
    assert len(published) == sum(len(file.read_text().splitlines()) - 1 for file in files)
    added = ["printed", "decimals", "fraction", "metric_here", "file", "line"]
    assert list(published.columns) == [*COLUMNS, *added]
    assert set(published["status"]) == set(STATUSES)
    assert published["value"].notna().all()


def test_fractions_are_fractions(published: pd.DataFrame) -> None:
    ratios = published[published["metric"].isin(["dice", "jaccard", "miou", "pixel_accuracy"])]
    assert ratios["fraction"].between(0, 1).all()
    assert published[published["metric"].isin(["asd", "hd", "hd95", "dice gain"])]["fraction"].isna().all()


def test_a_number_keeps_the_zeros_it_was_printed_with(published: pd.DataFrame) -> None:
    row = find_published(published, dataset="ISIC2017", method="PDCR+UAFR", metric="jaccard").iloc[0]
    assert (row["printed"], row["decimals"], row["value"]) == ("82.00", 2, 82.0)
    assert row["fraction"] == pytest.approx(0.82)
    text = (FOLDER / f"{row['file']}.csv").read_text().splitlines()[row["line"] - 1]
    assert "ISIC2017" in text
    assert ",PDCR+UAFR,100%,foreground,jaccard,%,82.00," in text


def test_suspect_numbers_say_why(published: pd.DataFrame) -> None:
    assert (published[published["status"] != "printed"]["note"] != "").all()


def test_numbers_are_found_by_what_they_are(published: pd.DataFrame) -> None:
    found = find_published(
        published, file="acdc", method="MC-Net+", labelled="7 patients", class_="mean", metric="dice"
    )
    assert found["value"].tolist()[0] == 87.10
    with pytest.raises(ScoringError, match=r"unknown published labelled '8 patients'.*7 patients"):
        find_published(published, dataset="ACDC", labelled="8 patients")
    assert find_published(published, source="mc-net+ repository performance file")["file"].unique().tolist() == ["acdc"]
    assert set(find_published(published, metric="iou")["metric"]) == {"jaccard"}
    with pytest.raises(ScoringError, match=r"unknown filter 'colour'; there are: class, dataset.*source"):
        find_published(published, colour="red")


@pytest.mark.parametrize(
    ("field", "value"), [("unit", "furlong"), ("status", "true"), ("value", "high"), ("value", "nan"), ("method", "")]
)
def test_a_bad_line_is_named(tmp_path: Path, field: str, value: str) -> None:
    row = dict.fromkeys(COLUMNS, "x") | {"unit": "%", "value": "1", "status": "printed", field: value}
    file = tmp_path / "bad.csv"
    file.write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    with pytest.raises(ScoringError, match=f"line 2, {field}") as error:
        load_published(tmp_path)
    assert error.value.file == file


def test_no_tables_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="tables of published numbers"):
        load_published(tmp_path)
