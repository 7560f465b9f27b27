"""Finds methods: every module of this package with a `Method` in it, and the entry points of others.

Modules whose name begins with an underscore hold what several methods share.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.methods.contract import Method

ENTRY_POINT_GROUP = "contrastseg.methods"
_NOT_METHODS = {"contract", "registry"}


@cache
def _sources() -> dict[str, str | EntryPoint]:
    """Where each method is defined, by name: a module of this package, or an installed entry point."""
    import contrastseg.methods as package

    found: dict[str, str | EntryPoint] = {
        module.name: f"{package.__name__}.{module.name}"
        for module in pkgutil.iter_modules(package.__path__)
        if module.name not in _NOT_METHODS and not module.name.startswith("_")
    }
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in found:
            raise SuiteError(
                f"two methods are called {entry.name!r}",
                remedy=f"rename the entry point {entry.value!r} in its package",
            )
        found[entry.name] = entry
    return found


def names() -> list[str]:
    """The names of all methods, sorted."""
    return sorted(_sources())


@cache
def get(name: str) -> type[Method]:
    """The method of this name. A method's name is its file's name (or its entry point's).

    Raises:
        SuiteError: There is no such method (the message lists those there are), or its file defines none of that name.
    """
    source = _sources().get(name)
    if source is None:
        raise SuiteError(unknown_name("method", name, names()))
    if isinstance(source, EntryPoint):
        candidates = [source.load()]
        where = source.value
    else:
        module = importlib.import_module(source)
        candidates = [value for value in vars(module).values() if isinstance(value, type)]
        where = source
    for candidate in candidates:
        if issubclass(candidate, Method) and getattr(candidate, "name", None) == name:
            return candidate
    raise SuiteError(
        f"{where} defines no Method whose name is {name!r}", remedy="name the class attribute like the file"
    )


def module_of(name: str) -> str:
    """The dotted name of the module that defines the method."""
    return get(name).__module__
