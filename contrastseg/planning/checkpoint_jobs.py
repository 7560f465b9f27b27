"""Functions of the rules that read snapshots, and of those that select the oracle and remove what it left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from functools import cache, cached_property
from pathlib import Path

from contrastseg.checkpoint_names import LAST, ORACLE, SNAPSHOTS
from contrastseg.evaluation.scoring.predictions import missing_predictions
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.planning.job_functions import Wildcards, job_function
from contrastseg.planning.run_snapshots import snapshots_of
from contrastseg.planning.runs import Run
from contrastseg.suite import Suite


class CheckpointJobs(ABC):
    """The part of `Jobs` that knows the snapshots of a run."""

    suite: Suite
    unavailable: Collection[str]

    @abstractmethod
    def run(self, wildcards: Wildcards) -> Run:
        """The run that a job belongs to."""

    @job_function
    def snapshot_options(self, wildcards: Wildcards) -> str:
        """The files of a run's snapshots, as options of `contrastseg predict`.

        They are no inputs and no outputs of `train`: Snakemake would remove them before a killed run resumes.
        """
        folder = self.run(wildcards).folder / "checkpoints"
        return " ".join(f"--checkpoint {folder / name}.ckpt" for name in self._snapshots_of(wildcards))

    @job_function
    def snapshots_fingerprint(self, wildcards: Wildcards) -> str:
        """Fingerprint of the code that predicts with the snapshots of a method's runs."""
        return stage_fingerprint("predict_snapshots", method=wildcards.method)

    @job_function
    def missing_snapshot_cases(self, wildcards: Wildcards) -> list[str]:
        """Predictions by snapshots whose file was deleted. Scoring runs again and reports them as missing."""
        run = self.run(wildcards)
        return [
            f"{name}/{case}"
            for name in self._snapshots_of(wildcards)
            for case in missing_predictions(run.predictions(wildcards.evaluated_on, name))
        ]

    @job_function
    def candidate_scores(self, wildcards: Wildcards) -> list[Path]:
        """The score files that the oracle of a run is selected from."""
        run = self.run(wildcards)
        return [run.scores(wildcards.evaluated_on, name) for name in (SNAPSHOTS, LAST)]

    @job_function
    def selections(self, wildcards: Wildcards) -> list[Path]:
        """The records of a run's oracles, one for each entry that it is evaluated on."""
        run = self.run(wildcards)
        others = [name for name in self.suite.entry(run.entry).evaluate_on if name not in self.unavailable]
        return [run.scores(name, ORACLE).with_suffix(".json") for name in others]

    def _snapshots_of(self, wildcards: Wildcards) -> tuple[str, ...]:
        return self._snapshots(wildcards.dataset, wildcards.method, wildcards.variant)

    @cached_property
    def _snapshots(self) -> Callable[[str, str, str], tuple[str, ...]]:
        return cache(lambda entry, method, variant: snapshots_of(self.suite, entry, method, variant))
