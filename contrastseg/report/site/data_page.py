"""The page docs/datasets.md: a card of each data set, and how one's own data is given."""

from __future__ import annotations

from typing import Any

from contrastseg.data.inspect.card import card
from contrastseg.data.registry import registry
from contrastseg.data.settings import PreparationSettings
from contrastseg.data.splits.split_files import PARTS
from contrastseg.report.site.markdown import line, table

_INTRODUCTION = """# The data sets

<!-- Made by `contrastseg datasets --markdown > docs/datasets.md`; a test keeps it so. Edit the data sets' modules. -->

Every data set is split by patient. Each card below has its content, the way to get it, its default preparation, and its
known issues. `contrastseg datasets --json` adds the state on your machine: the place of the files, and sizes and
spacings of prepared data.
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
Dataset001_Mine/imagesUn/other_0000.nii.gz      optional: images without a label
Dataset001_Mine/imagesTs, labelsTs              optional: a test part, the split `official`
Dataset001_Mine/patients.csv                    optional: the columns case,patient
```

These formats are read:

- volumes: NIfTI, NRRD and MetaImage (`.nii.gz`, `.nii`, `.nrrd`, `.mha`) and TIFF;
- photographs: PNG, JPEG, BMP and TIFF. Their labels may be PNG for images of any format;
- the Medical Decathlon's form of `dataset.json` (`modality`, one 4-D file a case).

A TIFF volume has its spacing in `imagesTr/case.json`, as nnU-Net writes it: `{"spacing": [z, y, x]}`. Labels given as
regions are refused.

Images of `imagesTr` without a label and all images of `imagesUn` train the methods that use unlabelled images. They are
never scored. `unlabelled: require_labels` in the entry makes a missing label a fault.

Without `patients.csv`, a case counts as a patient. Write one if patients have several images. By default, intensities
are normalised by the mean and deviation of each case, CT too, and images keep their spacing. The suite's `preparation`
changes both.

Start with `contrastseg check path/to/Dataset001_Mine`: it lists all faults and warnings at once.
"""


def page() -> str:
    """The page of all data sets, the same on every machine."""
    cards = [card(registry.get(name)) for name in registry.names()]
    rows = [
        (
            f"[`{row['name']}`](#{row['name']})",
            row["modality"],
            f"{row['spatial_dims']}D",
            str(len(row["classes"]) - 1),
            _access(row),
        )
        for row in cards
    ]
    overview = table(("name", "modality", "dimensions", "classes", "access"), rows)
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
        ("Cases", f"{row['cases']}; the option `cases` changes it" if row["cases"] is not None else ""),
        ("Splits", "; ".join(["`random`", *(_split(row, name) for name in row["splits"])])),
        ("Options", ", ".join(f"`{name}: {_value(default)}`" for name, default in row["options"].items())),
        ("Preparation", ", ".join(f"`{name}: {_value(value)}`" for name, value in rule.items())),
        ("Folder", ", ".join(f"`{name}`" for name in row["folder_names"])),
        ("Licence", row["licence"]),
        ("Citation", row["citation"]),
    ]
    parts = [f"## {row['name']}", "", f"{row['title']}.", "", "| | |", "| --- | --- |"]
    parts += [line(name, text) for name, text in facts if text]
    parts.append("")
    if row["registration"]:
        steps = [f"{number}. {step}" for number, step in enumerate(row["registration"], start=1)]
        parts += ["How to get it:", "", *steps, ""]
    elif row["files"]:
        parts += [f"`contrastseg download {row['name']}` fetches:", ""]
        parts += [*(f"- `{item['file']}` from <{item['address']}>" for item in row["files"]), ""]
    if row["traps"]:
        parts += ["Known issues:", "", *(f"- {trap}" for trap in row["traps"]), ""]
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
