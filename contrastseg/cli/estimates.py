"""What a plan will cost, as far as finished runs and the settings say it."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean
from typing import Any

from contrastseg.files import read_json
from contrastseg.methods import registry
from contrastseg.planning import Plan


def estimate(plan: Plan) -> dict[str, Any]:
    """Jobs, runs still to do, hours of training and disk.

    Time and disk are those of the finished runs of the same data set and method; where there is none yet, that is what
    is said instead of a guess.
    """
    evaluations = list(plan.evaluations())
    pretraining = {
        run.stage_folder(stage.name)
        for run in plan.runs
        for stage in registry.get(run.method).stages
        if stage.name != "train"
    }
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    size: dict[tuple[str, str], list[int]] = defaultdict(list)
    left: dict[tuple[str, str], int] = defaultdict(int)
    for run in plan.runs:
        key = (run.dataset, run.method)
        if (run.folder / "run.json").is_file():
            seconds[key].append(read_json(run.folder / "run.json")["wall_s"])
            size[key].append(sum(file.stat().st_size for file in run.folder.rglob("*") if file.is_file()))
        else:
            left[key] += 1
    unknown = sorted("/".join(key) for key in left if key not in seconds)
    measured = [key for key in left if key in seconds]
    hours = sum(left[key] * fmean(seconds[key]) for key in measured) / 3600
    gigabytes = sum(left[key] * fmean(size[key]) for key in measured) / 1e9
    entries = [entry.name for entry in plan.suite.datasets if entry.name not in plan.unavailable]
    drawings = len(plan.suite.tables) + len(plan.suite.figures)
    made = 2 * len(entries) + len(plan.pools()) + len(pretraining) + len(plan.runs)
    jobs = made + 2 * len(evaluations) + drawings + 5
    text = " (not known before one run of each: " + ", ".join(unknown) + ")" if unknown else ""
    return {
        "runs": len(plan.runs),
        "runs_left": sum(left.values()),
        "jobs": jobs,
        "device_hours_left": f"{hours:.2f}{text}",
        "disk_left_gb": f"{gigabytes:.2f}{text}",
    }
