"""The user's folder of data sets: what is asked for by hand, else what the suite says, else the environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from contrastseg import planning
from contrastseg.cli import app
from contrastseg.suite import Options

HERE = {"CONTRASTSEG_DATA": "/environment"}
ACDC = {"name": "acdc", "spatial_dims": 2, "split": {"name": "acdc_70_10_20"}}


@pytest.mark.parametrize(
    ("asked", "suite", "environment", "found"),
    [
        (Path("/flag"), Path("/suite"), HERE, Path("/flag")),
        (None, Path("/suite"), HERE, Path("/suite")),
        (None, None, HERE, Path("/environment")),
        (None, None, {"CONTRASTSEG_DATA": ""}, None),
        (None, None, {}, None),
    ],
)
def test_one_order(asked: Path | None, suite: Path | None, environment: dict[str, str], found: Path | None) -> None:
    assert planning.data_root(Options(data_root=suite), environment, asked) == found


def test_a_home_folder_and_a_relative_one_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert planning.data_root(Options(data_root=Path("~/sets")), {}) == tmp_path / "sets"
    assert planning.data_root(Options(), {}, Path("sets")) == tmp_path / "sets"


def test_plan_goes_by_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ACDC lies in one folder, the two others are empty: whether it is missing says which folder was looked into."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full" / "ACDC").mkdir(parents=True)
    (tmp_path / "empty").mkdir()

    def missing(environment: str, suite: str | None = None, *flag: str) -> bool:
        monkeypatch.setenv("CONTRASTSEG_DATA", str(tmp_path / environment))
        content: dict[str, Any] = {"name": "one", "datasets": [ACDC], "methods": ["supervised"], "labels": ["n3"]}
        content |= {"data_root": suite} if suite else {}
        done = CliRunner().invoke(app, ["plan", json.dumps(content), "--json", *flag], catch_exceptions=False)
        return "acdc" in json.loads(done.stdout)["missing"]

    assert [missing("full"), missing("empty")] == [False, True]
    assert [missing("full", "~/empty"), missing("empty", "~/full")] == [True, False]
    assert [missing("empty", "~/empty", "--data-root", "full"), missing("full", "~/full", "--data-root", "empty")] == [
        False,
        True,
    ]
