"""Finds the data sets: the modules of ``contrastseg.data.datasets`` and the entry points ``contrastseg.datasets``."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from contrastseg.data import datasets
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec
from contrastseg.data.registry import nnunet
from contrastseg.errors import DataError, unknown_name
from contrastseg.plugins import described, loaded

ENTRY_POINT_GROUP = "contrastseg.datasets"


@functools.cache
def specs() -> dict[str, DatasetSpec]:
    """Every data set by name. A module shows its `DatasetSpec` as ``SPEC``; an entry point points at one.

    Raises:
        DataError: Two data sets of one name.
    """
    modules = sorted(module.name for module in pkgutil.iter_modules(datasets.__path__))
    sources = [(name, importlib.import_module(f"{datasets.__name__}.{name}").SPEC) for name in modules]
    sources += [(described(point), spec) for point, spec in _from_outside() if isinstance(spec, DatasetSpec)]
    specs_by_name: dict[str, DatasetSpec] = {}
    for source, spec in sources:
        if spec.name in specs_by_name:
            raise DataError(f"two data sets are called {spec.name!r}", remedy=f"rename the one of {source}")
        specs_by_name[spec.name] = spec
    return specs_by_name


def unusable() -> dict[str, DataError]:
    """Entry points that no data set comes of, by name, with what is wrong: the others can be used in spite of them."""
    return {point.name: error for point, error in _from_outside() if isinstance(error, DataError)}


@functools.cache
def _from_outside() -> list[tuple[EntryPoint, DatasetSpec | DataError]]:
    return [(point, _pointed_at(point)) for point in entry_points(group=ENTRY_POINT_GROUP)]


def _pointed_at(point: EntryPoint) -> DatasetSpec | DataError:
    try:
        spec = loaded(point, DataError)
    except DataError as error:
        return error
    if isinstance(spec, DatasetSpec):
        return spec
    return DataError(f"{described(point)} is not a DatasetSpec", remedy=f"point {ENTRY_POINT_GROUP} at a DatasetSpec")


def names() -> list[str]:
    """The names, sorted."""
    return sorted(specs())


def get(name: str, options: Mapping[str, Any] | DatasetOptions | None = None) -> DatasetSpec:
    """The data set of this name; ``nnunet`` is the one in the folder that its options name.

    Raises:
        UnavailableDataError: The folder is not there.
        DataError: There is no such data set (lists those there are), or what the folder says of itself is wrong.
    """
    check(name)
    return nnunet.spec_of(options) if name == nnunet.NAME else specs()[name]


def check(name: str) -> str:
    """`name`, when there is such a data set.

    Raises:
        DataError: There is none; lists those there are. Or there should be, and its package is wrong.
    """
    known = [*names(), nnunet.NAME]
    if name not in known:
        if name in unusable():
            raise unusable()[name]
        raise DataError(unknown_name("data set", name, known))
    return name


def module_of(name: str) -> str:
    """The module that reads the data set, as a dotted name: what its preparation depends on.

    Raises:
        DataError: There is no such data set.
    """
    return nnunet.__name__ if check(name) == nnunet.NAME else specs()[name].discover.__module__
