"""The `contrastseg` command. Every rule of the workflow calls it, and so can a person.

Imports that take time stand inside the commands: `--help` is immediate, and a job loads only what it uses.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import typer
from typer.core import TyperCommand

from contrastseg.cli import data, enter, look, new_method, published, results, runs, submit, suites, train, tune
from contrastseg.errors import ContrastsegError, invalid_values
from contrastseg.files import disk_error
from contrastseg.renamed import RenamedWarning, with_new_options


class _App(typer.Typer):
    """A Typer application that says what is wrong instead of showing where in the code it was noticed."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = partial(_show_warning, warnings.showwarning)
                return super().__call__(*args, **kwargs)
        except (ContrastsegError, OSError) as error:
            # What is not written by way of `files`, such as archives that are unpacked, is refused by the same disk.
            found = error if isinstance(error, ContrastsegError) else disk_error(error)
            if found is None:
                raise
            typer.secho(f"{type(found).__name__}: {found}", fg=typer.colors.RED, err=True)
            sys.exit(1)
        except ValueError as error:
            # A model of settings that no command looked through first; pydantic is loaded where this can be.
            pydantic = sys.modules.get("pydantic")
            if pydantic is None or not isinstance(error, pydantic.ValidationError):
                raise
            typer.secho(f"SuiteError: {invalid_values(error)}", fg=typer.colors.RED, err=True)
            sys.exit(1)


def _show_warning(other: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Show a former spelling to the person who wrote it, without a line of our code; other warnings as usual."""
    if issubclass(category, RenamedWarning):
        typer.secho(str(message), fg=typer.colors.YELLOW, err=True)
    else:
        other(message, category, *where)


class _Command(TyperCommand):
    """A command that still takes the former spelling of a renamed option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_new_options(self.name or "", args))


# Typer renders help as Markdown, which drops `<suite>` as HTML and takes other signs for emphasis. Code stays code.
_SIGNS = re.compile(r"(`[^`]*`)|(?<!\\)([<>*_\[\]#&~|])")


def _literal(text: str) -> str:
    """Text that Markdown prints as it is written; literal text is left alone."""
    return _SIGNS.sub(lambda found: found[1] or f"\\{found[2]}", text)


# For Snakemake, whose options are not listed here.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


def _register(command: Callable[..., Any], panel: str) -> None:
    """Add a command under a heading, its help and that of its parameters printed as they are written."""
    for parameter in inspect.signature(command).parameters.values():
        if help_text := getattr(parameter.default, "help", None):
            parameter.default.help = _literal(help_text)
    settings = _PASSED_ON if command is suites.run else None
    help_text = _literal(inspect.getdoc(command) or "")
    app.command(cls=_Command, help=help_text, context_settings=settings, rich_help_panel=panel)(command)


app = _App(
    name="contrastseg",
    help="A reproducible benchmark of contrastive and semi-supervised medical image segmentation.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
_PANELS = {
    "Suites and what they use": (*suites.COMMANDS, *look.COMMANDS),
    "Data": data.COMMANDS,
    "One run": (*train.COMMANDS, *runs.COMMANDS, *tune.COMMANDS),
    "Results": (*results.COMMANDS, *enter.COMMANDS, *submit.COMMANDS, *published.COMMANDS),
    "A method of your own": new_method.COMMANDS,
}
for _panel, _commands in _PANELS.items():
    for _command in _commands:
        _register(_command, _panel)
