"""Functions of the rules that say how long a job may take."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from contrastseg.methods import registry as methods
from contrastseg.planning.job_functions import Wildcards, job_function
from contrastseg.planning.lengths import planned_steps
from contrastseg.planning.limits import limit_minutes, measured_seconds
from contrastseg.planning.run_axes import Run, cached_run
from contrastseg.planning.step_times import StepTimes, step_times
from contrastseg.suite import Suite


class TimeJobs(ABC):
    """The part of `Jobs` that knows measured step times."""

    suite: Suite
    step_times_folder: Path
    _settings: Any

    @job_function
    def runtime(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a stage in minutes, from measured step times, times the attempt.

        On a GPU, step times of a CPU stand in where a GPU was not measured. On a CPU, only those of a CPU count.
        """
        return limit_minutes(
            self._seconds(_any_run(self.suite, wildcards), getattr(wildcards, "stage", "train")), attempt
        )

    @job_function
    def trial_runtime(self, wildcards: Wildcards, attempt: int) -> int:
        """Time limit of a trial in minutes: its stages run in one job."""
        stages = methods.get(wildcards.method).stages
        seconds = [self._seconds(_any_run(self.suite, wildcards), stage.name) for stage in stages]
        known = [each for each in seconds if each is not None]
        return limit_minutes(sum(known) if len(known) == len(seconds) else None, attempt)

    @cached_property
    def _seconds(self) -> Callable[[Run, str], float | None]:
        return cache(self._expected_seconds)

    def _expected_seconds(self, run: Run, stage: str) -> float | None:
        on_cpu = self._settings(run.entry, run.method, run.variant)["training"]["accelerator"] == "cpu"
        steps = planned_steps(self.suite, run, stage)
        estimates = (measured_seconds(self.suite, run, stage, self._steps(cpu), steps) for cpu in (on_cpu, True))
        return next((seconds for seconds in estimates if seconds is not None), None)

    @cached_property
    def _steps(self) -> Callable[[bool], dict[str, StepTimes]]:
        return cache(lambda on_cpu: step_times(self.step_times_folder, on_cpu=on_cpu))


def _any_run(suite: Suite, wildcards: Wildcards) -> Run:
    """A run of a variant: all take equally long, whatever data they train on."""
    return cached_run(suite.name, wildcards.dataset, wildcards.method, wildcards.variant, "r1")
