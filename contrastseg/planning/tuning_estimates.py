"""The price of a tuned suite: its trials, and the hours of those that are left."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from typing import Any

from contrastseg.files import read_json
from contrastseg.methods import registry
from contrastseg.planning.run_axes import Run
from contrastseg.planning.runs import Plan
from contrastseg.planning.tuning import Trial

StageSeconds = Callable[[Run, str], float | None]
"""From a run and one of its stages to the seconds it is expected to take; None where unknown."""


def tuning_jobs(plan: Plan) -> int:
    """Jobs of the trials, the choices and their tables."""
    cells = len(plan.tuned_cells)
    return len(plan.trials()) + cells + bool(cells)


def tuning_estimate(plan: Plan, seconds_of: StageSeconds) -> dict[str, Any]:
    """Trainings of trials and their device hours; empty for an untuned suite.

    A trial is expected to take as long as finished ones of the same entry, method and label budget. Without finished
    ones, it takes the seconds of its stages. A finished trial may be of older code, which the workflow runs again.

    Args:
        plan: The plan.
        seconds_of: Expected seconds of a stage.
    """
    tuning, trials = plan.suite.tuning, plan.trials()
    if tuning is None:
        return {}
    finished: dict[tuple[str, ...], list[float]] = {}
    left: dict[tuple[str, ...], list[Trial]] = {}
    for trial in trials:
        if trial.record.is_file():
            finished.setdefault(_kind(trial), []).append(float(read_json(trial.record)["wall_s"]))
        else:
            left.setdefault(_kind(trial), []).append(trial)
    hours, unknown = 0.0, []
    for kind, waiting in left.items():
        each = fmean(finished[kind]) if kind in finished else _seconds(waiting[0], tuning.seed, seconds_of)
        if each is None:
            unknown.append("/".join(kind[:3]))
        else:
            hours += len(waiting) * each / 3600
    gaps = f" (no finished trial and no measured step of {', '.join(sorted(set(unknown)))})" if unknown else ""
    return {
        "trials": len(trials),
        "trials_left": sum(map(len, left.values())),
        "device_hours_of_trials_left": f"{hours:.2f}{gaps}",
    }


def _kind(trial: Trial) -> tuple[str, ...]:
    cell = trial.cell
    return cell.entry, cell.method, cell.variant, cell.labels


def _seconds(trial: Trial, seed: int, seconds_of: StageSeconds) -> float | None:
    """Seconds of all stages; None where one is unknown."""
    cell = trial.cell
    run = Run(cell.suite, cell.entry, cell.method, cell.variant, cell.labels, cell.draw, cell.fold, seed)
    stages = [seconds_of(run, stage.name) for stage in registry.get(cell.method).stages]
    known = [each for each in stages if each is not None]
    return sum(known) if len(known) == len(stages) else None
