"""tune, select, collect-tuning: trials of a tuned suite, the choice among them, and both as tables."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
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
    named_paths,
    progress,
    read_config,
)
from contrastseg.cli.train import Inputs, find_inputs, refuse_other, resolve

if TYPE_CHECKING:
    from contrastseg.planning.run_axes import Run
    from contrastseg.training.settings import RunConfig

_KEYS = {
    "raw": str,
    "settings": dict,
    "spatial_dims": None,
    "stages": dict,
    "suite": str,
    "training": dict,
    "values": dict,
    "validation": str,
    "evaluation": dict,
}


def tune(
    entry: str = TRAINED_ENTRY,
    method: str = METHOD,
    output: Path = typer.Option(help="Output folder of the trial."),
    labels: str = typer.Option(help="Label budget: n7 (patients)."),
    variant: str = VARIANT,
    draw: int = DRAW,
    fold: int = FOLD,
    seed: int = SEED,
    trial: int = typer.Option(0, min=0, help="Number of the trial, for its record."),
    inner: int = typer.Option(0, min=0, help="Fold of the labelled patients: which of them validate."),
    prepared: list[str] = typer.Option([], help="Prepared data of the entry, as ENTRY=FOLDER."),
    split: Path | None = SPLIT,
    planned: str | None = typer.Option(
        None, help="Digests of data and split at planning; other content is an error. Set by the workflow."
    ),
    config: str | None = typer.Option(
        None,
        help="Settings of `train`, with `stages` (settings of each stage), `values` (of the trial), `validation`"
        " (labelled or free) and `evaluation`: YAML or JSON file, or JSON text.",
    ),
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Train one trial of a method without some labelled patients, and score these. Repeat to continue.

    Example: `contrastseg tune --entry lesions --method cps --labels n7 --output /tmp/trial`
    """
    from contrastseg.files import write_json
    from contrastseg.methods import registry
    from contrastseg.planning import stage_config
    from contrastseg.planning.run_axes import Run
    from contrastseg.training.run_lock import exclusive_lock

    given = read_config(config, _KEYS)
    stages = [stage.name for stage in registry.get(method).stages]
    axes = Run(given.get("suite", "by-hand"), entry, method, variant, labels, draw, fold, seed)
    folders = named_paths(prepared, "--prepared")
    inputs = find_inputs(axes, given, folders, split=split, pool=None, resources=resources)
    inputs = _with_weights(method, inputs, given, stages)
    if planned is not None:
        refuse_other(planned, inputs, entry)
    validation = given.get("validation", "labelled")
    with exclusive_lock(output):
        inside, inputs, validating = _hold_out(axes, inputs, inner, validation, output)

        def config_of(stage: str, checkpoints: Mapping[str, str]) -> RunConfig:
            needed = {item.stage: checkpoints[item.stage] for item in registry.get(method).stage(stage).init_from}
            asked, own = stage_config(given, stage), _with_weights(method, inputs, given, [stage])
            return resolve(inside, stage, asked, own, checkpoints=needed, data_root=data_root, resources=resources)

        record = _run(config_of, stages, validating, output, given)
    said = {**axes.axes, "trial": trial, "inner_fold": inner, "values": given.get("values", {})}
    write_json(output / "trial.json", {**said, "validation": validation, "validating": validating, **record})
    typer.echo(f"trial {trial}, fold {inner}: {record['diverged'] or record['dice']}: {output}")


def _with_weights(method: str, inputs: Inputs, given: Mapping[str, Any], stages: Iterable[str]) -> Inputs:
    """The inputs with the digest of the weights that these stages start from."""
    from contrastseg.planning import config_weights, stage_config

    digests = {name: digest for name, digest in inputs.digests.items() if name != "weights"}
    return replace(inputs, digests=digests | config_weights(method, *(stage_config(given, stage) for stage in stages)))


