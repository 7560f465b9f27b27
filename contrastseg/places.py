"""Where prepared data, splits and scores lie, for every room."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent
"""The repository: its data files lie beside the package."""
RESOURCES = Path("resources")
MANIFEST: Final = "manifest.json"
"""Hashes of a prepared data set's cases: written last, so whoever finds it finds the whole set."""
SCORES: Final = "scores.parquet"


def prepared_folder(name: str, resources: Path = RESOURCES) -> Path:
    """Where prepared data lies; `contrastseg.data.prepare.stores` says under which name."""
    return resources / "prepared" / name


def split_file(name: str, resources: Path = RESOURCES) -> Path:
    """Where a split lies; `contrastseg.data.prepare.stores` says under which name."""
    return resources / "splits" / f"{name}.json"
