"""What there is to know of each data set, for programs (`contrastseg datasets --json`) and as a page for people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data import registry
from contrastseg.data.cases import PreparedDataset
from contrastseg.data.download import locate, registration_steps
from contrastseg.data.settings import PreparationSettings
from contrastseg.data.specs import DatasetSpec
from contrastseg.data.splits import PARTS, SPLITS_FOLDER, read_published
from contrastseg.data.table import published_files
from contrastseg.errors import DataError
from contrastseg.files import read_json
from contrastseg.places import MANIFEST, prepared_folder

_INTRODUCTION = """# The data sets

<!-- Made by `contrastseg datasets --markdown > docs/datasets.md`; a test keeps it so. Edit the data sets' modules. -->

Every data set is split by patient. Below: what each one is, how to get it, how it is prepared unless a suite says
otherwise, and what has misled its users. `contrastseg datasets --json` adds what is on your machine: where the files
are, and sizes and spacings of what is prepared.
"""
_OWN_DATA = """## Your own data

Data in nnU-Net's layout needs no code. Name its folder in a suite:

```yaml
datasets: [{name: mine, nnunet: path/to/Dataset001_Mine}]
```

```
Dataset001_Mine/dataset.json                    channel_names, labels, numTraining, file_ending
Dataset001_Mine/imagesTr/case_0000.nii.gz       one file a channel; a colour PNG holds all three
Dataset001_Mine/labelsTr/case.nii.gz            0, 1, 2, ...; a label called ignore comes last
Dataset001_Mine/imagesTs, labelsTs              optional: a test part, the split `official`
Dataset001_Mine/patients.csv                    optional: the columns case,patient
```

Read are NIfTI, NRRD and MetaImage (`.nii.gz`, `.nii`, `.nrrd`, `.mha`) as volumes, PNG, JPEG and BMP as photographs,
and the Medical Decathlon's form of `dataset.json` (`modality`, one 4-D file a case). Labels given as regions are
refused. Without `patients.csv` a case counts as a patient: write one if patients have several images. Intensities are
normalised by the mean and deviation of each case, CT too, unless the suite's `preparation` says otherwise; nothing is
resampled unless it says `spacing`.

Before anything else, `contrastseg check path/to/Dataset001_Mine` lists every fault at once, and what is odd.
"""


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
    """By entry: how many cases, and their sizes and spacings on the native grid."""
    found = {}
    for path in sorted(prepared_folder("", resources).glob("*/dataset.json")):
        if read_json(path)["dataset"] != spec.name or not (path.parent / MANIFEST).is_file():
            continue
        prepared = PreparedDataset(path.parent)
        grids = [prepared.geometry(case) for case in prepared.cases]
        found[prepared.info.entry] = {
            "cases": len(prepared.cases),
            "patients": len(prepared.patients),
            "labelled": int(prepared.index["labelled"].sum()),
            "size": _distribution([grid.native_shape for grid in grids]),
            "spacing": _distribution([grid.native_spacing for grid in grids if grid.native_spacing is not None]),
            "unit": prepared.info.unit,
        }
    return found


def _distribution(rows: list[tuple[Any, ...]]) -> dict[str, list[float]] | None:
    """Lowest, median and highest per axis, in array order; None where nothing is known."""
    if not rows:
        return None
    table = np.array(rows, dtype=float)
    ends = {"min": table.min(axis=0), "median": np.median(table, axis=0), "max": table.max(axis=0)}
    return {name: np.round(values, 4).tolist() for name, values in ends.items()}


def page() -> str:
    """The page of all data sets, the same on every machine."""
    cards = [card(registry.get(name)) for name in registry.names()]
    overview = ["| name | what | dimensions | classes | access |", "| --- | --- | --- | --- | --- |"]
    for row in cards:
        cells = (f"[`{row['name']}`](#{row['name']})", row["modality"], f"{row['spatial_dims']}D")
        overview.append(_line(*cells, str(len(row["classes"]) - 1), _access(row)))
    sections = [_section(row) for row in cards]
    return "\n".join([_INTRODUCTION, *overview, "", *sections, _OWN_DATA])


def _access(row: dict[str, Any]) -> str:
    if row["cases"] is not None:
        return "generated"
    return "registration" if row["registration"] else "download"


def _section(row: dict[str, Any]) -> str:
    usual = PreparationSettings().model_dump(mode="json")
    rule = {key: value for key, value in row["preparation"].items() if value != usual[key] or key == "intensity"}
    facts = [
        ("Modality", f"{row['modality']}, {row['spatial_dims']}D"),
        ("Classes", ", ".join(f"{value} {name}" for value, name in enumerate(row["classes"]))),
        ("Channels", ", ".join(row["channels"])),
        ("Cases", f"{row['cases']} unless `cases` says otherwise" if row["cases"] is not None else ""),
        ("Splits", "; ".join(["`random`", *(_split(row, name) for name in row["splits"])])),
        ("Options", ", ".join(f"`{name}: {_value(default)}`" for name, default in row["options"].items())),
        ("Preparation", ", ".join(f"`{name}: {_value(value)}`" for name, value in rule.items())),
        ("Folder", ", ".join(f"`{name}`" for name in row["folder_names"])),
        ("Licence", row["licence"]),
        ("Citation", row["citation"]),
    ]
    parts = [f"## {row['name']}", "", f"{row['title']}.", "", "| | |", "| --- | --- |"]
    parts += [_line(name, text) for name, text in facts if text]
    parts.append("")
    if row["registration"]:
        steps = [f"{number}. {step}" for number, step in enumerate(row["registration"], start=1)]
        parts += ["How to get it:", "", *steps, ""]
    elif row["files"]:
        parts += [f"`contrastseg download {row['name']}` fetches:", ""]
        parts += [*(f"- `{item['file']}` from <{item['address']}>" for item in row["files"]), ""]
    if row["traps"]:
        parts += ["Mind:", "", *(f"- {trap}" for trap in row["traps"]), ""]
    return "\n".join(parts)


def _split(row: dict[str, Any], name: str) -> str:
    counts = row["split_patients"].get(name)
    return f"`{name}`" + (f" ({'/'.join(str(counts[part]) for part in PARTS)} patients)" if counts else "")


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _line(*cells: str) -> str:
    return f"| {' | '.join(_cell(cells))} |"


def _cell(cells: Iterable[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
