"""Which predictions a folder should hold and which it does. Standard library only: planning calls it for every run."""

from __future__ import annotations

import json
from pathlib import Path

INDEX = "predictions.json"
SUFFIXES = (".nii.gz", ".nii", ".png")


def expected_predictions(folder: str | Path) -> dict[str, Path] | None:
    """File by case as the folder's `predictions.json` lists them, there or not; None without such an index."""
    folder = Path(folder)
    index = folder / INDEX
    if not index.is_file():
        return None
    cases = json.loads(index.read_text(encoding="utf-8"))["cases"]
    return {case: folder / file for case, file in cases.items()}


def missing_predictions(folder: str | Path) -> list[str]:
    """The cases whose prediction the folder's index names but whose file is gone; empty without an index."""
    expected = expected_predictions(folder) or {}
    return sorted(case for case, file in expected.items() if not file.is_file())


def label_files(folder: str | Path) -> dict[str, Path]:
    """Every label map of a folder (NIfTI or PNG) by case, the case being the file's name without its suffix."""
    files = {}
    for file in sorted(Path(folder).iterdir()):
        suffix = next((suffix for suffix in SUFFIXES if file.name.lower().endswith(suffix)), None)
        if suffix and not file.name.startswith("."):
            files[file.name[: -len(suffix)]] = file
    return files
