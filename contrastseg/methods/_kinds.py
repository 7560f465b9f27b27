"""What kind of value a setting takes, told by its default, and which values where there are but a few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from contrastseg.errors import SuiteError, unknown_name

_KINDS: tuple[tuple[str, type], ...] = (
    ("true or false", bool),
    ("a number", Real),
    ("a name", str),
    ("a mapping", Mapping),
    ("a list", Sequence),
)


def _kind(value: Any) -> str:
    return next((name for name, kind in _KINDS if isinstance(value, kind)), "nothing")


def check_kind(name: str, value: Any, default: Any) -> None:
    """Refuse a value of another kind than the default; where the default is None, the method itself looks.

    Args:
        name: Of the setting, for messages.
        value: Given.
        default: Whose kind counts: true or false, a number, a name, a mapping, or a list.

    Raises:
        SuiteError: The value is of another kind.
    """
    if default is not None and _kind(value) != _kind(default):
        raise SuiteError(
            f"{name} is {value!r}, which is {_kind(value)}; its default is {default!r}", remedy=f"give {_kind(default)}"
        )


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Refuse a value that is not among the choices; of a list, any such item, and an empty list.

    Args:
        name: Of the setting, for messages.
        value: Given; an unset value (None) is the method's to fill in.
        choices: The values there are.

    Raises:
        SuiteError: The value is not among them; the message lists what there is.
    """
    if value is None:
        return
    for chosen in list(value) or [""] if isinstance(value, list | tuple) else [value]:
        if chosen not in choices:
            raise SuiteError(unknown_name(name, chosen, list(choices)))
