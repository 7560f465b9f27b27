"""Every renamed key and option: the former spelling works, warns with the new one, and comes to the same."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from contrastseg.cli import app, data, enter, look, new_method, published, results, runs, train
from contrastseg.errors import SuiteError
from contrastseg.evaluation.settings import ComparisonSettings
from contrastseg.renamed import KEYS, OPTIONS, RenamedKey, RenamedOption, RenamedWarning, with_new_options
from contrastseg.suite import Suite, load_suite, parse_suite
from contrastseg.training.settings import RunConfig
from tests.test_layers import ROOT

COMMANDS = [
    command for part in (look, data, train, runs, results, enter, published, new_method) for command in part.COMMANDS
]
SUITE = {"name": "grid", "datasets": ["phantom_lesions"], "methods": ["supervised", "mean_teacher"]}


def asked(row: RenamedKey, **values: Any) -> dict[str, Any]:
    """A suite that says these values at the row's place."""
    inside: dict[str, Any] = values
    for key in reversed(row.place):
        inside = {key: inside}
    return {**SUITE, **inside}


def default(row: RenamedKey) -> Any:
    """The value of the key where nobody sets it."""
    value: Any = Suite.model_validate(SUITE)
    for key in (*row.place, row.new):
        value = getattr(value, key)
    return value


@pytest.mark.parametrize("row", KEYS, ids=lambda row: row.old)
def test_a_former_key_warns_and_comes_to_the_same(row):
    with pytest.warns(RenamedWarning, match=row.new):
        former = parse_suite(asked(row, **{row.old: default(row)}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parse_suite(asked(row, **{row.new: default(row)})) == former
    with pytest.raises(SuiteError, match=row.new):
        parse_suite(asked(row, **{row.new: default(row), row.old: default(row)}))


@pytest.mark.parametrize("row", KEYS, ids=lambda row: row.old)
def test_no_shipped_suite_uses_a_former_key(row):
    for path in (ROOT / "benchmarks").glob("*.yaml"):
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in row.place:
            found = found.get(key) or {}
        assert row.old not in found, path


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: f"{row.command} {row.old}")
def test_a_former_option_warns_and_does_the_same(row: RenamedOption):
    (command,) = (command for command in COMMANDS if command.__name__.replace("_", "-") == row.command)
    parameters = inspect.signature(command).parameters
    assert row.new.strip("-").replace("-", "_") in parameters
    assert row.old.strip("-").replace("-", "_") not in parameters
    with pytest.warns(RenamedWarning, match=row.new):
        assert with_new_options(row.command, ["-x", row.old, "a", f"{row.old}=b", "--", row.old]) == [
            *("-x", row.new, "a", f"{row.new}=b", "--", row.old)
        ]
    assert with_new_options(f"not {row.command}", [row.old]) == [row.old]


def test_the_command_takes_a_former_option(tmp_path):
    rest = ("x", "--method", "supervised", "--output", str(tmp_path), "--resources", str(tmp_path))
    with pytest.warns(RenamedWarning, match="--entry"):
        former = CliRunner().invoke(app, ["train", "--dataset", *rest])
    now = CliRunner().invoke(app, ["train", "--entry", *rest])
    assert isinstance(now.exception, SuiteError)
    assert str(former.exception) == str(now.exception)
    assert "'x'" in str(now.exception)


def test_what_is_stored_keeps_its_spelling():
    """Digests of configurations and parameters of rules are made of these: another key would run them again."""
    stored = ComparisonSettings(baseline="pdcr").model_dump(mode="json")
    assert list(stored) == ["reference", "metrics", "alpha", "family", "empty_reference"]
    assert ComparisonSettings.model_validate(stored).baseline == stored["reference"] == "pdcr"
    assert "baseline" not in load_suite(ROOT / "benchmarks" / "demo.yaml").model_dump()["comparison"]
    run = RunConfig(entry="a", method="supervised", spatial_dims=2, data="", split="")
    assert list(run.model_dump())[:3] == ["suite", "dataset", "spatial_dims"]
    assert run.identity["dataset"] == "a"
    assert "entry" not in run.identity
    assert RunConfig.model_validate(run.model_dump()) == run
