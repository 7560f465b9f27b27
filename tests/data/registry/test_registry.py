"""Finding data sets, our own and those of other packages."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from contrastseg.data.registry import registry
from contrastseg.errors import DataError

ACDC = registry.get("acdc")
OTHER = dataclasses.replace(registry.get("phantom_lesions"), name="other")


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What other packages offer."""
    offered: list[Any] = []

    def entry_points(group: str) -> list[EntryPoint]:
        for number, target in enumerate(offered):
            monkeypatch.setitem(globals(), f"TARGET{number}", target)
        return [EntryPoint("elsewhere", f"{__name__}:TARGET{number}", group) for number in range(len(offered))]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    _forget()
    yield offered
    _forget()


def _forget() -> None:
    registry.specs.cache_clear()
    registry._from_outside.cache_clear()


def test_the_project_s_own_data_sets() -> None:
    assert {"acdc", "phantom_lesions", "phantom_organs"} <= set(registry.names())
    assert registry.names() == sorted(registry.names())


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(DataError, match=r"'adcd'; there are: .*acdc, "):
        registry.get("adcd")


def test_other_packages_add_data_sets(points: list[Any]) -> None:
    points.append(OTHER)
    assert registry.get("other") is OTHER


def test_two_of_one_name(points: list[Any]) -> None:
    points.append(ACDC)
    with pytest.raises(DataError, match="are called 'acdc'") as caught:
        registry.names()
    assert "the entry point elsewhere = " in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("target", "said"), [("no spec", "DatasetSpec"), (None, "cannot be imported: ModuleNotFoundError")]
)
def test_a_package_that_is_wrong_takes_nothing_else_down(
    monkeypatch: pytest.MonkeyPatch, points: list[Any], target: Any, said: str
) -> None:
    points.append(target)
    if target is None:
        point = EntryPoint("elsewhere", "no_such_module_anywhere:SPEC", registry.ENTRY_POINT_GROUP)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "acdc" in registry.names()
    with pytest.raises(DataError, match=f"the entry point elsewhere = .*{said}") as caught:
        registry.get("elsewhere")
    assert caught.value.remedy
    assert list(registry.unusable()) == ["elsewhere"]


@pytest.mark.parametrize("name", registry.names())
def test_every_spec_travels_to_worker_processes(name: str) -> None:
    assert pickle.loads(pickle.dumps(registry.get(name))) == registry.get(name)


def test_the_module_of_a_data_set_and_of_a_folder() -> None:
    assert registry.module_of("acdc") == "contrastseg.data.datasets.acdc"
    assert registry.module_of("nnunet") == "contrastseg.data.registry.nnunet"
    with pytest.raises(DataError, match="nnunet"):
        registry.module_of("acdcc")
