"""train: one run, in the workflow or by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contrastseg.cli.host_memory import keep_freed_memory
from contrastseg.cli.shared import (
    DATA_ROOT,
    DRAW,
    FOLD,
    METHOD,
    RESOURCES,
    SEED,
    SPLIT,
    TRAINED_ENTRY,
    VARIANT,
    importing,
    named_paths,
    progress,
    read_config,
    validated,
)
from contrastseg.paths import MANIFEST

if TYPE_CHECKING:
    from contrastseg.planning.run_axes import Run
    from contrastseg.training.settings import RunConfig

_TRAINING_KEYS = {
    "raw": str,
    "settings": dict,
    "spatial_dims": None,
    "stage_training": dict,
    "suite": str,
    "training": dict,
}


def train(
    entry: str = TRAINED_ENTRY,
    method: str = METHOD,
    output: Path = typer.Option(help="Output folder of the run."),
    variant: str = VARIANT,
    labels: str = typer.Option("r1", help="Label budget: r0.25 (ratio) or n7 (patients)."),
    draw: int = DRAW,
    fold: int = FOLD,
    seed: int = SEED,
    stage: str = typer.Option("train", help="Stage of the method, such as pretrain."),
    pool: Path | None = typer.Option(
        None, help="Pool file (`contrastseg pool`) for a stage that uses unlabelled images."
    ),
    initial: list[str] = typer.Option([], help="Checkpoint of an earlier stage as STAGE=CHECKPOINT; may be repeated."),
    prepared: list[str] = typer.Option(
        [],
        help="Prepared data of the entry, or of an entry in its pool, as ENTRY=FOLDER; may be repeated. Default:"
        " found in RESOURCES.",
    ),
    split: Path | None = SPLIT,
    planned: str | None = typer.Option(
        None, help="Digests of data, split and weights at planning; other content is an error. Set by the workflow."
    ),
    config: str | None = typer.Option(
        None,
        help="Settings `training`, `stage_training`, `settings`, `spatial_dims`, `suite` and `raw` (the folder of your"
        " own data): YAML or JSON file, or JSON text.",
    ),
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Train one run. Repeat the command to continue a run that was stopped.

    Example: `contrastseg train --entry lesions --method supervised --labels r0.25 --output /tmp/run`
    """
    from contrastseg.methods import registry
    from contrastseg.planning.run_axes import Run

    given = read_config(config, _TRAINING_KEYS)
    registry.get(method)  # an unknown method is reported before missing data
    axes = Run(given.get("suite", "by-hand"), entry, method, variant, labels, draw, fold, seed)
    folders = named_paths(prepared, "--prepared")
    inputs = find_inputs(axes, given, folders, split=split, pool=pool, resources=resources)
    if planned is not None:
        refuse_other(planned, inputs, entry)
    run = resolve(
        axes,
        stage,
        given,
        inputs,
        checkpoints=dict(item.partition("=")[::2] for item in initial),
        data_root=data_root,
        resources=resources,
    )
    _train(run, output)


@dataclass(frozen=True)
class Inputs:
    """The files a run is trained on.

    Attributes:
        data: Folder of the prepared data set.
        split: Split file.
        pool: Pool file and the prepared folder of every entry in it, as keys of the run's configuration; empty without.
        digests: Hashes of their content, by name.
    """

    data: Path
    split: Path
    pool: Mapping[str, Any]
    digests: Mapping[str, str]


def find_inputs(
    axes: Run,
    given: Mapping[str, Any],
    folders: Mapping[str, Path],
    *,
    split: Path | None,
    pool: Path | None,
    resources: Path,
) -> Inputs:
    """Find what the options name, or what lies in RESOURCES where they name nothing."""
    from contrastseg import planning
    from contrastseg.data.prepare.stores import find_prepared, find_split
    from contrastseg.files import read_json, require_path

    entry = axes.entry
    data = folders.get(entry) or find_prepared(entry, resources)
    require_path(data / MANIFEST, f"prepared data set {entry!r}", "run `contrastseg prepare` first")
    split = split or find_split(entry, resources)
    require_path(split, f"split of {entry!r}", "run `contrastseg split` first")
    digests = {
        "data": planning.data_digest(data),
        "split": planning.split_digest(split, axes.fold, axes.draw),
        **planning.config_weights(axes.method, given),
    }
    if pool is None:
        return Inputs(data, split, {}, digests)
    sources = read_json(require_path(pool, "pool", "run `contrastseg pool` first"))["sources"]
    pooled = {name: folders.get(name) or find_prepared(name, resources) for name in sources}
    digests["pool"] = planning.pool_digest(pool, pooled)
    keys = {"pool": str(pool), "pool_data": {name: str(folder) for name, folder in pooled.items()}}
    return Inputs(data, split, keys, digests)


