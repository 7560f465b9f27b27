"""The axes of a run, and the folders that follow from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

from contrastseg.methods import registry as methods
from contrastseg.paths import ENTERED

RESULTS = Path("results")


@dataclass(frozen=True)
class Run:
    """One training run of a suite, by its axes."""

    PLACE: ClassVar[str] = "runs"
    EACH_BUDGET: ClassVar[bool] = False

    suite: str
    entry: str
    method: str
    variant: str
    labels: str
    draw: int
    fold: int
    seed: int

    @property
    def axes(self) -> dict[str, Any]:
        """Its axes under the names of plan.json and of score tables: the entry is their `dataset`."""
        return {"dataset" if name == "entry" else name: value for name, value in asdict(self).items()}

    @cached_property
    def folder(self) -> Path:
        """Its folder, relative to the working directory."""
        return Path(f"{self._variant_folder}/{self.labels}/{self._replicate}")

    def stage_folder(self, stage: str) -> Path:
        """The folder of a stage. A pre-training stage without labels serves every budget, unless each is tuned."""
        if stage == "train":
            return self.folder
        uses_labels = self.EACH_BUDGET or methods.get(self.method).stage(stage).data != "unlabelled"
        return Path(f"{self._variant_folder}/pretrain-{stage}/{self.labels if uses_labels else ''}/{self._replicate}")

    # Text, as a suite has thousands of runs: a path that is joined part by part takes four times as long.
    @property
    def _variant_folder(self) -> str:
        return f"{RESULTS}/{self.suite}/{self.PLACE}/{self.entry}/{self.method}/{self.variant}"

    @property
    def _replicate(self) -> str:
        return f"draw{self.draw}-fold{self.fold}-seed{self.seed}"

    def predictions(self, evaluated_on: str, checkpoint: str) -> Path:
        """The folder of its predictions."""
        return Path(f"{self.folder}/predictions/{evaluated_on}/{checkpoint}")

    def scores(self, evaluated_on: str, checkpoint: str) -> Path:
        """The file of its scores."""
        return Path(f"{self.folder}/scores/{evaluated_on}/{checkpoint}.csv")

    def convention_scores(self, evaluated_on: str, checkpoint: str) -> Path:
        """The file of its scores under several conventions."""
        return Path(f"{self.folder}/scores/{evaluated_on}/{checkpoint}.conventions.csv")


class EnteredRun(Run):
    """Predictions of another trainer, by the axes of the run that they stand for. Nothing trains it."""

    PLACE: ClassVar[str] = ENTERED


class TunedRun(Run):
    """A run with the settings that were chosen at its label budget, in every stage."""

    EACH_BUDGET: ClassVar[bool] = True


Evaluation = tuple[Run, str, str]
"""Run, entry it is evaluated on, checkpoint."""


def fold_of(trained_on: str, evaluated_on: str, fold: int) -> int:
    """The fold whose test patients are predicted: that of training, or the first one of another entry."""
    return fold if evaluated_on == trained_on else 0


@cache
def cached_run(
    suite: str,
    entry: str,
    method: str,
    variant: str,
    labels: str,
    draw: str = "0",
    fold: str = "0",
    seed: str = "0",
    *,
    kind: type[Run] = Run,
) -> Run:
    """The run of these axes, with its draw, fold and seed as wildcards have them. Equal calls give the same object."""
    return kind(suite, entry, method, variant, labels, int(draw), int(fold), int(seed))
