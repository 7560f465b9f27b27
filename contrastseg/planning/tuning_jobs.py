"""Functions of the rules of a tuned suite: what a trial trains with, what a choice is made from, what waits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from contrastseg.fingerprints import stage_fingerprint
from contrastseg.methods import registry as methods
from contrastseg.planning.configuration import to_argument
from contrastseg.planning.content import config_weights, content_text, stage_config
from contrastseg.planning.job_functions import Wildcards, job_function
from contrastseg.planning.run_axes import Run
from contrastseg.planning.tuning import TunedCell, cell_of, chosen_values, trial_config, tuned_config
from contrastseg.suite import Suite


class TuningJobs(ABC):
    """The part of `Jobs` that knows trials and choices."""

    suite: Suite

    @abstractmethod
    def run(self, wildcards: Wildcards) -> Run:
        """The run that a job belongs to."""

    @abstractmethod
    def base_config(self, entry: str, method: str, variant: str) -> dict[str, Any]:
        """The configuration of a run without settings of a stage."""

    @abstractmethod
    def data_digests(self, wildcards: Wildcards) -> dict[str, str]:
        """Digests of the data and the split that a job trains with, by name."""

    @job_function
    def trial_config(self, wildcards: Wildcards) -> str:
        """The resolved configuration of a trial, as the argument of `--config`."""
        return to_argument(self._trial_config(wildcards))

    def _trial_config(self, wildcards: Wildcards) -> dict[str, Any]:
        base = self.base_config(wildcards.dataset, wildcards.method, wildcards.variant)
        stages = [stage.name for stage in methods.get(wildcards.method).stages]
        return trial_config(self.suite, _cell(self.suite, wildcards), int(wildcards.trial), stages, base)

    @job_function
    def trial_content(self, wildcards: Wildcards) -> str:
        """Digests of the data and the split of a trial, and of the weights that any of its stages starts from."""
        config = self._trial_config(wildcards)
        weights = config_weights(wildcards.method, *(stage_config(config, stage) for stage in config["stages"]))
        return content_text(self.data_digests(wildcards) | weights)

    @job_function
    def tune_fingerprint(self, wildcards: Wildcards) -> str:
        """Fingerprint of the code that trains, predicts and scores a trial of a method."""
        return stage_fingerprint("tune", method=wildcards.method)

    @property
    def tuning_seed(self) -> int:
        """The seed of all trainings of trials."""
        return 0 if self.suite.tuning is None else self.suite.tuning.seed

    @job_function
    def trial_records(self, wildcards: Wildcards) -> list[Path]:
        """The records of all trials and folds that a choice is made from."""
        tuning = self.suite.tuning
        if tuning is None:
            return []
        return [trial.record for trial in _cell(self.suite, wildcards).trials(tuning)]

    @job_function
    def selected(self, wildcards: Wildcards) -> list[Path]:
        """The choice that a run waits for; none in an untuned suite."""
        return [] if self.suite.tuning is None else [cell_of(self.run(wildcards)).selected]

    def chosen_config(self, run: Run, stage: str) -> dict[str, Any]:
        """The resolved configuration of a stage with the chosen values."""
        base = self.base_config(run.entry, run.method, run.variant)
        return tuned_config(self.suite, run, stage, chosen_values(cell_of(run).selected), base)


def _cell(suite: Suite, wildcards: Wildcards) -> TunedCell:
    axes = suite.name, wildcards.dataset, wildcards.method, wildcards.variant, wildcards.labels
    return TunedCell(*axes, int(wildcards.draw), int(wildcards.fold))
