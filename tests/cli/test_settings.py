"""Settings of commands: a key that nobody reads is an error that says which there are, never an empty result."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.cli.shared import read_config
from contrastseg.errors import SuiteError


@pytest.mark.parametrize(
    ("arguments", "key", "known"),
    [
        (["prepare", "phantom_lesions"], "option", ["options", "preparation"]),
        (["split", "phantom_lesions"], "splits", ["options", "split", "subset"]),
        (["check", "."], "option", ["options"]),
        (["train", "--dataset", "a", "--method", "supervised", "--output", "o"], "steps", ["settings", "training"]),
        (["report", "--results", "r"], "figure", ["figures", "tables"]),
        (["report", "scores.parquet"], "figure", ["figures", "tables"]),
    ],
)
def test_an_unknown_key_is_said(arguments: list[str], key: str, known: list[str]) -> None:
    done = CliRunner().invoke(app, [*arguments, "--config", f'{{"{key}": []}}'])
    assert isinstance(done.exception, SuiteError)
    assert f"unknown key {key!r}" in str(done.exception)
    assert not [name for name in known if name not in str(done.exception)]


def test_a_file_is_read_like_text(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("tables: [1]\n")
    assert read_config(str(file), ("tables",)) == read_config('{"tables": [1]}', ("tables",)) == {"tables": [1]}
    with pytest.raises(SuiteError, match="unknown key 'tables'"):
        read_config(str(file), ("figures",))


def test_settings_that_are_wrong_are_not_called_a_suite(tmp_path: Path) -> None:
    listed = tmp_path / "list.yaml"
    listed.write_text("- one\n")
    with pytest.raises(SuiteError, match="a file of settings is a mapping"):
        read_config(str(listed))
    with pytest.raises(SuiteError, match="no such file of settings"):
        read_config(str(tmp_path / "absent.yaml"))
    with pytest.raises(SuiteError, match="a suite is a mapping"):
        read_config(str(listed), what="suite")
