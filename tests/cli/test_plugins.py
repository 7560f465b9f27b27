"""What `doctor` and `methods` say of other installed packages, a broken one among them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from contrastseg.cli import app, doctor
from contrastseg.methods import registry

Good = type("Good", (registry.get("supervised"),), {"name": "good"})
OFFERED = {"good": f"{__name__}:Good", "broken": "no_such_module_anywhere:Method"}


@pytest.fixture(autouse=True)
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def entry_points(group: str) -> list[EntryPoint]:
        named = OFFERED if group == registry.ENTRY_POINT_GROUP else {}
        return [EntryPoint(name, value, group) for name, value in named.items()]

    for module in (doctor, registry):
        monkeypatch.setattr(module, "entry_points", entry_points)
    registry._sources.cache_clear()
    registry.get.cache_clear()
    yield
    registry._sources.cache_clear()
    registry.get.cache_clear()


def test_doctor_lists_what_was_found_and_what_cannot_be_imported() -> None:
    good, broken = doctor._plugins()
    assert (good.state, good.name) == ("ok", "contrastseg.methods")
    assert f"good = {__name__}:Good" in good.found
    assert broken.state == "note"
    assert "cannot be imported: ModuleNotFoundError" in broken.found


def test_methods_lists_all_others_and_says_which_is_broken() -> None:
    done = CliRunner().invoke(app, ["methods"], env={"COLUMNS": "300"})
    assert done.exit_code == 0
    assert {"supervised", "good", "uafr"} <= set(done.stdout.split())
    assert "the entry point broken = no_such_module_anywhere:Method" in done.stderr
