"""train, predict, score: one run at a time, in the workflow or by hand."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

import typer

from contrastseg.cli.shared import (
    DATA_ROOT,
    JSON,
    RESOURCES,
    named_paths,
    print_json,
    print_table,
    progress,
    read_config,
    validated,
)
from contrastseg.places import MANIFEST

_TRAINING_KEYS = {
    "raw": str,
    "settings": dict,
    "spatial_dims": None,
    "stage_training": dict,
    "suite": str,
    "training": dict,
}


def train(
    dataset: str = typer.Option(help="Entry: prepared data and a split in RESOURCES."),
    method: str = typer.Option(help="Method (`contrastseg methods`)."),
    output: Path = typer.Option(help="The run's folder."),
    variant: str = typer.Option("default", help="Named setting of the method."),
    labels: str = typer.Option("r1", help="Label budget: r0.25 (ratio) or n7 (patients)."),
    draw: int = typer.Option(0, min=0, help="Which order of the training patients gets labels."),
    fold: int = typer.Option(0, min=0, help="Fold of the split."),
    seed: int = typer.Option(0, min=0, help="Seed of everything random."),
    stage: str = typer.Option("train", help="A pre-training stage of the method, by name."),
    pool: Path | None = typer.Option(None, help="Pool file (`contrastseg pool`), for a stage that uses no labels."),
    initial: list[str] = typer.Option([], help="STAGE=CHECKPOINT of an earlier stage; may be repeated."),
    prepared: list[str] = typer.Option(
        [],
        help="ENTRY=FOLDER, where the prepared data of the data set, or of another in its pool, lies; may be repeated."
        " RESOURCES where left out.",
    ),
    split: Path | None = typer.Option(None, help="Split file; the entry's in RESOURCES where left out."),
    planned: str | None = typer.Option(
        None, help="What the workflow knew of data and split when it planned the run: other data is an error."
    ),
    config: str | None = typer.Option(
        None,
        help="`training`, `stage_training`, `settings`, `spatial_dims`, `suite`, and `raw`, the folder of data of one's"
        " own: YAML or JSON file, or JSON text.",
    ),
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Train one run. Started again after it was stopped, it goes on where it was.

    Example: `contrastseg train --dataset lesions --method supervised --labels r0.25 --output /tmp/run`
    """
    from contrastseg import planning
    from contrastseg.data.prepare.cases import PreparedDataset
    from contrastseg.data.prepare.stores import find_prepared, find_split
    from contrastseg.errors import TrainingError
    from contrastseg.files import existing, read_json, sha256
    from contrastseg.fingerprints import stage_fingerprint
    from contrastseg.methods import registry
    from contrastseg.suite.reading import explained
    from contrastseg.training.settings import RunConfig, TrainingSettings

    given = read_config(config, _TRAINING_KEYS)
    kind = registry.get(method)
    folders = named_paths(prepared, "--prepared")
    data = folders.get(dataset) or find_prepared(dataset, resources)
    existing(data / MANIFEST, f"prepared data set {dataset!r}", "run `contrastseg prepare` first")
    split = split or find_split(dataset, resources)
    existing(split, f"split of {dataset!r}", "run `contrastseg split` first")
    settings = {**kind.variants.get(variant, {}), **given.get("settings", {})}
    own = {variant: settings} if settings or variant in kind.variants else {}
    checkpoints = dict(item.partition("=")[::2] for item in initial)
    inputs = {"data": planning.data_digest(data), "split": planning.split_digest(split, fold, draw)}
    drawn: dict[str, Any] = {}
    if pool is not None:
        sources = read_json(existing(pool, "pool", "run `contrastseg pool` first"))["sources"]
        drawn = {
            "pool": str(pool),
            "pool_data": {name: str(folders.get(name) or find_prepared(name, resources)) for name in sources},
        }
        inputs["pool"] = planning.pool_digest(pool, {name: Path(path) for name, path in drawn["pool_data"].items()})
    if planned is not None and planned != planning.content_text(inputs):
        raise TrainingError(
            f"data or split of {dataset} was made again by others since this run was planned",
            file=data,
            remedy="start the workflow again: it plans with what is there now",
        )
    axes = {"dataset": dataset, "method": method, "variant": variant, "labels": labels, "draw": draw, "fold": fold}
    info = PreparedDataset(data).info
    raw = given.get("raw")
    if kind.engine is not None and raw is None:
        from contrastseg.data.download.download import locate

        raw = locate(info.dataset, data_root, resources)
    asked = {
        **axes,
        "suite": given.get("suite", "by-hand"),
        "seed": seed,
        "stage": kind.stage(stage).name,
        "spatial_dims": given.get("spatial_dims") or info.spatial_dims,
        "settings": kind.resolve(variant, variants=own),
        "training": validated(TrainingSettings, given.get("training", {})),
        "stage_training": given.get("stage_training", {}),
        "data": str(data),
        "split": str(split),
        **drawn,
        "raw": None if raw is None else str(raw),
        "initial": checkpoints,
        "inputs": inputs | {name: sha256(path) for name, path in checkpoints.items()},
        "fingerprint": stage_fingerprint("train", method=method),
    }
    run = validated(RunConfig, asked)
    from contrastseg.training.assembly import stage_training  # last, because it takes seconds: torch
    from contrastseg.training.devices import is_first
    from contrastseg.training.run import train as train_run
    from contrastseg.training.run_lock import sole

    with explained(TrainingSettings, "stage_training"):
        steps = stage_training(run).steps
    notes: list[str] = []
    alone = sole(output) if is_first() else contextlib.nullcontext()
    with alone, progress(f"{method} on {dataset}, {labels}, seed {seed}", steps) as update:
        record = train_run(run, output, on_step=update, on_note=notes.append)
    if is_first():
        for note in notes:
            typer.secho(note, fg=typer.colors.YELLOW, err=True)
        typer.echo(f"{record['steps']} steps in {record['wall_s']:.0f} s on {record['hardware']['device']}: {output}")


