"""Methods that other packages seem to offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from contrastseg.methods import registry


@contextmanager
def offered(methods: Mapping[str, str], *more: ModuleType) -> Iterator[None]:
    """Entry points of methods, by name, for the registry and for `more` modules that look at them."""

    def entry_points(group: str) -> list[EntryPoint]:
        named = methods if group == registry.ENTRY_POINT_GROUP else {}
        return [EntryPoint(name, value, group) for name, value in named.items()]

    def forget() -> None:
        registry._sources.cache_clear()
        registry.get.cache_clear()

    with pytest.MonkeyPatch.context() as patch:
        for module in (registry, *more):
            patch.setattr(module, "entry_points", entry_points)
        forget()
        yield
    forget()
