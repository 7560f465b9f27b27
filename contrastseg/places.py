"""Where prepared data, splits and scores lie, for every room."""

from __future__ import annotations

from pathlib import Path
from typing import Final

RESOURCES = Path("resources")
MANIFEST: Final = "manifest.json"
"""Hashes of a prepared data set's cases: written last, so whoever finds it finds the whole set."""
SCORES: Final = "scores.parquet"


def prepared_folder(entry: str, resources: Path = RESOURCES) -> Path:
    """Where an entry's prepared data lies."""
    return resources / "prepared" / entry


def split_file(entry: str, resources: Path = RESOURCES) -> Path:
    """Where an entry's split lies."""
    return resources / "splits" / f"{entry}.json"
