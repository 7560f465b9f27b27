"""Finding data sets, our own and those of other packages."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from contrastseg.data import registry
from contrastseg.errors import DataError

OTHER = dataclasses.replace(registry.get("phantom_lesions"), name="other")


class _Point:
    value = "elsewhere:SPEC"

    def __init__(self, target: Any) -> None:
        self.target = target

    def load(self) -> Any:
        return self.target


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What other packages offer."""
    offered: list[Any] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [_Point(target) for target in offered])
    registry.specs.cache_clear()
    yield offered
    registry.specs.cache_clear()


def test_the_project_s_own_data_sets() -> None:
    assert {"acdc", "phantom_lesions", "phantom_organs"} <= set(registry.names())
    assert registry.names() == sorted(registry.names())


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(DataError, match=r"'adcd'; there are: .*acdc, "):
        registry.get("adcd")


def test_other_packages_add_data_sets(points: list[Any]) -> None:
    points.append(OTHER)
    assert registry.get("other") is OTHER


@pytest.mark.parametrize("target", [registry.get("acdc"), "no spec"])
def test_what_other_packages_may_not_do(points: list[Any], target: Any) -> None:
    points.append(target)
    with pytest.raises(DataError, match=r"elsewhere:SPEC|are called 'acdc'"):
        registry.names()


@pytest.mark.parametrize("name", registry.names())
def test_every_spec_travels_to_worker_processes(name: str) -> None:
    assert pickle.loads(pickle.dumps(registry.get(name))) == registry.get(name)


def test_the_module_of_a_data_set_and_of_a_folder() -> None:
    assert registry.module_of("acdc") == "contrastseg.data.datasets.acdc"
    assert registry.module_of("nnunet") == "contrastseg.data.nnunet"
    with pytest.raises(DataError, match="nnunet"):
        registry.module_of("acdcc")
