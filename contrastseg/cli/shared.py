"""Parts that several commands share: arguments that are a file or its text, JSON and tables, progress bars."""

from __future__ import annotations

import gc
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer

from contrastseg.errors import SuiteError, unknown_name

Model = TypeVar("Model")
_KINDS: dict[type, str] = {dict: "a mapping of names to values", list: "a list", str: "a text"}

RESOURCES = typer.Option("resources", "--resources", help="Folder for raw data, prepared data and splits.")
DATA_ROOT = typer.Option(
    None, "--data-root", envvar="CONTRASTSEG_DATA", help="Your folder of published data sets, one sub-folder each."
)
# Axes of a run, and what it is trained on, where a command trains.
TRAINED_ENTRY = typer.Option(..., "--entry", help="Entry whose prepared data and split are in RESOURCES.")
METHOD = typer.Option(..., "--method", help="Method (`contrastseg methods`).")
VARIANT = typer.Option("default", "--variant", help="Variant of the method: a named set of settings.")
DRAW = typer.Option(0, "--draw", min=0, help="Draw: which training patients keep their labels.")
FOLD = typer.Option(0, "--fold", min=0, help="Fold of the split.")
SEED = typer.Option(0, "--seed", min=0, help="Random seed.")
SPLIT = typer.Option(None, "--split", help="Split file. Default: the entry's in RESOURCES.")
JSON = typer.Option(False, "--json", help="Print JSON instead of a table.")


@contextmanager
def importing() -> Iterator[None]:
    """Import what takes seconds: no garbage is looked for meanwhile, nor later among what was imported.

    Modules make a million objects and drop few. Looking through these again and again is a fifth of an import of torch.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def read_config(
    value: str | None, known: Mapping[str, type | None] | None = None, what: str = "file of settings"
) -> dict[str, Any]:
    """The mapping in a YAML or JSON file, or in the JSON text itself; empty without one.

    Args:
        value: The argument.
        known: Its keys with the kinds of their values (None for any), where no model of settings checks them. A key
            without a value counts as left out.
        what: What a file should be, for messages.

    Raises:
        SuiteError: It is neither, or has a key that is not known or a value of another kind.
    """
    found = _mapping(value, what)
    if known is None:
        return found
    for key, item in found.items():
        if key not in known:
            raise SuiteError(unknown_name("key", str(key), tuple(known)))
        kind = known[key]
        if kind is not None and item is not None and not isinstance(item, kind):
            raise SuiteError(f"{key}: found {item!r:.60}, expected {_KINDS[kind]}", remedy="see --help for an example")
    return {key: item for key, item in found.items() if item is not None}


def _mapping(value: str | None, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not value.lstrip().startswith("{"):
        from contrastseg.suite.parsing import read_yaml

        return read_yaml(value, what)
    try:
        found: dict[str, Any] = json.loads(value)
    except json.JSONDecodeError as error:
        raise SuiteError(
            f"--config is neither a file nor JSON: {error}",
            remedy="name a file, or write JSON in single quotes: --config '{…}'",
        ) from error
    return found


def validated(model: type[Model], value: Any) -> Model:
    """`value` as a model of settings.

    Raises:
        SuiteError: A key is unknown or has no valid value; what there is, is listed.
    """
    from contrastseg.suite.parsing import wrap_validation_errors

    with wrap_validation_errors(model):  # type: ignore[arg-type]
        found: Model = model.model_validate(value)  # type: ignore[attr-defined]
        return found


def named_paths(given: Sequence[str], option: str) -> dict[str, Path]:
    """Read options of the form ENTRY=PATH.

    Raises:
        SuiteError: An option has another form.
    """
    found = {}
    for item in given:
        name, sign, path = item.partition("=")
        if not (name and sign and path):
            raise SuiteError(f"{option} {item!r} is not ENTRY=PATH", remedy=f"write {option} acdc=path/to/it")
        found[name] = Path(path)
    return found


def print_json(value: Any) -> None:
    """Print JSON, with null for NaN, which JSON cannot hold."""
    typer.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table: as wide as the terminal, or 240 columns where the output is a file."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=column == columns[0])
    for row in rows:
        table.add_row(*row)
    # Without markup: brackets in a cell are brackets.
    Console(width=None if sys.stdout.isatty() else 240, markup=False).print(table)


@contextmanager
def progress(title: str, total: int | None = None, *, in_bytes: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr. Yields a function that takes (done) or (done, total)."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    counted = (DownloadColumn(), TransferSpeedColumn()) if in_bytes else (MofNCompleteColumn(),)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), *counted)
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total)

        def update(done: int, whole: int | None = None) -> None:
            bar.update(task, completed=done, total=total if whole is None else whole)

        yield update
