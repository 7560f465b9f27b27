"""What a tuned suite tunes: cells of the table by their axes, their trials, and the folders of both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from contrastseg.files import read_json
from contrastseg.planning.run_axes import RESULTS, Run
from contrastseg.suite import Suite
from contrastseg.suite.tuning import TuningSettings, Values, tuned_settings, tuned_stage

TUNING = "tuning"
"""Folder of a suite's results with trials and choices, beside `runs`."""
SELECTED = "selected.json"
TRIAL = "trial.json"
# A trial is asked for its last checkpoint alone.
_NOTHING_ELSE = {"validate_every": 0, "snapshot_every": None}


@dataclass(frozen=True)
class TunedCell:
    """A method and variant at a label budget, draw and fold: one choice, which all seeds train with."""

    suite: str
    entry: str
    method: str
    variant: str
    labels: str
    draw: int
    fold: int

    @property
    def folder(self) -> Path:
        """Its folder, relative to the working directory."""
        place = f"{RESULTS}/{self.suite}/{TUNING}/{self.entry}/{self.method}/{self.variant}/{self.labels}"
        return Path(f"{place}/draw{self.draw}-fold{self.fold}")

    @property
    def selected(self) -> Path:
        """The file of its choice."""
        return self.folder / SELECTED

    def trials(self, tuning: TuningSettings) -> list[Trial]:
        """Its trials, fold by fold, the defaults first."""
        folds = tuning.inner_folds(self.labels)
        return [Trial(self, number, inner) for number in range(tuning.trials) for inner in range(folds)]


@dataclass(frozen=True)
class Trial:
    """One trial of a cell in one fold of its labelled patients."""

    cell: TunedCell
    number: int
    inner: int

    @property
    def folder(self) -> Path:
        """Its folder, relative to the working directory."""
        return self.cell.folder / f"trial{self.number}-inner{self.inner}"

    @property
    def record(self) -> Path:
        """The file with the Dice of its validating patients."""
        return self.folder / TRIAL


def cells_of(runs: Iterable[Run]) -> list[TunedCell]:
    """The cells of runs, each once."""
    return list(dict.fromkeys(cell_of(run) for run in runs))


def cell_of(run: Run) -> TunedCell:
    """The cell whose choice a run trains with."""
    return TunedCell(run.suite, run.entry, run.method, run.variant, run.labels, run.draw, run.fold)


def chosen_values(selected: Path) -> Values:
    """The chosen values of a cell; none, as for the defaults, before they are chosen."""
    if not selected.is_file():
        return {}
    status = selected.stat()
    return dict(_chosen_values(selected, (status.st_mtime_ns, status.st_size)))


@cache
def _chosen_values(selected: Path, stamp: tuple[int, int]) -> Values:
    values: Values = read_json(selected)["values"]
    return values


def tuned_config(suite: Suite, run: Run, stage: str, values: Values, base: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a stage of a run with chosen values, as `--config` of `contrastseg train` has it.

    Args:
        suite: The suite.
        run: The run.
        stage: One of its stages.
        values: The chosen ones.
        base: The run's configuration without them.
    """
    entry, method = suite.entry(run.entry), suite.method(run.method)
    own = tuned_stage(suite, entry, method, run.variant, stage, values)
    settings = tuned_settings(method, run.variant, values)
    return base | {"settings": settings} | ({"stage_training": own} if own else {})


def trial_config(
    suite: Suite, cell: TunedCell, number: int, stages: Iterable[str], base: dict[str, Any]
) -> dict[str, Any]:
    """The configuration of a trial, as `--config` of `contrastseg tune` has it.

    Args:
        suite: A tuned suite.
        cell: What is tuned.
        number: Of the trial.
        stages: Stages of the method.
        base: The run's configuration without values.
    """
    tuning = suite.tuning
    assert tuning is not None  # a cell is of a tuned suite
    values = tuning.values(cell.method, number)
    entry, method = suite.entry(cell.entry), suite.method(cell.method)
    own = {stage: tuned_stage(suite, entry, method, cell.variant, stage, values) for stage in stages}
    return base | {
        "settings": tuned_settings(method, cell.variant, values),
        "stages": {stage: override | _NOTHING_ELSE for stage, override in own.items()},
        "values": values,
        "validation": tuning.validation,
        "evaluation": suite.evaluation.model_dump(mode="json", include={"convention"}),
    }