def _hold_out(axes: Run, inputs: Inputs, inner: int, validation: str, output: Path) -> tuple[Run, Inputs, list[str]]:
    """The axes and inputs of a trial whose validating patients are no training patients, and these patients."""
    from contrastseg import planning
    from contrastseg.data.splits.cross_fitting import inner_split
    from contrastseg.data.splits.split_files import Split
    from contrastseg.errors import SplitError, SuiteError, unknown_name
    from contrastseg.files import write_if_changed

    if validation not in ("labelled", "free"):
        raise SuiteError(unknown_name("validation", validation, ["labelled", "free"]), remedy="correct it in --config")
    split = Split.from_file(inputs.split)
    if validation == "free":
        if not split.val(axes.fold):
            raise SplitError(
                f"the split of {axes.entry} has no validation patients in fold {axes.fold}",
                file=inputs.split,
                remedy="set `validation: labelled` in the suite's `tuning`, or choose a split with validation patients",
            )
        return axes, inputs, split.val(axes.fold)
    inside, labels = inner_split(split, axes.labels, axes.draw, axes.fold, inner)
    file = output / "split.json"
    write_if_changed(file, json.dumps(asdict(inside), indent=1, ensure_ascii=False) + "\n")
    digests = {**inputs.digests, "split": planning.split_digest(file, axes.fold, axes.draw)}
    return replace(axes, labels=labels), replace(inputs, split=file, digests=digests), inside.val(axes.fold)


def _run(config_of: Any, stages: list[str], validating: list[str], output: Path, given: Mapping[str, Any]) -> Any:
    """Train and score, with a progress bar."""
    from contrastseg.training.trial import run_trial  # last, because it takes seconds: torch

    keep_freed_memory()
    notes: list[str] = []
    convention = given.get("evaluation", {}).get("convention", "default")
    with progress(f"{output.name}: {' → '.join(stages)}") as update:
        record = run_trial(
            config_of, stages, validating, output, convention=convention, on_step=update, on_note=notes.append
        )
    for note in notes:
        typer.secho(note, fg=typer.colors.YELLOW, err=True)
    return record


def select(
    trials: list[Path] = typer.Argument(help="Records of all trials and folds of one cell: trial.json."),
    output: Path = typer.Option(help="Write the choice as JSON to this file."),
) -> None:
    """Choose the trial with the highest mean Dice over validating patients.

    The defaults are chosen if they come within 0.0001 of it.

    Example: `contrastseg select trial0-inner0/trial.json trial1-inner0/trial.json --output selected.json`
    """
    from contrastseg.evaluation.statistics.tuning_tables import choice_record, read_trials
    from contrastseg.files import write_json

    record = choice_record(read_trials(trials))
    write_json(output, record)
    told = f"trial {record['trial']} of {record['trials']}, mean Dice {record['dice']:.4f}"
    if record["standard_error"] is not None:
        told += f", {record['difference']:.4f} ± {record['standard_error']:.4f} above trial {record['rival']}"
    typer.echo(f"{told}: {output}")


def collect_tuning(
    results: Path = typer.Option(..., help="Folder of a suite's results, such as results/demo."),
) -> None:
    """Collect the trials of a tuned suite in tuning.csv, and the choices among them in tuned.csv.

    Example: `contrastseg collect-tuning --results results/tuned_small`
    """
    from contrastseg.evaluation.statistics.tuning_tables import read_trials, tuning_tables
    from contrastseg.files import read_json, require_path, write_text

    plan = read_json(require_path(results / "plan.json", "plan", "run `contrastseg plan SUITE --output` first"))
    cells = []
    for cell in plan.get("tuning", []):
        folder = results / cell["folder"]
        selected = require_path(folder / "selected.json", "choice", "run `contrastseg select` first")
        numbers = itertools.product(range(cell["trials"]), range(cell["inner_folds"]))
        records = [folder / f"trial{trial}-inner{inner}" / "trial.json" for trial, inner in numbers]
        cells.append((read_trials(records), read_json(selected)))
    trials, choices = tuning_tables(cells)
    write_text(results / "tuning.csv", trials.to_csv(index=False))
    write_text(results / "tuned.csv", choices.to_csv(index=False))
    typer.echo(str(results / "tuning.csv"))


COMMANDS = (tune, select, collect_tuning)
