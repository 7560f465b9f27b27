"""predict, score, oracle, prune, export-weights: one run at a time, in the workflow or by hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import typer

from contrastseg.cli.host_memory import keep_freed_memory
from contrastseg.cli.shared import (
    DATA_ROOT,
    FOLD,
    JSON,
    RESOURCES,
    importing,
    print_json,
    print_table,
    progress,
    read_config,
    validated,
)


def predict(
    checkpoint: list[Path] = typer.Option(help="Checkpoint of a run; may be repeated with --snapshots."),
    output: Path = typer.Option(help="Output folder for the label maps."),
    input: Path | None = typer.Option(None, help="Image, or folder of images, from outside the benchmark."),
    prepared: Path | None = typer.Option(None, help="Folder of a prepared data set; requires --split."),
    split: Path | None = typer.Option(None, help="Split file."),
    fold: int = FOLD,
    subset: str = typer.Option("test", help="Part of the split to predict: test, val or train."),
    snapshots: bool = typer.Option(
        False,
        "--snapshots",
        help="Predict with several checkpoints. Each has a folder of its name in --output; snapshots.json lists them.",
    ),
    data_root: Path | None = DATA_ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Predict label maps in the geometry of the images.

    Volumes (NIfTI, NRRD, MHA) give NIfTI files, photographs PNG files.

    Example: `contrastseg predict --checkpoint run/checkpoints/last.ckpt --input scans/ --output labels/`
    """
    from contrastseg.data.download.download import locate
    from contrastseg.errors import SplitError, SuiteError, unknown_name
    from contrastseg.text import plural

    if (input is None) == (prepared is None) or (prepared is None) != (split is None):
        named = {"--input": input, "--prepared": prepared, "--split": split}
        found = " and ".join(name for name, value in named.items() if value is not None) or "neither"
        raise SuiteError(
            f"found {found}, expected --input, or --prepared with --split",
            remedy="give --input IMAGES, or --prepared FOLDER --split FILE",
        )
    if subset not in ("train", "val", "test"):
        raise SuiteError(unknown_name("part", subset, ["train", "val", "test"]))
    if (len(checkpoint) > 1 and not snapshots) or (snapshots and prepared is None):
        raise SuiteError(
            f"found {plural(len(checkpoint), 'checkpoint')}"
            f" {'with' if snapshots else 'without'} --snapshots, expected one, or several with --snapshots --prepared",
            remedy="give one --checkpoint, or add --snapshots and --prepared",
        )
    with importing():
        from contrastseg.training.prediction import predict_files, predict_prepared, predict_snapshots

    keep_freed_memory()
    notes: list[str] = []
    with progress("predicting") as update:
        if prepared is not None and split is not None:
            from contrastseg.data.splits.split_files import Split

            patients = getattr(Split.from_file(split), subset)(fold)
            if not patients:
                raise SplitError(f"fold {fold} has no {subset} patients", file=split, remedy="predict another part")
            asked = prepared, patients, output
            by_name = partial(locate, data_root=data_root, resources=resources)
            if snapshots:
                index = predict_snapshots(checkpoint, *asked, locate_raw=by_name, on_case=update)
            else:
                index = predict_prepared(checkpoint[0], *asked, locate_raw=by_name, on_case=update)
        else:
            index = predict_files(checkpoint[0], str(input), output, on_case=update, on_note=notes.append)
    for note in notes:
        typer.secho(note, fg=typer.colors.YELLOW, err=True)
    typer.echo(str(index))


def score(
    prediction: Path = typer.Option(help="Label map (NIfTI, NRRD, MHA, PNG, BMP or TIFF), or folder of them."),
    reference: Path = typer.Option(help="Label map, folder of them, or prepared data set."),
    convention: list[str] = typer.Option(
        [],
        help="Scoring convention of published code: medpy, monai, transunet, ...; may be repeated. Only overlaps and"
        " distances have conventions. Default: `default`, the convention of this benchmark.",
    ),
    metric: list[str] = typer.Option(
        [], help="Metric; may be repeated. Default: dice, iou, hd95, hd95_pooled and assd."
    ),
    classes: str | None = typer.Option(
        None,
        help="Class names from background on, comma separated, or dataset.json of nnU-Net or of a prepared data set.",
    ),
    ignore: int | None = typer.Option(None, help="Value in the reference whose voxels are not scored, such as 255."),
    threshold: int | None = typer.Option(
        None,
        min=0,
        max=254,
        help="Threshold for grey masks of one structure, such as 127: higher values are the structure.",
    ),
    config: str | None = typer.Option(None, help="Evaluation settings: YAML or JSON file, or JSON text."),
    snapshots: bool = typer.Option(
        False, "--snapshots", help="Score the folders that `predict --snapshots` wrote into --prediction."
    ),
    output: Path | None = typer.Option(None, help="Write the scores as CSV to this file."),
    as_json: bool = JSON,
) -> None:
    """Score predictions against references per case and class. Distances are in the unit of the image.

    Example: `contrastseg score --prediction labels/ --reference truth/ --metric dice --metric hd95 --json`
    """
    import pandas as pd

    from contrastseg.evaluation.scoring import scoring
    from contrastseg.evaluation.scoring.class_names import read_class_names
    from contrastseg.evaluation.scoring.predictions import INDEX
    from contrastseg.evaluation.settings import EvaluationSettings
    from contrastseg.text import plural

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
    asked = prediction, reference, settings.metrics
    if (prediction / INDEX).is_file() and (outdated := _outdated(prediction, reference)):
        typer.secho(outdated, fg=typer.colors.YELLOW, err=True)
        columns = scoring.CONVENTION_COLUMNS if settings.conventions else scoring.SCORE_COLUMNS
        rows = pd.DataFrame(columns=list(columns))
    elif snapshots:
        announce = said["announce"]
        tolerance = settings.nsd_tolerance
        rows = scoring.score_snapshots(*asked, settings.convention, tolerance=tolerance, announce=announce)
    elif settings.conventions:
        rows = scoring.score_by_conventions(*asked, settings.conventions, **said)
    else:
        score_one = scoring.score_folder if prediction.is_dir() else scoring.score_file
        rows = score_one(*asked, settings.convention, **said, tolerance=settings.nsd_tolerance)
    missing = sorted(set(rows["case"][rows["outcome"] == "hole"]))
    if missing:
        typer.secho(
            f"{plural(len(missing), 'missing prediction')}: {', '.join(missing)}", fg=typer.colors.YELLOW, err=True
        )
    if output is not None:
        scoring.write_scores(rows, output)
    if as_json:
        return print_json(rows.to_dict("records"))
    if output is None:
        shown = rows.drop(columns="diagonal")
        shown = shown.assign(value=shown["value"].map(lambda value: f"{value:.4f}")).astype(str)
        title = f"Scores ({', '.join(settings.conventions or (settings.convention,))})"
        print_table(title, list(shown.columns), shown.to_numpy().tolist())


