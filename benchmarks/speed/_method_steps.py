"""Steps of one method's stages: time, images, arithmetic and memory, a row each."""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from _results import clock, described, peak_memory
from torch.utils.flop_counter import FlopCounterMode

from contrastseg.methods import registry
from contrastseg.training.length import batch_size
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig, TrainingSettings


def settings_of(method: str, steps: int) -> dict[str, Any]:
    """The method's defaults; one that has a schedule of its own gets one epoch of these steps."""
    found = registry.get(method)
    own = {"epochs": 1, "iterations_per_epoch": steps, "augmentation_workers": 0}
    return found.resolve("default", {name: value for name, value in own.items() if name in found.defaults})


def images_of(method: str, stage: str, training: TrainingSettings) -> int:
    """Samples of a step: of each source, those that no other view shows already."""
    drawn = {(view.source, view.samples) for view in registry.get(method).stage(stage).views.values()}
    return sum(batch_size(training, source) for source, _ in drawn)


def seconds_of(config: RunConfig, folder: Path, device: str) -> tuple[dict[str, Any], float]:
    """The record of a run and its median step; the first half of the steps warms up and is not counted."""
    now, times = clock(device), list[float]()
    record = train(config, folder, on_step=lambda _: times.append(now()))
    lasted = [after - before for before, after in itertools.pairwise(times)]
    return record, median(lasted[len(lasted) // 2 :])


def flops_of(config: RunConfig, folder: Path) -> int:
    """Operations of a step's convolutions and matrix products: those of the last of three steps, on a CPU."""
    counts: list[int] = []
    with FlopCounterMode(display=False) as counter:
        short = {**config.stage_training, "steps": 3, "accelerator": "cpu"}
        config = config.model_copy(update={"stage_training": short})
        train(config, folder, on_step=lambda _: counts.append(counter.get_total_flops()))
    return counts[-1] - counts[-2]


def measure(
    method: str, dims: int, steps: int, training: dict[str, Any], data: dict[str, str], device: str
) -> list[dict[str, Any]]:
    """A row per stage of the method, as far as it runs."""
    rows: list[dict[str, Any]] = []
    initial: dict[str, str] = {}
    planned_here = registry.get(method).engine is None
    with tempfile.TemporaryDirectory() as folder:
        for stage in registry.get(method).stages:
            row: dict[str, Any] = {"method": method, "stage": stage.name, "spatial_dims": dims, "hardware": described()}
            rows.append(row)
            try:
                config = RunConfig(
                    entry="phantom",
                    spatial_dims=dims,
                    method=method,
                    settings=settings_of(method, steps),
                    labels="n2",
                    stage=stage.name,
                    # A logged step has waited for its loss, so the clock sees what a GPU did.
                    stage_training={**training, "steps": steps, "log_every": 1},
                    initial={item.stage: initial[item.stage] for item in stage.init_from},
                    **data,
                )
                record, seconds = seconds_of(config, Path(folder) / stage.name, device)
                row["peak_memory_bytes"] = peak_memory() if device == "cpu" else record["peak_memory_bytes"]
                if planned_here:
                    row["images_per_step"] = images_of(method, stage.name, TrainingSettings(**record["training"]))
                    row["flops_per_step"] = flops_of(config, Path(folder) / f"{stage.name}-counted")
            # Whatever it is: the other methods are still worth measuring, and the row says what it was.
            except Exception as error:
                row["error"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                break
            initial[stage.name] = str(Path(folder) / stage.name / "checkpoints" / "last.ckpt")
            asked = record["training"]
            row["parameters"] = record["parameters"]
            row["seconds_per_step"] = f"{seconds:.4g}"
            row["pixels_per_step"] = asked["batch_size"] * math.prod(asked["patch_size"])
            row["device"], row["torch"] = record["hardware"]["device"], record["versions"]["torch"]
    return rows
