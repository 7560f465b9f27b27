"""What `benchmarks/speed/methods.py` measured of the methods, for `contrastseg methods` and `contrastseg plan`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REFERENCE = "supervised"


def _rows(path: Path) -> list[dict[str, str]]:
    """The stages of a file that were measured; one that failed has no time."""
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row.get("seconds_per_step")]


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step, and how many pixels it had: images of a batch times pixels of each."""

    seconds: float
    pixels: int


@dataclass(frozen=True)
class StepTimes:
    """Steps of a method by stage and dimension, all measured on one machine."""

    hardware: str
    steps: dict[tuple[str, int], StepTime]


def step_times(folder: Path, *, on_cpu: bool | None = None) -> dict[str, StepTimes]:
    """Per method: what its steps took, from the last file by name that has it.

    Args:
        folder: Where `methods-<hardware>.csv` lie. Rows that do not say how many pixels a step had are left out.
        on_cpu: Only steps of a CPU, or only those of a GPU; all if unset.
    """
    found: dict[str, StepTimes] = {}
    for path in sorted(folder.glob("methods-*.csv")):
        rows = [row for row in _rows(path) if row.get("pixels_per_step")]
        if on_cpu is not None:
            rows = [row for row in rows if (row["device"] == "cpu") == on_cpu]
        for method in dict.fromkeys(row["method"] for row in rows):
            steps = {
                (row["stage"], int(row["spatial_dims"])): StepTime(
                    float(row["seconds_per_step"]), int(row["pixels_per_step"])
                )
                for row in rows
                if row["method"] == method
            }
            found[method] = StepTimes(path.stem.removeprefix("methods-"), steps)
    return found


def measurements(folder: Path) -> dict[str, dict[str, Any]]:
    """Per method: trainable parameters of its last stage, and the cost of a step of each stage.

    Args:
        folder: Where `methods-<hardware>.csv` lie. Of several, each method's numbers come from the last one by name
            that has both it and `supervised`: times of different machines are not divided by each other.

    Returns:
        `parameters`, `cost` (by stage, in steps of `supervised`) and `measured_on` (the file's hardware), all of the
        fewest dimensions the method was measured in; no entry for methods that nobody measured.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("methods-*.csv")):
        rows = _rows(path)
        references = {row["spatial_dims"]: row for row in rows if row["method"] == REFERENCE}
        rows = [row for row in rows if row["spatial_dims"] in references]
        for method in dict.fromkeys(row["method"] for row in rows):
            dims = min(row["spatial_dims"] for row in rows if row["method"] == method)
            stages = [row for row in rows if (row["method"], row["spatial_dims"]) == (method, dims)]
            reference = float(references[dims]["seconds_per_step"])
            found[method] = {
                "parameters": int(stages[-1]["parameters"]),
                "cost": {row["stage"]: round(float(row["seconds_per_step"]) / reference, 2) for row in stages},
                "measured_on": path.stem.removeprefix("methods-"),
            }
    return found