def oracle(
    scores: list[Path] = typer.Argument(
        help="Scores of one run: of its snapshots (score --snapshots) and of single checkpoints, such as last.csv."
    ),
    output: Path = typer.Option(
        help="Copy the scores of the selected checkpoint to this file; the selection goes to a JSON file beside it."
    ),
) -> None:
    """Select the checkpoint of a run that has the best mean Dice on the test cases.

    The result measures what selection on test data is worth. Do not report it as the result of a method.

    Example: `contrastseg oracle scores/snapshots.csv scores/last.csv --output scores/best_test.csv`
    """
    from contrastseg.checkpoint_names import ORACLE_MARK
    from contrastseg.evaluation.scoring.collect import AXES, collect, rows_of
    from contrastseg.evaluation.scoring.scoring import write_scores
    from contrastseg.evaluation.statistics.selection import oracle_choice
    from contrastseg.files import write_json

    run = {name: 0 if kind == "int64" else 0.0 if kind == "float64" else "run" for name, kind in AXES.items()}
    choice = oracle_choice(collect(({**run, "checkpoint": path.stem}, path) for path in scores))
    write_scores(rows_of(choice.checkpoint, scores), output)
    record = {"checkpoint": choice.checkpoint, "note": ORACLE_MARK, "incomplete": list(choice.incomplete)}
    means = {name: None if mean != mean else mean for name, mean in choice.means.items()}
    write_json(output.with_suffix(".json"), {**record, "mean_dice": means})
    typer.echo(f"{choice.checkpoint} ({ORACLE_MARK}): {output}")


def prune(
    selections: list[Path] = typer.Argument(help="Selections of one run: best_test.json of each evaluation set."),
    checkpoints: Path = typer.Option(help="The run's folder of checkpoints."),
) -> None:
    """Remove the snapshots of a run that no oracle selected.

    The last checkpoint, the best on validation cases and the selected snapshots stay.

    Example: `contrastseg prune run/scores/organs/best_test.json --checkpoints run/checkpoints`
    """
    from contrastseg.training.pruning import PRUNED
    from contrastseg.training.pruning import prune as prune_snapshots

    record = prune_snapshots(checkpoints, selections)
    if record["lost"]:
        typer.secho(
            f"selected, and removed by an earlier selection: {', '.join(record['lost'])}",
            fg=typer.colors.YELLOW,
            err=True,
        )
    typer.echo(f"{len(record['removed'])} removed, {len(record['kept'])} kept: {checkpoints / PRUNED}")


def export_weights(
    run: Path = typer.Argument(help="Folder of a run, or one of its checkpoints."),
    output: Path = typer.Option(help="File to write, with the ending .safetensors; its card is written beside it."),
    as_json: bool = JSON,
) -> None:
    """Write the encoder of a run as safetensors, with a card.

    Example: `contrastseg export-weights results/demo/runs/... --output encoder.safetensors`
    """
    from contrastseg.training.export import export_encoder

    card = export_encoder(run, output)
    if as_json:
        return print_json(card)
    typer.echo(f"{card['tensors']} tensors: {output}, card: {output.with_suffix('.md')}")


def _outdated(predictions: Path, reference: Path) -> str:
    """That entered predictions are of other references, so that none is scored; empty where all is well."""
    from contrastseg.data.prepare.cases import PreparedDataset
    from contrastseg.evaluation.entered.protocol import changed_references
    from contrastseg.evaluation.scoring.predictions import INDEX
    from contrastseg.files import read_json, wrap_parse_errors

    with wrap_parse_errors(predictions / INDEX, remedy="predict again, or enter the predictions again with --replace"):
        entered = read_json(predictions / INDEX).get("entered")
        if entered is None or not (reference / "cases.csv").is_file():
            return ""
        changed = changed_references(entered, PreparedDataset(reference))
    return "classes or references changed after these predictions were entered: nothing is scored" if changed else ""


COMMANDS = (predict, score, oracle, prune, export_weights)
