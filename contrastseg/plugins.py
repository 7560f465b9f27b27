"""What other installed packages add: their entry points, or an error that says which package is wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

from contrastseg.errors import ContrastsegError


def loaded(point: EntryPoint, kind: type[ContrastsegError]) -> Any:
    """What an entry point points at.

    Args:
        point: The entry point.
        kind: The error of the room that asks.

    Raises:
        ContrastsegError: Of that kind: the module, or the name in it, cannot be imported.
    """
    try:
        return point.load()
    except Exception as error:  # a plug-in may raise anything
        raise kind(
            f"{described(point)} cannot be imported: {type(error).__name__}: {error}",
            remedy="correct that package, or uninstall it",
        ) from error


def described(point: EntryPoint) -> str:
    """Such as "the entry point margin = mymethod.margin:Margin of mymethod (contrastseg.methods)"."""
    package = f" of {point.dist.name}" if point.dist is not None else ""
    return f"the entry point {point.name} = {point.value}{package} ({point.group})"
