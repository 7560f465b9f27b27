"""How networks are found, and what is said of those that are not there."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from contrastseg.errors import SuiteError
from contrastseg.networks import registry

NETWORKS = registry.names()
HAND_ON = ["monai", "smp"]  # their further options are another package's


def wide(*, spatial_dims: int, in_channels: int, num_classes: int, width: int = 1) -> str:
    """A network of somebody else."""
    return f"{spatial_dims} {in_channels} {num_classes} {width}"


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names under which another package offers `wide`."""
    offered: list[str] = []

    def entry_points(group: str) -> list[EntryPoint]:
        return [EntryPoint(name, f"{__name__}:wide", group) for name in offered]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    registry._sources.cache_clear()
    yield offered
    registry._sources.cache_clear()


def built(**settings: object) -> object:
    return registry.build(settings, spatial_dims=2, in_channels=1, num_classes=3)


def test_a_module_with_a_function_build_is_a_network_and_no_other(offered: list[str]) -> None:
    folder = Path(registry.__file__).parent
    modules = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")} - {"registry"}
    made = {name for name in modules if hasattr(import_module(f"contrastseg.networks.{name}"), "build")}
    assert made == set(registry.names())
    assert modules - made, "modules that hold what networks share are found, and left out"


@pytest.mark.parametrize(
    "name",
    [name for name in NETWORKS if name not in HAND_ON and Path(registry.__file__).with_name(f"{name}.py").exists()],
)
def test_the_options_read_from_the_source_are_those_of_the_function(name: str) -> None:
    builder = import_module(f"contrastseg.networks.{name}").build
    options = set(inspect.signature(builder).parameters) - {"spatial_dims", "in_channels", "num_classes"}
    assert registry.check({"name": name, **dict.fromkeys(options)}) == name
    with pytest.raises(SuiteError, match=f"unknown option of network {name} 'no_such_option'; there are: ") as caught:
        registry.check({"name": name, "no_such_option": 1})
    assert all(option in str(caught.value) for option in options)


def test_networks_are_checked_without_torch() -> None:
    code = (
        "import sys; from contrastseg.networks import registry; registry.check({'name': 'unet', 'channels': [8]});"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"


def test_other_packages_add_networks_whose_options_are_known_when_they_are_built(offered: list[str]) -> None:
    offered.append("wide")
    assert "wide" in registry.names()
    assert built(name="wide", width=7) == "2 1 3 7"
    assert registry.check({"name": "wide", "widht": 7}) == "wide"
    with pytest.raises(SuiteError, match="unknown option of network wide 'widht'; there are: width"):
        built(name="wide", widht=7)


@pytest.mark.parametrize("names", [["unet"], ["mine", "mine"]])
def test_two_networks_of_one_name_are_refused(offered: list[str], names: list[str]) -> None:
    offered.extend(names)
    with pytest.raises(SuiteError, match=f"two networks are called '{names[0]}'") as caught:
        registry.names()
    assert f"rename the entry point '{__name__}:wide'" in str(caught.value)
    with pytest.raises(SuiteError, match="two networks are called"):
        built(name="unet")
