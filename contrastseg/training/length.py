"""How many steps a stage has whose length is given in epochs. Torch-free: planning reads it too.

An epoch is one pass over what the stage learns from, in batches; the last one is dropped where it is not full, as in
PDCR's loaders (`drop_last`), and a set smaller than a batch is one batch. Stages with labelled views count labelled
units, others unlabelled ones. A unit is a case, or a slice where a 2D network trains on volumes.
"""

from __future__ import annotations

from typing import Any

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.methods import registry
from contrastseg.methods.contract import SourceName
from contrastseg.training.settings import RunConfig, TrainingSettings
from contrastseg.training.training_cases import CasesBySource, cases_of_run


def counted(method: str, stage: str) -> SourceName:
    """The source whose units an epoch of a stage passes over."""
    return "unlabelled" if registry.get(method).stage(stage).data == "unlabelled" else "labelled"


def batch_size(training: TrainingSettings, source: SourceName) -> int:
    """Samples of a source per step, of all processes together."""
    if source == "unlabelled" and training.unlabelled_batch_size is not None:
        return training.unlabelled_batch_size
    return training.batch_size


def steps_of_epochs(training: TrainingSettings, units: int, source: SourceName) -> int:
    """Steps of a stage: its own number, or epochs × max(1, ⌊units / batch⌋).

    Args:
        training: Settings of the stage.
        units: Of the source.
        source: What an epoch passes over.
    """
    if training.epochs is None:
        return training.length
    return training.epochs * max(1, units // batch_size(training, source))


def unit_count(cases: CasesBySource, source: SourceName, spatial_dims: int) -> int:
    """Count the sampling units (cases or slices) of a source.

    Args:
        cases: Of the run, by source.
        source: Which of them.
        spatial_dims: Of the network: volumes count slice by slice in 2D.
    """
    count = 0
    for dataset, names in cases.get(source, ()):
        slices = dataset.info.spatial_dims == 3 and spatial_dims == 2
        count += sum(dataset.geometry(name).shape[0] for name in names) if slices else len(names)
    return count


def in_steps(training: TrainingSettings, config: RunConfig, cases: CasesBySource) -> TrainingSettings:
    """The settings with length and warm-up in steps, whichever way they were given.

    Args:
        training: Settings of the stage.
        config: Whose stage it is.
        cases: What it learns from.
    """
    source = counted(config.method, config.stage)
    units = unit_count(cases, source, config.spatial_dims) if training.epochs is not None else 0
    changes: dict[str, Any] = {"steps": steps_of_epochs(training, units, source)}
    if training.epochs is not None and training.optimiser.warmup_epochs:
        warmup = training.optimiser.warmup_epochs * (changes["steps"] // training.epochs)
        changes["optimiser"] = training.optimiser.model_copy(update={"warmup_steps": warmup})
    return training.model_copy(update=changes)


def stage_steps(config: RunConfig, training: TrainingSettings) -> int:
    """Steps of a run's stage, by its prepared data, its split and its pool.

    Args:
        config: The run.
        training: Settings of its stage.
    """
    if training.epochs is None:
        return training.length
    _, cases = cases_of_run(config, PreparedDataset(config.data), Split.from_file(config.split))
    return in_steps(training, config, cases).length
