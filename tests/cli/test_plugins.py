"""What `doctor` and `methods` say of other installed packages, a broken one among them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from contrastseg.cli import app, doctor
from contrastseg.methods import registry
from tests.offered import offered

Good = type("Good", (registry.get("supervised"),), {"name": "good"})
OFFERED = {"good": f"{__name__}:Good", "broken": "no_such_module_anywhere:Method"}


@pytest.fixture(autouse=True)
def packages() -> Iterator[None]:
    with offered(OFFERED, doctor):
        yield


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
