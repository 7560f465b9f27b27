"""Data tables for tests."""

from __future__ import annotations

import csv
from pathlib import Path

from contrastseg.data.download.table import PublishedFile


def table_of(folder: Path, *rows: dict[str, str]) -> Path:
    """A data table of rows that name at least what they are about."""
    known = {"name": "open_set", "licence": "CC0", "citation": "Somebody", "source": "this test"}
    with open(folder / "table.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(PublishedFile.model_fields))
        writer.writeheader()
        writer.writerows({**known, **row} for row in rows)
    return folder / "table.csv"
