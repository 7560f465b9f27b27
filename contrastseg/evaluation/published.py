"""Numbers that papers and repositories printed, each with where it stands and how far it can be trusted."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contrastseg.errors import ScoringError, unknown_name

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "published"
Status = Literal["printed", "suspect", "inconsistent"]
Unit = Literal["%", "fraction", "voxel", "not stated", "relative % (inferred)"]
STATUSES: tuple[str, ...] = get_args(Status)
_FILTERS = ("file", "paper", "dataset", "protocol", "method", "labelled", "class", "metric", "metric_here", "status")
# What the literature's metric is called here: its HD95 is medpy's, which pools both directions.
_HERE = {"jaccard": "iou", "hd95": "hd95_pooled"} | {name: name for name in ("dice", "hd", "asd", "miou")}


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


def load_published(folder: str | Path = FOLDER) -> pd.DataFrame:
    """Every printed number of the folder's CSV files, validated.

    Returns:
        The columns COLUMNS, then `fraction` (the value of a percentage or fraction as a number from 0 to 1, NaN for
        distances and gains), `metric_here` (the metric's name in this project, empty where it has none) and `file`
        (the CSV's stem); in the order of the files and their lines.

    Raises:
        ScoringError: The folder has no CSV file, or a line does not validate; names file, line and field.
    """
    files = sorted(Path(folder).glob("*.csv"))
    if not files:
        raise ScoringError("no tables of published numbers", file=folder, remedy="give the folder benchmarks/published")
    table = pd.concat([_load(file) for file in files], ignore_index=True)
    scale = table["unit"].map({"%": 0.01, "fraction": 1.0})
    gains = table["metric"].str.endswith("gain")
    table.insert(len(COLUMNS), "fraction", (table["value"] * scale).mask(gains))
    table.insert(len(COLUMNS) + 1, "metric_here", table["metric"].map(_HERE).fillna(""))
    return table


def find_published(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """The rows that match, by dataset, protocol, method, labelled, class_, metric, metric_here, paper, file or status.

    Raises:
        ScoringError: An unknown column, or a value that no row has; the message lists the ones there are.
    """
    for key, value in wanted.items():
        column = "class" if key == "class_" else key
        if column not in _FILTERS:
            raise ScoringError(unknown_name("column", key, list(_FILTERS)), remedy="filter by one of these")
        matching = table[table[column] == value]
        if matching.empty:
            known = sorted(map(str, table[column].unique()))
            raise ScoringError(unknown_name(f"published {column}", value, known), remedy="use the source's wording")
        table = matching
    return table


def _load(file: Path) -> pd.DataFrame:
    with open(file, encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        rows = [_validated(row, file, number) for number, row in enumerate(reader, start=2)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).assign(file=file.stem)


def _validated(row: dict[str | None, str], file: Path, line: int) -> dict[str, object]:
    try:
        return PublishedNumber.model_validate(row).model_dump(by_alias=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise ScoringError(
            f"line {line}, {field}: {first['msg']} ({first['input']!r})", file=file, remedy="correct the table"
        ) from error