def refuse_other(planned: str, inputs: Inputs, entry: str) -> None:
    """Refuse other data than the workflow planned with."""
    from contrastseg import planning
    from contrastseg.errors import TrainingError

    if planned != planning.content_text(inputs.digests):
        raise TrainingError(
            f"data, split or weights of {entry} was made again by others since this run was planned",
            file=inputs.data,
            remedy="start the workflow again: it plans with what is there now",
        )


def resolve(
    axes: Run,
    stage: str,
    given: Mapping[str, Any],
    inputs: Inputs,
    *,
    checkpoints: Mapping[str, str],
    data_root: Path | None,
    resources: Path,
) -> RunConfig:
    """Resolve the configuration of a stage of a run: the axes, what --config gives, and the files."""
    from contrastseg.data.prepare.cases import PreparedDataset
    from contrastseg.files import sha256
    from contrastseg.fingerprints import stage_fingerprint
    from contrastseg.methods import registry
    from contrastseg.training.settings import RunConfig, TrainingSettings

    method, variant = registry.get(axes.method), axes.variant
    settings = {**method.variants.get(variant, {}), **given.get("settings", {})}
    # A suite's variant may differ in its training alone, and then comes with settings that are empty.
    variants = {variant: settings} if "settings" in given or variant in method.variants else {}
    info = PreparedDataset(inputs.data).info
    raw = given.get("raw")
    if method.engine is not None and raw is None:
        from contrastseg.data.download.download import locate

        raw = locate(info.dataset, data_root, resources)
    asked = {
        **asdict(axes),
        "stage": method.stage(stage).name,
        "spatial_dims": given.get("spatial_dims") or info.spatial_dims,
        "settings": method.resolve(variant, variants=variants),
        "training": validated(TrainingSettings, given.get("training", {})),
        "stage_training": given.get("stage_training", {}),
        "data": str(inputs.data),
        "split": str(inputs.split),
        **inputs.pool,
        "raw": None if raw is None else str(raw),
        "initial": dict(checkpoints),
        "inputs": {**inputs.digests, **{name: sha256(path) for name, path in checkpoints.items()}},
        "fingerprint": stage_fingerprint("train", method=axes.method),
    }
    return validated(RunConfig, asked)


def _train(run: RunConfig, output: Path) -> None:
    """Train, with a progress bar, and say how it went."""
    from contrastseg.suite.parsing import wrap_validation_errors

    with importing():  # last, because it takes seconds: torch
        from contrastseg.training.assembly import stage_training
        from contrastseg.training.devices import is_first
        from contrastseg.training.length import stage_steps
        from contrastseg.training.run import train as train_run
        from contrastseg.training.run_lock import exclusive_lock
        from contrastseg.training.settings import TrainingSettings

    keep_freed_memory()
    with wrap_validation_errors(TrainingSettings, "stage_training"):
        steps = stage_steps(run, stage_training(run))
    notes: list[str] = []
    alone = exclusive_lock(output) if is_first() else contextlib.nullcontext()
    title = f"{run.method} on {run.entry}, {run.labels}, seed {run.seed}"
    with alone, progress(title, steps) as update:
        record = train_run(run, output, on_step=update, on_note=notes.append)
    if is_first():
        for note in notes:
            typer.secho(note, fg=typer.colors.YELLOW, err=True)
        typer.echo(f"{record['steps']} steps in {record['wall_s']:.0f} s on {record['hardware']['device']}: {output}")


COMMANDS = (train,)
