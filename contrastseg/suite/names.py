"""Names that must be there, and values that may stand there once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from contrastseg.errors import unknown_name


def require_known(kind: str, name: str, there: Collection[str]) -> str:
    """`name`, when it is there.

    Raises:
        ValueError: It is not; the message lists what is.
    """
    if name not in there:
        raise ValueError(unknown_name(kind, name, list(there)))
    return name


def require_distinct(kind: str, values: Sequence[Any]) -> None:
    """Refuse values that repeat.

    Raises:
        ValueError: One does.
    """
    for value in values:
        if list(values).count(value) > 1:
            raise ValueError(f"{kind} {value!r} is listed twice: remove one")
