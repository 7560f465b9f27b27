"""Numbers of steps of the stages of a plan, also where a length is given in epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from contrastseg.data.splits.split_files import labelled_count
from contrastseg.data.splits.splits import Population
from contrastseg.methods import registry
from contrastseg.paths import MANIFEST, RESOURCES
from contrastseg.planning.data_paths import prepared_of, split_of
from contrastseg.planning.limits import settings_lookup, stage_settings
from contrastseg.planning.runs import Plan, Run, pool_file, spatial_dims
from contrastseg.suite import Suite
from contrastseg.training.length import counted, stage_steps, steps_of_epochs
from contrastseg.training.settings import RunConfig


def planned_steps(
    suite: Suite, run: Run, stage: str, known: Population | None = None, resources: Path = RESOURCES
) -> int | None:
    """Steps of a stage. A length in epochs is converted by the prepared data, or before that by the published data.

    Args:
        suite: The suite.
        run: One of its runs.
        stage: One of its stages.
        known: Training patients and images of its entry, where known.
        resources: The project's resources folder.

    Returns:
        None where the number of images or slices is known only after preparation.
    """
    training = stage_settings(suite, run, stage)
    if training.epochs is None:
        return training.length
    entry, source = suite.entry(run.entry), counted(run.method, stage)
    folders = {entry.name: prepared_of(entry, resources)}
    pool = pool_file(suite.name, entry.name, run.fold) if entry.pool and source == "unlabelled" else None
    if pool is not None:
        folders |= {name: prepared_of(suite.entry(name), resources) for name in entry.pool}
    split = split_of(suite, entry, resources)
    files = [split, *(folder / MANIFEST for folder in folders.values()), *([pool] if pool else [])]
    if all(file.is_file() for file in files):
        config = RunConfig(
            dataset=entry.name,
            spatial_dims=spatial_dims(entry),
            method=run.method,
            stage=stage,
            labels=run.labels,
            draw=run.draw,
            fold=run.fold,
            data=str(folders[entry.name]),
            split=str(split),
            pool=str(pool or ""),
            pool_data={name: str(folder) for name, folder in folders.items()} if pool else {},
        )
        return stage_steps(config, training)
    if pool is not None or known is None or known.train is None or known.each is None:
        return None
    if entry.spec.spatial_dims != spatial_dims(entry):  # the number of slices is known once volumes are read
        return None
    units = labelled_count(run.labels, known.train) * known.each
    if source == "unlabelled":
        units = known.train * known.each + known.usable
    return steps_of_epochs(training, units, source)


def step_counter(plan: Plan) -> Callable[[Run, str], int | None]:
    """A function that gives `planned_steps` of a plan's run and stage, computed once for all seeds."""

    @cache
    def steps(run: Run, stage: str) -> int | None:
        return planned_steps(plan.suite, run, stage, plan.populations.get(run.entry), plan.resources)

    return lambda run, stage: steps(replace(run, seed=0), stage)


def lengths(plan: Plan) -> list[dict[str, Any]]:
    """Every stage whose length is given in epochs: data set, method, variant, stage, labels, epochs and steps.

    Args:
        plan: The plan. Steps are those of the first draw and fold; None where they are not known yet. No labels are
            named where a stage reads none.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    steps_of, settings = step_counter(plan), settings_lookup(plan.suite)
    for run in plan.runs:
        for stage in registry.get(run.method).stages:
            axes = {"dataset": run.entry, "method": run.method, "variant": run.variant, "stage": stage.name}
            axes["labels"] = run.labels if counted(run.method, stage.name) == "labelled" else ""
            epochs = settings(run, stage.name).epochs
            if epochs is not None and tuple(axes.values()) not in rows:
                rows[tuple(axes.values())] = {**axes, "epochs": epochs, "steps": steps_of(run, stage.name)}
    return list(rows.values())
