"""`contrastseg download` and what `contrastseg datasets` says about getting data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contrastseg.cli import app
from contrastseg.data.download import download
from contrastseg.data.faults import FaultyCasesError
from contrastseg.data.registry import registry
from contrastseg.errors import DataError, UnavailableDataError
from tests.data_tables import table_of
from tests.serving import Site, serving


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Two open data sets on a server, beside the project's own."""
    monkeypatch.delenv("CONTRASTSEG_DATA", raising=False)
    with serving() as running:
        running.files |= {"one.bin": b"1", "two.bin": b"2"}
        files = {"set_one": "one.bin", "set_two": "two.bin"}
        rows = [{"name": name, "file": file, "address": running.url(file)} for name, file in files.items()]
        fetch = partial(download.download_dataset, table=table_of(tmp_path, *rows))
        monkeypatch.setattr(download, "download_dataset", fetch)
        specs = dict(registry.specs())
        for name in files:
            specs[name] = dataclasses.replace(specs["acdc"], name=name, folder_names=(name,), registration=())
        monkeypatch.setattr(registry, "specs", lambda: specs)
        yield running


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_several_data_sets_in_one_call(site: Site, tmp_path: Path) -> None:
    done = call("download", "set_one", "set_two", "phantom_lesions", "set_one", "--resources", tmp_path)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[-3:] == [
        f"set_one: {tmp_path / 'raw' / 'set_one'}",
        f"set_two: {tmp_path / 'raw' / 'set_two'}",
        "phantom_lesions: generated data: no download needed",
    ]
    assert sum("trusted on first use" in line for line in lines) == 2
    assert call("download", "set_one", "--resources", tmp_path).stdout.splitlines() == [
        str(tmp_path / "raw" / "set_one")
    ]


def test_json_is_all_there_is_on_standard_output(site: Site, tmp_path: Path) -> None:
    done = call("download", "set_one", "phantom_lesions", "--json", "--resources", tmp_path)
    assert json.loads(done.stdout) == [
        {"name": "set_one", "folder": str(tmp_path / "raw" / "set_one")},
        {"name": "phantom_lesions", "folder": None},
    ]
    assert "trusted on first use" in done.stderr
    assert "downloading set_one" in done.stderr


def test_one_that_fails_does_not_cost_the_others(site: Site, tmp_path: Path) -> None:
    del site.files["one.bin"]
    done = call("download", "set_one", "acdc", "set_two", "--resources", tmp_path)
    assert done.exit_code == 1
    assert isinstance(done.exception, FaultyCasesError)
    first, second = done.exception.faults
    assert isinstance(first, DataError)
    assert "one.bin: the server answers 404" in first.reason
    assert isinstance(second, UnavailableDataError)
    assert (tmp_path / "raw" / "set_two" / "checksums.json").is_file()


def test_an_unknown_name_is_told_before_anything_is_downloaded(site: Site, tmp_path: Path) -> None:
    done = call("download", "set_one", "set_three", "--resources", tmp_path)
    assert "set_three" in str(done.exception)
    assert site.asked == []


def test_the_list_tells_the_steps_of_a_registration(site: Site, tmp_path: Path) -> None:
    shown = call("datasets", "--resources", tmp_path).stdout
    assert "acdc requires registration:\n  1. register at https://humanheart-project" in shown
    assert "set_one requires" not in shown
    listed = {row["name"]: row for row in json.loads(call("datasets", "--json", "--resources", tmp_path).stdout)}
    assert listed["acdc"]["registration"] == list(registry.get("acdc").registration)
    access = {name: listed[name]["access"] for name in ("acdc", "set_one", "phantom_organs")}
    assert access == {"acdc": "registration", "set_one": "open", "phantom_organs": "generated"}
    (tmp_path / "data" / "ACDC").mkdir(parents=True)
    assert "acdc requires registration" not in call("datasets", "--data-root", tmp_path / "data").stdout
