"""Numbers that papers and repositories printed, each with where it stands and how far it can be trusted."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contrastseg.errors import ScoringError, unknown_name
from contrastseg.files import wrap_parse_errors
from contrastseg.paths import SHIPPED

if TYPE_CHECKING:
    import pandas as pd

FOLDER = SHIPPED / "benchmarks" / "published"
Status = Literal["printed", "suspect", "inconsistent"]
Unit = Literal["%", "fraction", "voxel", "not stated", "relative % (inferred)"]
STATUSES: tuple[str, ...] = get_args(Status)
# A filter's name -> the columns it looks in; `source` is a file here or who printed the number.
FILTERS: dict[str, tuple[str, ...]] = {
    name: (name,) for name in ("file", "paper", "where", "dataset", "protocol", "method", "labelled", "class", "status")
} | {"mark": ("mark",), "source": ("file", "paper"), "metric": ("metric", "metric_here")}
# What the literature's metric is called here: its HD95 is medpy's, which pools both directions.
HERE = {"jaccard": "iou", "hd95": "hd95_pooled", "pixel_accuracy": "accuracy"} | {
    name: name for name in ("dice", "hd", "asd", "miou")
}


class PublishedNumber(BaseModel):
    """One printed number.

    Attributes:
        paper: Who printed it.
        where: The table, figure or file it stands in.
        dataset: Data set as the source names it.
        protocol: Split and training as far as stated; empty when nothing is said.
        method: Method as the source names it.
        labelled: Labelled data as stated (`7 patients`, `10%`).
        class_: Class, `mean`, or empty when not stated (the column is called `class`).
        metric: As the source names it.
        unit: Of the value as printed.
        value: As printed.
        status: `printed`, `suspect` (probably not what was meant), `inconsistent` (cannot come from one set of
            predictions).
        note: Why it is suspect, and other remarks.
    """

    model_config = ConfigDict(extra="forbid")

    paper: str = Field(min_length=1)
    where: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    protocol: str
    method: str = Field(min_length=1)
    labelled: str
    class_: str = Field(alias="class")
    metric: str = Field(min_length=1)
    unit: Unit
    value: float = Field(allow_inf_nan=False)
    status: Status
    note: str


COLUMNS = tuple(field.alias or name for name, field in PublishedNumber.model_fields.items())


def read_rows(folder: str | Path = FOLDER) -> list[dict[str, object]]:
    """Every printed number of the folder's CSV files as a dict: COLUMNS, `printed` (the value's text), `file`, `line`.

    Without pandas: a suite is checked against these names each time it is read.

    Raises:
        ScoringError: The folder has no CSV file, or a line does not validate; names file, line and field.
    """
    files = sorted(Path(folder).glob("*.csv"))
    if not files:
        raise ScoringError(
            "tables of published numbers not found", file=folder, remedy="give the folder benchmarks/published"
        )
    return [row for file in files for row in _load(file)]


@cache
def published_rows() -> tuple[dict[str, object], ...]:
    """The rows of the numbers this project carries, read once."""
    return tuple(read_rows())


def load_published(folder: str | Path = FOLDER) -> pd.DataFrame:
    """Every printed number of the folder's CSV files, validated.

    Returns:
        The columns COLUMNS, then `printed` (the value's text, with the zeros it ends in), `decimals`, `fraction` (the
        value of a percentage or fraction as a number from 0 to 1, NaN for distances and gains), `metric_here` (the
        metric's name in this project, empty where it has none), `file` (the CSV's stem) and `line`; in the order of the
        files and their lines.

    Raises:
        ScoringError: The folder has no CSV file, or a line does not validate; names file, line and field.
    """
    import pandas as pd

    table = pd.DataFrame(read_rows(folder), columns=[*COLUMNS, "printed", "file", "line"])
    scale = table["unit"].map({"%": 0.01, "fraction": 1.0})
    gains = table["metric"].str.endswith("gain")
    after = len(COLUMNS) + 1
    table.insert(after, "decimals", table["printed"].map(lambda text: len(str(text).partition(".")[2])))
    table.insert(after + 1, "fraction", (table["value"] * scale).mask(gains))
    table.insert(after + 2, "metric_here", table["metric"].map(HERE).fillna(""))
    return table


def find_published(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """The rows that match in every filter; upper and lower case are the same.

    Args:
        table: From `load_published`, or with the marks of an audit (`audit.with_marks`) to filter by `mark`.
        **wanted: Names in FILTERS (`class_` for `class`) with the value looked for.

    Raises:
        ScoringError: An unknown filter, or a value that no row has; the message lists the ones there are.
    """
    for key, value in wanted.items():
        name = "class" if key == "class_" else key
        columns = [column for column in FILTERS.get(name, ()) if column in table]
        if not columns:
            raise ScoringError(unknown_name("filter", key, sorted(FILTERS)), remedy="filter by one of these")
        same = [table[column].str.casefold() == value.casefold() for column in columns]
        matching = table[same[0] if len(same) == 1 else same[0] | same[1]]
        if matching.empty:
            known = sorted({str(item) for column in columns for item in table[column].unique()} - {""})
            raise ScoringError(unknown_name(f"published {name}", value, known), remedy="use the source's wording")
        table = matching
    return table


def _load(file: Path) -> list[dict[str, object]]:
    remedy = "restore the table, or correct it"
    with wrap_parse_errors(file, ScoringError, remedy), open(file, encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        return [
            {**_validated(row, file, number), "printed": row["value"], "file": file.stem, "line": number}
            for number, row in enumerate(reader, start=2)
        ]


def _validated(row: dict[str | None, str], file: Path, line: int) -> dict[str, object]:
    try:
        return PublishedNumber.model_validate(row).model_dump(by_alias=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ScoringError(
            f"line {line}, {field}: {first['msg']} ({first['input']!r})", file=file, remedy="correct the table"
        ) from error
