"""submit, submitted: entered rows as files of a pull request, and the check of all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from contrastseg.cli.shared import FOLD, RESOURCES

if TYPE_CHECKING:
    from contrastseg.planning.entered import Row
    from contrastseg.suite import Suite

_ROOT = typer.Option(Path("results/submitted"), "--root", help="Folder of all submitted rows.")


def submit(
    suite: str = typer.Option(help="Name of a shipped suite (`contrastseg suites`)."),
    entry: str = typer.Option(help="Entry of the suite that the method was trained on."),
    method: str = typer.Option(help="Name of the entered row."),
    labels: str = typer.Option(help="Label budget of the entered row."),
    seed: int = typer.Option(0, min=0, help="Random seed of the row."),
    draw: int = typer.Option(0, min=0, help="Draw of labelled patients."),
    fold: int = FOLD,
    evaluated_on: str | None = typer.Option(None, help="Entry whose test cases are predicted. Default: ENTRY."),
    checkpoint: str | None = typer.Option(None, help="Checkpoint that the row is compared at. Default: the first."),
    root: Path = _ROOT,
    resources: Path = RESOURCES,
) -> None:
    """Score an entered row and write it as files for a pull request: scores, statement, protocol digest.

    The row is checked as `contrastseg submitted` does. An error leaves the folder as it was.

    Example: `contrastseg submit --suite demo --entry lesions --method my_unet --labels r0.05`
    """
    from contrastseg.cli.suites import find_suite
    from contrastseg.planning.entered import row_of
    from contrastseg.suite import load_suite

    asked = load_suite(find_suite(suite))
    row = row_of(
        asked,
        entry=entry,
        method=method,
        labels=labels,
        draw=draw,
        fold=fold,
        seed=seed,
        evaluated_on=evaluated_on,
        checkpoint=checkpoint,
        resources=resources,
    )
    folder = _write(asked, row, root, resources)
    typer.echo(f"{method} at {row.run.labels}: {folder}")
    typer.echo(f"Next: git add {root}, commit, and open a pull request")


def _write(suite: Suite, row: Row, root: Path, resources: Path) -> Path:
    """Check the row in a temporary folder, then move it to its place."""
    import shutil
    import tempfile

    from contrastseg.errors import SubmissionError
    from contrastseg.evaluation.entered import submission
    from contrastseg.evaluation.entered.export import export
    from contrastseg.evaluation.scoring.predictions import INDEX
    from contrastseg.evaluation.scoring.scoring import score_folder, write_scores
    from contrastseg.files import digest, read_json, wrap_write_errors, write_json
    from contrastseg.planning.entered import suite_protocols

    index = row.predictions / INDEX
    if not index.is_file():
        raise SubmissionError(
            "no such row was entered",
            case=row.run.method,
            file=row.predictions,
            remedy="enter the predictions first: contrastseg enter FOLDER --suite SUITE --entry ENTRY --method NAME",
        )
    entered = read_json(index)["entered"]
    record: dict[str, Any] = read_json(row.run.folder / "run.json") | {
        "evaluated_on": row.evaluated_on,
        "checkpoint": row.checkpoint,
        "protocol": entered["protocol"],
        "predictions": digest(entered["sources"]),
    }
    settings = suite.evaluation
    scores = score_folder(
        row.predictions,
        row.protocol.dataset,
        settings.metrics,
        settings.convention,
        tolerance=settings.nsd_tolerance,
    )
    with wrap_write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent) as new:
            stored = submission.protocol_file(root, row.run.suite, row.run.entry)
            protocol = submission.protocol_file(Path(new), row.run.suite, row.run.entry)
            if stored.is_file():
                protocol.parent.mkdir(parents=True)
                shutil.copy(stored, protocol)
            else:
                write_json(protocol, export(**suite_protocols(suite, row.run.entry, resources)))
            made = submission.folder_of(Path(new), record)
            write_json(made / submission.RECORD, record)
            write_scores(scores, made / submission.SCORES)
            for error in submission.check(made, Path(new)):
                raise error
            folder = submission.folder_of(root, record)
            stored.parent.mkdir(parents=True, exist_ok=True)
            if not stored.is_file():
                shutil.move(protocol, stored)
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, folder)
    return folder


def submitted(root: Path = typer.Argument(Path("results/submitted"), help="Folder of all submitted rows.")) -> None:
    """Check every submitted row: protocol digest, complete cases, columns, values, statement. Needs no data.

    Example: `contrastseg submitted`
    """
    from contrastseg.errors import SubmissionError
    from contrastseg.evaluation.entered.submission import check_all
    from contrastseg.text import plural

    checked, faulty = 0, 0
    for folder, errors in check_all(root):
        checked += 1
        faulty += bool(errors)
        for error in errors:
            typer.secho(f"{folder}: {error}", fg=typer.colors.RED, err=True)
    if faulty:
        raise SubmissionError(
            f"{faulty} of {plural(checked, 'submitted row')} cannot be accepted as they are",
            file=root,
            remedy="follow the remedy of each error above",
        )
    typer.echo(f"{plural(checked, 'submitted row')} in order")


COMMANDS = (submit, submitted)
