"""Step times and costs of methods, as `benchmarks/speed/methods.py` measured them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BASELINE = "supervised"


def _rows(path: Path) -> list[dict[str, str]]:
    """The measured stages of a file. A stage that failed has no time and is left out."""
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row.get("seconds_per_step")]


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step and its pixels: images of a batch times pixels of each."""

    seconds: float
    pixels: int


@dataclass(frozen=True)
class StepTimes:
    """Steps of a method by stage and dimension, all measured on one machine."""

    hardware: str
    steps: dict[tuple[str, int], StepTime]


def step_times(folder: Path, *, on_cpu: bool | None = None) -> dict[str, StepTimes]:
    """Step times by method, each from the last file by name that has the method.

    Args:
        folder: Where `methods-<hardware>.csv` lie. Rows that do not say how many pixels a step had are left out.
        on_cpu: True for steps of a CPU, False for those of a GPU; all by default.
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


def method_costs(folder: Path) -> dict[str, dict[str, Any]]:
    """Per method: trainable parameters of its last stage, and the cost of a step of each stage.

    Args:
        folder: Where `methods-<hardware>.csv` lie. Of several, each method's numbers come from the last one by name
            that has both it and `supervised`: times of different machines are not divided by each other.

    Returns:
        `parameters`, `cost` (by stage, in steps of `supervised`) and `measured_on` (the file's hardware), all of the
        fewest dimensions the method was measured in; methods without measurements have no entry.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("methods-*.csv")):
        rows = _rows(path)
        baselines = {row["spatial_dims"]: row for row in rows if row["method"] == BASELINE}
        rows = [row for row in rows if row["spatial_dims"] in baselines]
        for method in dict.fromkeys(row["method"] for row in rows):
            dims = min(row["spatial_dims"] for row in rows if row["method"] == method)
            stages = [row for row in rows if (row["method"], row["spatial_dims"]) == (method, dims)]
            baseline = float(baselines[dims]["seconds_per_step"])
            found[method] = {
                "parameters": int(stages[-1]["parameters"]),
                "cost": {row["stage"]: round(float(row["seconds_per_step"]) / baseline, 2) for row in stages},
                "measured_on": path.stem.removeprefix("methods-"),
            }
    return found


@dataclass(frozen=True)
class StepCost:
    """A step of one stage beside steps of `supervised`, all multiples.

    Attributes:
        method: Name of the method.
        stage: Of the method.
        spatial_dims: Of the network.
        images: Samples of a step, labelled and unlabelled together.
        step: Of the suite's batch size: the seconds by those of a step of `supervised`.
        as_many: The seconds by those of a step of `supervised` on as many labelled images.
        arithmetic: Operations of convolutions and matrix products, forward and backward, by those of `supervised`.
        memory: Highest memory in bytes; on a CPU, of the process.
    """

    method: str
    stage: str
    spatial_dims: int
    images: int
    step: float
    as_many: float
    arithmetic: float
    memory: int

    @property
    def beyond(self) -> float:
        """Time beyond what the passes through networks explain: 0.15 is 15 % more."""
        return self.step / self.arithmetic - 1


def step_costs(path: Path) -> list[StepCost]:
    """Steps of a file that were measured beside `supervised`, in the file's order.

    Args:
        path: `methods-<hardware>.csv`. Files made before images, arithmetic and memory were counted have no such rows.
    """
    rows = [row for row in _rows(path) if row.get("seconds_supervised")]
    baselines = {row["spatial_dims"]: row for row in rows if row["method"] == BASELINE}
    return [
        StepCost(
            method=row["method"],
            stage=row["stage"],
            spatial_dims=int(row["spatial_dims"]),
            images=int(row["images_per_step"]),
            step=float(row["seconds_per_step"]) / float(baseline["seconds_per_step"]),
            as_many=float(row["seconds_per_step"]) / float(row["seconds_supervised"]),
            arithmetic=int(row["flops_per_step"]) / int(baseline["flops_per_step"]),
            memory=int(row["peak_memory_bytes"]),
        )
        for row in rows
        if (baseline := baselines.get(row["spatial_dims"])) is not None
    ]
