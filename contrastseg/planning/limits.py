"""What a job may take before a cluster ends it: memory and minutes, more of both at every attempt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from contrastseg.planning.asked import described
from contrastseg.planning.measured import StepTimes
from contrastseg.planning.runs import Run, spatial_dims
from contrastseg.suite import Suite
from contrastseg.training.settings import TrainingSettings

# A slower device than the measured one, validation, checkpoints, and the reading of data before the first step.
GENEROSITY = 8
SHORTEST_MIN = 60
# What a job was given as long as nobody had measured a step. A longer stage is ended, and goes on from its checkpoint
# at the next attempt: many clusters refuse a job that asks for more than some days.
DAY_MIN = 1440


def stage_settings(suite: Suite, run: Run, stage: str) -> TrainingSettings:
    """The settings a stage of a run trains with."""
    return suite.stage_training(suite.entry(run.dataset), suite.method(run.method), run.variant, stage)


def measured_seconds(
    suite: Suite, run: Run, stage: str, times: Mapping[str, StepTimes], steps: int | None
) -> float | None:
    """Seconds of a stage by the time of its steps, their number and their pixels; None where one is not known."""
    known, dims = times.get(run.method), spatial_dims(suite.entry(run.dataset))
    if known is None or (stage, dims) not in known.steps or steps is None:
        return None
    training, step = stage_settings(suite, run, stage), known.steps[stage, dims]
    return steps * step.seconds * training.batch_size * math.prod(training.patch_size) / step.pixels


def limit_minutes(seconds: float | None, attempt: int) -> int:
    """The time limit of a stage that is expected to take some seconds, or nobody knows how many.

    min(max(8 × seconds, an hour), a day) × attempt.
    """
    expected = DAY_MIN if seconds is None else math.ceil(GENEROSITY * seconds / 60)
    return attempt * min(max(expected, SHORTEST_MIN), DAY_MIN)


def by_attempt(amount: int) -> Callable[[object, int], int]:
    """A resource as Snakemake asks for it: as much at the first attempt, twice as much at the second, ..."""

    def resource(wildcards: object, attempt: int) -> int:
        return amount * attempt

    return described(resource)
