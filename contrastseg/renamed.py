"""Renamed keys of suites and options of commands: the former spelling works for one version, with a warning.

Each row of the two tables goes with the version after the one that brought it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from contrastseg.errors import SuiteError


class RenamedKey(NamedTuple):
    """A key of a suite.

    Attributes:
        place: The keys around it, the outermost first.
        old: Its former name.
        new: Its name.
    """

    place: tuple[str, ...]
    old: str
    new: str


class RenamedOption(NamedTuple):
    """An option of a command, such as `--entry`."""

    command: str
    old: str
    new: str


KEYS = (RenamedKey(("comparison",), "reference", "baseline"),)
OPTIONS = tuple(RenamedOption(command, "--dataset", "--entry") for command in ("train", "enter", "export-protocol"))


class RenamedWarning(FutureWarning):
    """A former spelling was used."""


def with_new_keys(suite: Mapping[str, Any]) -> dict[str, Any]:
    """A suite file's content with every former key replaced by its new name, in place.

    Warns:
        RenamedWarning: For each former key; the text names the new one.

    Raises:
        SuiteError: A key is there under both names.
    """
    renamed = dict(suite)
    for row in KEYS:
        renamed = _replaced(renamed, row.place, row)
    return renamed


def _replaced(values: dict[str, Any], place: Sequence[str], row: RenamedKey) -> dict[str, Any]:
    if place:
        inner = values.get(place[0])
        return {**values, place[0]: _replaced(dict(inner), place[1:], row)} if isinstance(inner, Mapping) else values
    if row.old not in values:
        return values
    old, new = (".".join((*row.place, name)) for name in (row.old, row.new))
    if row.new in values:
        raise SuiteError(f"{old} is the former name of {new}, and both are there", remedy=f"remove {old}")
    _warn(old, new)
    return {row.new if key == row.old else key: value for key, value in values.items()}


def with_new_options(command: str, arguments: Sequence[str]) -> list[str]:
    """A command's arguments with every former option replaced by its new name.

    Warns:
        RenamedWarning: For each former option; the text names the new one.
    """
    new_names = {row.old: row.new for row in OPTIONS if row.command == command}
    replaced: list[str] = []
    for at, argument in enumerate(arguments):
        if argument == "--":  # what follows are values
            return [*replaced, *arguments[at:]]
        option, sign, value = argument.partition("=")
        if option in new_names:
            _warn(option, new_names[option])
        replaced.append(f"{new_names.get(option, option)}{sign}{value}")
    return replaced


def _warn(old: str, new: str) -> None:
    text = f"{old} is now called {new}. Fix: write {new}; the next version no longer accepts {old}."
    warnings.warn(text, RenamedWarning, stacklevel=4)
