"""What trains a run: this project's loop, or the module that a method names as its engine.

An engine is a module of this package with two functions:

- ``fit(job) -> Outcome`` trains the job, resumes what a killed one left, and writes ``checkpoints/last.ckpt`` (readable
  by `checkpoints.load`, complete in itself), ``log.csv`` and, where they are asked for, ``best_val.ckpt`` and the
  snapshots;
- ``labeller(content, device) -> Callable[[Case], label]`` labels native cases from the content of such a checkpoint.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from contrastseg.data.prepare.cases import Case, PreparedDataset
from contrastseg.data.splits.pool_files import Pool
from contrastseg.data.splits.split_files import Split
from contrastseg.methods import registry
from contrastseg.training.devices import DeviceAllocation
from contrastseg.training.settings import RunConfig, TrainingSettings
from contrastseg.training.snapshots import snapshots_due
from contrastseg.training.training_cases import CasesBySource

Labeller = Callable[[Case], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """A run with what its configuration names, looked up.

    Attributes:
        config: The run's configuration.
        training: The settings of its stage.
        dataset: The prepared data set.
        split: Who trains and who validates.
        labelled: The patients whose labels may be read.
        validation: The patients to validate on; empty where there is nothing to choose by them.
        pool: The run's pool; None where it draws from its own data set alone.
        cases_by_source: Which cases of which data sets it draws labelled and unlabelled samples from.
        allocation: The devices it trains on.
        output: The run's folder.
        on_step: Called with the number of steps done.
        on_note: Called with what should be known of how the run is computed.
    """

    config: RunConfig
    training: TrainingSettings
    dataset: PreparedDataset
    split: Split
    labelled: list[str]
    validation: list[str]
    pool: Pool | None
    cases_by_source: CasesBySource
    allocation: DeviceAllocation
    output: Path
    on_step: Callable[[int], None]
    on_note: Callable[[str], None] = warnings.warn

    @property
    def header(self) -> dict[str, Any]:
        """What every checkpoint of the run carries beside the weights."""
        return {
            "config": self.config.model_dump(mode="json"),
            "dataset": self.dataset.info.model_dump(mode="json"),
        }

    @property
    def snapshots(self) -> dict[int, str]:
        """The snapshots by the steps after which each is due; none in pre-training, which nothing is predicted with.

        Raises:
            TrainingError: They are too many.
        """
        return snapshots_due(self.training) if self.config.stage == "train" else {}

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return torch.device(self.allocation.accelerator)


@dataclass(frozen=True)
class Outcome:
    """How a run went, as far as only its engine knows.

    Attributes:
        steps: Optimiser steps done.
        seconds: Time in them, validation and checkpoints not counted.
        earlier: Of these seconds, those of attempts that were stopped before this one.
        earlier_cpu: The processors' time of these attempts; None where it was not measured.
        parameters: Trained numbers.
        precision: Of the computation.
        residency: Where the training data lay.
        unrecorded: Why steps were not recorded; None where they were.
        best: Best validation Dice; None without validation.
        best_step: Where it was reached; None without validation.
        initial_weights: Hash of the checkpoint that each module got its initial weights from, by module.
        network_weights: What is known of the file of weights that the networks started from; None without one.
        training: What was done otherwise than the training settings say.
        packages: What the result depends on beside the packages of every run.
    """

    steps: int
    seconds: float
    parameters: int
    precision: str
    residency: str
    earlier: float = 0.0
    earlier_cpu: float | None = None
    unrecorded: str | None = "it trains by its own program"
    best: float | None = None
    best_step: int | None = None
    initial_weights: Mapping[str, str] = field(default_factory=dict)
    network_weights: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


class Engine(Protocol):
    """The functions of an engine's module."""

    def fit(self, job: TrainingJob) -> Outcome:
        """Train."""
        ...

    def labeller(self, content: Mapping[str, Any], device: torch.device) -> Labeller:
        """Predict."""
        ...


def engine_of(method: str) -> Engine | None:
    """Import the engine a method names; None for this project's loop."""
    name = registry.get(method).engine
    return None if name is None else importlib.import_module(name)
