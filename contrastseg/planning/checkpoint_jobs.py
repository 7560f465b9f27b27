"""Functions of the rules that read checkpoints, and of the rule that selects the oracle."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache, cached_property
from pathlib import Path

from contrastseg.checkpoint_names import is_snapshot
from contrastseg.planning.candidates import candidates
from contrastseg.planning.job_functions import Wildcards, job_function
from contrastseg.planning.runs import Run
from contrastseg.suite import Suite


class CheckpointJobs(ABC):
    """The part of `Jobs` that knows the checkpoints of a run."""

    suite: Suite

    @abstractmethod
    def run(self, wildcards: Wildcards) -> Run:
        """The run that a job belongs to."""

    @job_function
    def weights(self, wildcards: Wildcards) -> Path:
        """What a prediction waits for: its checkpoint, or the run's record where the checkpoint is a snapshot.

        Snapshots are no outputs of `train`: Snakemake would remove them before a killed run resumes.
        """
        folder = self.run(wildcards).folder
        if is_snapshot(wildcards.checkpoint):
            return folder / "run.json"
        return folder / "checkpoints" / f"{wildcards.checkpoint}.ckpt"

    @job_function
    def candidate_scores(self, wildcards: Wildcards) -> list[Path]:
        """The score files that the oracle of a run is selected from."""
        run = self.run(wildcards)
        names = self._candidates(wildcards.dataset, wildcards.method, wildcards.variant)
        return [run.scores(wildcards.evaluated_on, name) for name in names]

    @cached_property
    def _candidates(self) -> Callable[[str, str, str], tuple[str, ...]]:
        return cache(lambda entry, method, variant: candidates(self.suite, entry, method, variant))
