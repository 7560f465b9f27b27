"""The Medical Segmentation Decathlon's layout, shared by its tasks."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.faults import Faults
from contrastseg.data.readers.layouts import require_folder, volume_pairs
from contrastseg.data.readers.specs import RawCase
from contrastseg.data.settings import SplitSettings

CITATION = (
    "Antonelli et al., The Medical Segmentation Decathlon, Nature Communications 13, 4128, 2022, "
    "doi 10.1038/s41467-022-30695-9"
)
LICENCE = "CC BY-SA 4.0"
SPLIT = SplitSettings(folds=5)
TEST_PART = "The labels of imagesTs are not public: the published training part is divided into folds."


def discover(raw: Path | None, task: str, prefix: str, faults: Faults) -> list[RawCase]:
    """List the labelled cases of a task.

    Args:
        raw: The task's folder, or one that holds it.
        task: Name of the data set.
        prefix: What its files are called before their number.
        faults: Takes what is wrong, names that are not the task's among it.
    """
    raw = require_folder(raw, task)
    for path in sorted(path for part in ("imagesTr", "labelsTr") for path in raw.rglob(f"{part}/*.nii*")):
        if not path.name.startswith((prefix, "._")):
            faults.add(
                f"the files of this task are called {prefix}<number>.nii.gz",
                case=path.name.split(".")[0],
                file=path,
                remedy="give the folder of the right task",
            )
    name = rf"(?P<case>{prefix}\d+)\.nii(\.gz)?"
    expected = f"imagesTr/{prefix}001.nii.gz and labelsTr/{prefix}001.nii.gz"
    return volume_pairs(raw, f"imagesTr/{name}", f"labelsTr/{name}", faults, expected)
