"""Finds methods: every module of this package with a `Method` in it, and the entry points of others.

Modules whose name begins with an underscore hold what several methods share.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from contrastseg.errors import SuiteError, unknown_name
from contrastseg.methods.contract import Card, Method
from contrastseg.plugins import described, loaded

ENTRY_POINT_GROUP = "contrastseg.methods"
_NOT_METHODS = {"contract", "registry", "tunable"}


@cache
def _sources() -> dict[str, str | EntryPoint]:
    """Where each method is defined, by name: a module of this package, or an installed entry point."""
    import contrastseg.methods as package

    sources: dict[str, str | EntryPoint] = {
        module.name: f"{package.__name__}.{module.name}"
        for module in pkgutil.iter_modules(package.__path__)
        if module.name not in _NOT_METHODS and not module.name.startswith("_")
    }
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name in sources:
            raise SuiteError(
                f"two methods are called {entry.name!r}",
                remedy=f"rename the entry point {entry.value!r} in its package",
            )
        sources[entry.name] = entry
    return sources


def names() -> list[str]:
    """List the names of all methods, sorted."""
    return sorted(_sources())


@cache
def get(name: str) -> type[Method]:
    """Get the method of this name. A method's name is its file's name (or its entry point's).

    Raises:
        SuiteError: There is no such method (the message lists those there are), or its file defines none of that name.
    """
    source = _sources().get(name)
    if source is None:
        raise SuiteError(unknown_name("method", name, names()))
    if isinstance(source, EntryPoint):
        candidates = [loaded(source, SuiteError)]
        where, remedy = described(source), "point it at the class, and call the class's `name` what it is called itself"
    else:
        candidates = list(vars(importlib.import_module(source)).values())
        where, remedy = source, "name the class attribute like the file"
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, Method) and getattr(candidate, "name", None) == name:
            return _complete(candidate)
    raise SuiteError(f"{where} defines no Method whose name is {name!r}", remedy=remedy)


def _complete(method: type[Method]) -> type[Method]:
    """Give the method back when it has all that methods need.

    Raises:
        SuiteError: Its card or its stages are missing.
    """
    for attribute, kind in (("card", Card), ("stages", tuple)):
        if not isinstance(getattr(method, attribute, None), kind):
            raise SuiteError(
                f"the method {method.name!r} has no `{attribute}`",
                file=inspect.getsourcefile(method),
                remedy="see contrastseg.methods.contract.Method; `contrastseg new-method NAME` writes a complete one",
            )
    return method


def module_of(name: str) -> str:
    """Get the dotted name of the module that defines the method."""
    return get(name).__module__
