"""How many steps the stages of a plan have, those included whose length is given in epochs."""

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
from contrastseg.planning.limits import stage_settings
from contrastseg.planning.runs import Plan, Run, pool_file, spatial_dims
from contrastseg.planning.stores import prepared_of, split_of
from contrastseg.suite import Suite
from contrastseg.training.length import counted, stage_steps, steps_of_epochs
from contrastseg.training.settings import RunConfig


def planned_steps(
    suite: Suite, run: Run, stage: str, known: Population | None = None, resources: Path = RESOURCES
) -> int | None:
    """Steps of a stage: its own number; for epochs by what is prepared, before that by what is published.

    Args:
        suite: The suite.
        run: One of its runs.
        stage: One of its stages.
        known: What its entry has to train on, as far as that is known.
        resources: The project's resources folder.

    Returns:
        None where the number of images, or of slices, is known after the preparation alone.
    """
    training = stage_settings(suite, run, stage)
    if training.epochs is None:
        return training.length
    entry, source = suite.entry(run.dataset), counted(run.method, stage)
    places = {entry.name: prepared_of(entry, resources)}
    pool = pool_file(suite.name, entry.name, run.fold) if entry.pool and source == "unlabelled" else None
    if pool is not None:
        places |= {name: prepared_of(suite.entry(name), resources) for name in entry.pool}
    split = split_of(suite, entry, resources)
    files = [split, *(place / MANIFEST for place in places.values()), *([pool] if pool else [])]
    if all(file.is_file() for file in files):
        config = RunConfig(
            dataset=entry.name,
            spatial_dims=spatial_dims(entry),
            method=run.method,
            stage=stage,
            labels=run.labels,
            draw=run.draw,
            fold=run.fold,
            data=str(places[entry.name]),
            split=str(split),
            pool=str(pool or ""),
            pool_data={name: str(place) for name, place in places.items()} if pool else {},
        )
        return stage_steps(config, training)
    if pool is not None or known is None or known.train is None or known.each is None:
        return None
    if entry.spec.spatial_dims != spatial_dims(entry):  # slices: how many is known when volumes are read
        return None
    units = labelled_count(run.labels, known.train) * known.each
    if source == "unlabelled":
        units = known.train * known.each + known.usable
    return steps_of_epochs(training, units, source)


def step_counter(plan: Plan) -> Callable[[Run, str], int | None]:
    """`planned_steps` of a plan's runs and stages, looked up once for all seeds."""

    @cache
    def steps(run: Run, stage: str) -> int | None:
        return planned_steps(plan.suite, run, stage, plan.populations.get(run.dataset), plan.resources)

    return lambda run, stage: steps(replace(run, seed=0), stage)


def lengths(plan: Plan) -> list[dict[str, Any]]:
    """Every stage whose length is given in epochs: data set, method, variant, stage, labels, epochs and steps.

    Args:
        plan: The plan. Steps are those of the first draw and fold; None where they are not known yet. No labels are
            named where a stage reads none.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    steps_of = step_counter(plan)
    for run in plan.runs:
        for stage in registry.get(run.method).stages:
            axes = {"dataset": run.dataset, "method": run.method, "variant": run.variant, "stage": stage.name}
            axes["labels"] = run.labels if counted(run.method, stage.name) == "labelled" else ""
            epochs = stage_settings(plan.suite, run, stage.name).epochs
            if epochs is not None and tuple(axes.values()) not in rows:
                rows[tuple(axes.values())] = {**axes, "epochs": epochs, "steps": steps_of(run, stage.name)}
    return list(rows.values())
