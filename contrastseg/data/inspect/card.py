"""What there is to know of a data set, as values: `contrastseg datasets --json` and the page of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.download.download import locate, registration_steps
from contrastseg.data.download.table import published_files
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.readers.specs import DatasetSpec
from contrastseg.data.splits.folds import SPLITS_FOLDER, read_published
from contrastseg.data.splits.split_files import PARTS
from contrastseg.errors import DataError
from contrastseg.files import read_json
from contrastseg.paths import MANIFEST, prepared_folder


def card(spec: DatasetSpec, data_root: Path | None = None, resources: Path | None = None) -> dict[str, Any]:
    """All of it as JSON-able values.

    Args:
        spec: The data set.
        data_root: The user's folder of data sets.
        resources: The project's resources folder; with it the card says where the files are and what is prepared.
    """
    row: dict[str, Any] = {
        "name": spec.name,
        "title": spec.title,
        "modality": spec.modality,
        "spatial_dims": spec.spatial_dims,
        "classes": list(spec.classes),
        "channels": list(spec.channels),
        "cases": spec.generated_cases(spec.options()) if spec.generated_cases is not None else None,
        "splits": list(spec.splits),
        "split_patients": {name: _counts(name) for name in spec.splits if _is_file(name)},
        "options": spec.options().model_dump(mode="json"),
        "preparation": spec.preparation.model_dump(mode="json"),
        "folder_names": list(spec.folder_names),
        "files": [
            {"file": row.file, "address": row.address, "size": row.size}
            for row in published_files(spec.name)
            if row.file
        ],
        "access": "generated" if spec.generated else "registration" if spec.registration else "open",
        "registration": list(registration_steps(spec)),
        "traps": list(spec.traps),
        "licence": spec.licence,
        "citation": spec.citation,
    }
    if resources is not None:
        row["available"], row["data"] = _where(spec, data_root, resources)
        row["prepared"] = _prepared(spec, resources)
    return row


def _is_file(split: str) -> bool:
    return (SPLITS_FOLDER / f"{split}.json").is_file()


def _counts(split: str) -> dict[str, int]:
    """Patients per part of a published split's first fold."""
    fold = read_published(split)["folds"][0]
    return {part: len(fold[part]) for part in PARTS}


def _where(spec: DatasetSpec, data_root: Path | None, resources: Path) -> tuple[bool, str]:
    """Whether its files are on this machine; where, or what the matter is."""
    try:
        folder = locate(spec, data_root, resources)
    except DataError as error:
        return False, error.reason
    return True, "generated" if folder is None else str(folder)


def _prepared(spec: DatasetSpec, resources: Path) -> dict[str, Any]:
    """By the name of the prepared folder: how many cases, and their sizes and spacings on the native grid."""
    facts = {}
    for path in sorted(prepared_folder("", resources).glob("*/dataset.json")):
        if read_json(path)["dataset"] != spec.name or not (path.parent / MANIFEST).is_file():
            continue
        prepared = PreparedDataset(path.parent)
        grids = [prepared.geometry(case) for case in prepared.cases]
        facts[path.parent.name] = {
            "cases": len(prepared.cases),
            "patients": len(prepared.patients),
            "labelled": int(prepared.index["labelled"].sum()),
            "size": _distribution([grid.native_shape for grid in grids]),
            "spacing": _distribution([grid.native_spacing for grid in grids if grid.native_spacing is not None]),
            "unit": prepared.info.unit,
        }
    return facts


def _distribution(rows: list[tuple[Any, ...]]) -> dict[str, list[float]] | None:
    """Lowest, median and highest per axis, in array order; None where nothing is known."""
    if not rows:
        return None
    table = np.array(rows, dtype=float)
    ends = {"min": table.min(axis=0), "median": np.median(table, axis=0), "max": table.max(axis=0)}
    return {name: np.round(values, 4).tolist() for name, values in ends.items()}
