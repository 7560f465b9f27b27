"""enter, export-protocol: predictions of another trainer as a row of a suite's tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from contrastseg.cli.shared import RESOURCES, progress, read_config, validated

if TYPE_CHECKING:
    from contrastseg.evaluation.entered.entering import EnteredMaps
    from contrastseg.evaluation.entered.statement import Statement
    from contrastseg.planning.entered import Row
    from contrastseg.suite import Suite

_SUITE = "Name of a shipped suite (`contrastseg suites`), or path of a suite file."


def enter(
    folder: Path | None = typer.Argument(None, help="Folder of label maps, named by case. Not with --remove."),
    suite: str = typer.Option(help=_SUITE),
    entry: str = typer.Option(help="Entry of the suite that the method was trained on."),
    method: str = typer.Option(help="Name of the row. Names of the benchmark's methods are refused."),
    labels: str | None = typer.Option(None, help="Label budget that was trained with: r0.25 (ratio) or n7 (patients)."),
    seed: int | None = typer.Option(None, min=0, help="Random seed of the row. Default: 0; with --remove: all."),
    draw: int | None = typer.Option(None, min=0, help="Draw of labelled patients. Default: 0; with --remove: all."),
    fold: int | None = typer.Option(None, min=0, help="Fold of the split. Default: 0; with --remove: all."),
    evaluated_on: str | None = typer.Option(None, help="Entry whose test cases are predicted. Default: ENTRY."),
    checkpoint: str | None = typer.Option(
        None, help="Checkpoint of the suite that the row is compared at. Default: the suite's first."
    ),
    stated: str | None = typer.Option(
        None,
        help="Statement: YAML or JSON file, or JSON text, with `labelled_patients`, `checkpoint`, `training_data`,"
        " `code`, `title`, `source`, `summary`. Tables print it as stated.",
    ),
    protocol: Path | None = typer.Option(
        None, help="Protocol file (`contrastseg export-protocol`) that was followed; another one is an error."
    ),
    format: str = typer.Option(
        "auto", "--format", help="Format: auto, nifti, nrrd, mha, png, bmp, tiff, h5 or npz (also npy)."
    ),
    axes: str = typer.Option(
        "", help="Order of the axes of h5 and npz arrays: zyx or xyz. Default: told by the shape."
    ),
    incomplete: bool = typer.Option(
        False, "--incomplete", help="Enter missing cases as missing predictions: no test, star or rank for the row."
    ),
    replace: bool = typer.Option(False, "--replace", help="Replace a row of this name."),
    remove: bool = typer.Option(False, "--remove", help="Remove the row. Without --labels: at every label budget."),
    resources: Path = RESOURCES,
) -> None:
    """Enter predictions of another trainer as a row of a suite's tables, marked as external.

    All maps are checked first: test cases of the protocol, classes, grids. An error leaves the results as they were.
    `contrastseg run SUITE` then scores the row and makes the tables again. Rows of a changed protocol are reported as
    outdated and not compared.

    Example: `contrastseg enter my_predictions/ --suite demo --entry lesions --method my_unet --labels r0.05`
    """
    from contrastseg.errors import EnterError

    asked = _read_suite(suite)
    if remove:
        return _remove(asked, entry, method, labels=labels, draw=draw, fold=fold, seed=seed)
    if folder is None or labels is None:
        lacking = [name for name, value in (("FOLDER", folder), ("--labels", labels)) if value is None]
        raise EnterError(
            f"{' and '.join(lacking)} missing",
            remedy=f"contrastseg enter FOLDER --suite {suite} --entry {entry} --method {method} --labels {{budget}}",
        )
    from contrastseg.evaluation.entered.grid import AXES
    from contrastseg.evaluation.entered.statement import Statement
    from contrastseg.planning.entered import check_method, row_of

    if axes and axes not in AXES:
        raise EnterError(f"axes: found {axes!r}, expected {' or '.join(AXES)}", remedy="correct --axes")
    check_method(asked, method)
    statement = validated(Statement, read_config(stated, what="statement"))
    row = row_of(
        asked,
        entry=entry,
        method=method,
        labels=labels,
        draw=draw or 0,
        fold=fold or 0,
        seed=seed or 0,
        evaluated_on=evaluated_on,
        checkpoint=checkpoint,
        resources=resources,
    )
    if protocol is not None:
        _require_protocol(protocol, row)
    maps = _write(row, statement, folder, kind=format, axes=axes, incomplete=incomplete, replace=replace)
    _report(row, maps, labels, suite)


def _read_suite(suite: str) -> Suite:
    from contrastseg.cli.suites import find_suite
    from contrastseg.suite import load_suite

    return load_suite(find_suite(suite))


def _require_protocol(file: Path, row: Row) -> None:
    """Refuse a protocol file other than the present protocol of the row."""
    from contrastseg.errors import EnterError
    from contrastseg.evaluation.entered.export import row_key, stored_row
    from contrastseg.evaluation.entered.protocol import differing_parts

    key = row_key(row.run.entry, row.evaluated_on, row.protocol)
    stored, present = stored_row(file, key), row.protocol.stored()
    if stored["digest"] != present["digest"]:
        raise EnterError(
            f"another protocol: {' and '.join(differing_parts(stored, present))} differ; found {stored['digest']}, "
            f"expected {present['digest']} ({key})",
            file=file,
            remedy="export the protocol again (`contrastseg export-protocol`), and predict its test cases",
        )


def _write(
    row: Row, statement: Statement, folder: Path, *, kind: str, axes: str, incomplete: bool, replace: bool
) -> EnteredMaps:
    """Check everything, write the run in a temporary folder, and move it to its place."""
    from contrastseg.evaluation.entered import entering, store
    from contrastseg.evaluation.entered.files import prediction_files
    from contrastseg.evaluation.entered.statement import check_labelled
    from contrastseg.paths import ENTERED
    from contrastseg.planning import RESULTS

    protocol, run = row.protocol, row.run.folder
    check_labelled(statement, protocol.split, labelled=protocol.labelled, fold=protocol.fold)
    record = entering.run_record(
        {"suite": row.run.suite, **row.run.axes}, protocol, statement.model_dump(mode="json", exclude_defaults=True)
    )
    files = prediction_files(folder, kind)
    missing = entering.check_cases(files, protocol, folder=folder, incomplete=incomplete)
    root = RESULTS / row.run.suite / ENTERED
    with store.entering(root) as new, progress(f"entering {row.run.method}", len(files)) as update:
        if not replace:
            store.check_free(run, row.predictions, record)
        output = new / row.predictions.relative_to(run)
        maps = entering.write_maps(files, protocol, output, missing=missing, axes=axes, on_case=update)
        entering.write_index(maps, protocol, output)
        store.write_record(new, record)
        store.put(root, new, run, row.predictions, replace=replace)
    return maps


def _report(row: Row, maps: EnteredMaps, labels: str, suite: str) -> None:
    """Say what was entered, what was done to the maps, and what comes next."""
    from contrastseg.text import plural

    notes = list(maps.remarks)
    if row.run.labels != labels:
        notes.append(f"{labels} is {row.run.labels} in the suite, the same number of patients")
    ways: dict[str, list[str]] = {}
    for case, how in maps.moved.items():
        ways.setdefault(how, []).append(case)
    for how, cases in ways.items():
        notes.append(f"{plural(len(cases), 'map')} brought to the grid of the reference ({how}), such as {cases[0]}")
    if maps.missing:
        notes.append(f"{plural(len(maps.missing), 'missing prediction')}: {', '.join(maps.missing)}")
    for note in notes:
        typer.secho(note, fg=typer.colors.YELLOW, err=True)
    typer.echo(
        f"{plural(len(maps.sources), 'case')} entered as {row.run.method} at {row.run.labels}: {row.predictions}"
    )
    typer.echo(f"Next: contrastseg run {suite}")


def _remove(
    suite: Suite,
    entry: str,
    method: str,
    *,
    labels: str | None,
    draw: int | None,
    fold: int | None,
    seed: int | None,
) -> None:
    from contrastseg.errors import EnterError
    from contrastseg.evaluation.entered.store import remove
    from contrastseg.paths import ENTERED
    from contrastseg.planning import RESULTS
    from contrastseg.planning.entered_runs import stored_evaluations
    from contrastseg.text import plural

    wanted = {"dataset": entry, "method": method, "labels": labels, "draw": draw, "fold": fold, "seed": seed}
    stored = dict.fromkeys(run for run, _, _ in stored_evaluations(suite))
    runs = [run for run in stored if all(value in (None, run.axes[name]) for name, value in wanted.items())]
    if not runs:
        there = ", ".join(dict.fromkeys(f"{run.method} on {run.entry} at {run.labels}" for run in stored)) or "none"
        raise EnterError(f"found no such entered row; entered rows: {there}", case=method, remedy="correct the options")
    remove(RESULTS / suite.name / ENTERED, [run.folder for run in runs])
    typer.echo(f"{plural(len(runs), 'entered run')} of {method} removed")


def export_protocol(
    suite: str = typer.Argument(help=_SUITE),
    entry: str = typer.Option(help="Entry of the suite."),
    output: Path | None = typer.Option(None, help="Write the protocol to this JSON file. Default: print it."),
    resources: Path = RESOURCES,
) -> None:
    """Write what another trainer needs to take part: cases by part, labelled patients, classes, grids, scoring.

    The file contains no images. `contrastseg enter --protocol FILE` checks that predictions follow it.

    Example: `contrastseg export-protocol demo --entry lesions --output protocol.json`
    """
    from contrastseg.cli.shared import print_json
    from contrastseg.evaluation.entered.export import export
    from contrastseg.files import write_json
    from contrastseg.planning.entered import suite_protocols

    exported = export(**suite_protocols(_read_suite(suite), entry, resources))
    if output is None:
        return print_json(exported)
    write_json(output, exported)
    typer.echo(str(output))


COMMANDS = (enter, export_protocol)