def predict(
    checkpoint: Path = typer.Option(help="Checkpoint of a run."),
    output: Path = typer.Option(help="Folder for the label maps."),
    input: Path | None = typer.Option(None, help="An image, or a folder of images, from outside the benchmark."),
    prepared: Path | None = typer.Option(None, help="Prepared data set, with --split."),
    split: Path | None = typer.Option(None, help="Split file."),
    fold: int = typer.Option(0, min=0, help="Fold of the split."),
    subset: str = typer.Option("test", help="Part of the split: test, val or train."),
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Write label maps in the images' own geometry: NIfTI for volumes (NIfTI, NRRD, MHA), PNG for photographs.

    Example: `contrastseg predict --checkpoint run/checkpoints/last.ckpt --input scans/ --output labels/`
    """
    from contrastseg.data.download.download import locate
    from contrastseg.errors import SplitError, SuiteError, unknown_name

    if (input is None) == (prepared is None) or (prepared is None) != (split is None):
        raise SuiteError("nothing to predict", remedy="give --input, or --prepared together with --split")
    if subset not in ("train", "val", "test"):
        raise SuiteError(unknown_name("part", subset, ["train", "val", "test"]))
    from contrastseg.training.prediction import predict_files, predict_prepared

    notes: list[str] = []
    with progress("predicting") as update:
        if prepared is not None and split is not None:
            from contrastseg.data.splits.split_files import Split

            patients = getattr(Split.from_file(split), subset)(fold)
            if not patients:
                raise SplitError(f"fold {fold} has no {subset} patients", file=split, remedy="predict another part")
            index = predict_prepared(
                checkpoint,
                prepared,
                patients,
                output,
                locate_raw=lambda name: locate(name, data_root, resources),
                on_case=update,
            )
        else:
            index = predict_files(checkpoint, str(input), output, on_case=update, on_note=notes.append)
    for note in notes:
        typer.secho(note, fg=typer.colors.YELLOW, err=True)
    typer.echo(str(index))


def score(
    prediction: Path = typer.Option(help="A label map (NIfTI, NRRD, MHA, PNG, BMP or TIFF), or a folder."),
    reference: Path = typer.Option(help="A label map, a folder of them, or a prepared data set."),
    convention: list[str] = typer.Option(
        [],
        help="Score as a published code did: medpy, monai, transunet, ...; repeated, each in turn, overlaps and"
        " distances only.",
    ),
    metric: list[str] = typer.Option([], help="Metric; may be repeated."),
    classes: str | None = typer.Option(
        None,
        help="Names from background on, comma separated, or the dataset.json of nnU-Net or of a prepared data set.",
    ),
    ignore: int | None = typer.Option(None, help="The references' value of voxels to leave out, such as 255."),
    threshold: int | None = typer.Option(
        None, min=0, max=254, help="Values above it are the structure: for greys of one structure, such as 127."
    ),
    config: str | None = typer.Option(None, help="Evaluation settings: YAML or JSON file, or JSON text."),
    output: Path | None = typer.Option(None, help="Write the rows as CSV."),
    as_json: bool = JSON,
) -> None:
    """Score predictions against references, per case and class, in the image's own unit.

    Example: `contrastseg score --prediction labels/ --reference truth/ --metric dice --metric hd95 --json`
    """
    from contrastseg.evaluation.scoring.class_names import read_class_names
    from contrastseg.evaluation.scoring.scoring import score_by_conventions, score_file, score_folder, write_scores
    from contrastseg.evaluation.settings import EvaluationSettings

    given: dict[str, Any] = read_config(config)
    if convention:
        given |= {"convention": convention[0], "also_conventions": convention[1:]}
    if metric:
        given["metrics"] = metric
    settings = validated(EvaluationSettings, given)
    said: dict[str, Any] = {"ignore": ignore, "threshold": threshold}
    if classes is not None:
        named = read_class_names(classes)
        said |= {"classes": named.names, "values_declared": named.values}
        # Prepared references have their own value, whatever number nnU-Net's description has for it.
        if ignore is None and not (reference / "cases.csv").is_file():
            said["ignore"] = named.ignore
    said["announce"] = partial(typer.secho, fg=typer.colors.YELLOW, err=True)
    if settings.conventions:
        rows = score_by_conventions(prediction, reference, settings.metrics, settings.conventions, **said)
    else:
        score_one = score_folder if prediction.is_dir() else score_file
        asked = prediction, reference, settings.metrics, settings.convention
        rows = score_one(*asked, **said, tolerance=settings.nsd_tolerance)
    holes = sorted(set(rows["case"][rows["outcome"] == "hole"]))
    if holes:
        typer.secho(f"{len(holes)} without a prediction: {', '.join(holes)}", fg=typer.colors.YELLOW, err=True)
    if output is not None:
        write_scores(rows, output)
    if as_json:
        return print_json(rows.to_dict("records"))
    if output is None:
        shown = rows.drop(columns="diagonal")
        shown = shown.assign(value=shown["value"].map(lambda value: f"{value:.4f}")).astype(str)
        title = f"Scores ({', '.join(settings.conventions or (settings.convention,))})"
        print_table(title, list(shown.columns), shown.to_numpy().tolist())


COMMANDS = (train, predict, score)
