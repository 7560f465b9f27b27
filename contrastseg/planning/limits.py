"""Limits at which a cluster ends a job: memory and minutes, more of both at every attempt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

from contrastseg.planning.job_functions import with_parameters
from contrastseg.planning.runs import Run, spatial_dims
from contrastseg.planning.step_times import StepTimes
from contrastseg.suite import Suite
from contrastseg.training.settings import TrainingSettings

# Factor for a slower device than the measured one, validation, checkpoints, and reading data before the first step.
GENEROSITY = 8
SHORTEST_MIN = 60
# The limit without measured steps, and the longest one: many clusters refuse jobs of several days. A longer stage is
# ended and resumes from its checkpoint at the next attempt.
DAY_MIN = 1440


def stage_settings(suite: Suite, run: Run, stage: str) -> TrainingSettings:
    """Training settings of a stage of a run."""
    return suite.stage_training(suite.entry(run.entry), suite.method(run.method), run.variant, stage)


def settings_lookup(suite: Suite) -> Callable[[Run, str], TrainingSettings]:
    """A function that gives `stage_settings` of a run and stage, computed once for all budgets, draws, folds, seeds."""

    @cache
    def settings(entry: str, method: str, variant: str, stage: str) -> TrainingSettings:
        return suite.stage_training(suite.entry(entry), suite.method(method), variant, stage)

    return lambda run, stage: settings(run.entry, run.method, run.variant, stage)


def measured_seconds(
    suite: Suite,
    run: Run,
    stage: str,
    times: Mapping[str, StepTimes],
    steps: int | None,
    *,
    settings: Callable[[Run, str], TrainingSettings] | None = None,
) -> float | None:
    """Seconds of a stage, from the time, number and pixels of its steps; None where one of them is unknown.

    Args:
        suite: The suite.
        run: One of its runs.
        stage: One of its stages.
        times: Measured steps by method.
        steps: Steps of the stage; None where not known.
        settings: A `settings_lookup` of the suite, for who asks for many runs.
    """
    known, dims = times.get(run.method), spatial_dims(suite.entry(run.entry))
    if known is None or (stage, dims) not in known.steps or steps is None:
        return None
    training = settings(run, stage) if settings else stage_settings(suite, run, stage)
    step = known.steps[stage, dims]
    return steps * step.seconds * training.batch_size * math.prod(training.patch_size) / step.pixels


def limit_minutes(seconds: float | None, attempt: int) -> int:
    """Time limit of a stage in minutes, from its expected seconds, or None where they are unknown.

    min(max(8 × seconds, an hour), a day) × attempt.
    """
    expected = DAY_MIN if seconds is None else math.ceil(GENEROSITY * seconds / 60)
    return attempt * min(max(expected, SHORTEST_MIN), DAY_MIN)


def by_attempt(amount: int) -> Callable[[object, int], int]:
    """A resource as a function for Snakemake: the amount times the attempt."""

    def resource(wildcards: object, attempt: int) -> int:
        return amount * attempt

    return with_parameters(resource)
