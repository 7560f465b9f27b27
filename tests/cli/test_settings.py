"""Settings of commands: a key that nobody reads is an error that says which there are, never an empty result."""

from __future__ import annotations

import contextlib
import gc
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from pydantic import BaseModel
from safetensors.torch import save_file
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.cli.shared import importing, read_config
from contrastseg.errors import ContrastsegError, SuiteError, TrainingError
from contrastseg.files import sha256


@pytest.mark.parametrize(
    ("arguments", "key", "known"),
    [
        (["prepare", "phantom_lesions"], "option", ["options", "preparation"]),
        (["split", "phantom_lesions"], "splits", ["options", "split", "subset"]),
        (["check", "."], "option", ["options"]),
        (["train", "--entry", "a", "--method", "supervised", "--output", "o"], "steps", ["settings", "training"]),
        (["report", "--results", "r"], "figure", ["figures", "tables"]),
        (["report", "scores.parquet"], "figure", ["figures", "tables"]),
    ],
)
def test_an_unknown_key_is_said(arguments: list[str], key: str, known: list[str]) -> None:
    done = CliRunner().invoke(app, [*arguments, "--config", f'{{"{key}": []}}'])
    assert isinstance(done.exception, SuiteError)
    assert f"unknown key {key!r}" in str(done.exception)
    assert not [name for name in known if name not in str(done.exception)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--checkpoint", "step2.ckpt", "--prepared", "p", "--split", "s.json"],
        ["--snapshots", "--input", "scan.nii.gz"],
    ],
)
def test_several_checkpoints_go_with_snapshots_and_prepared_data(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["predict", "--checkpoint", "step1.ckpt", "--output", "o", *arguments])
    assert isinstance(done.exception, SuiteError)
    assert "--snapshots" in str(done.exception.remedy)


def test_a_file_is_read_like_text(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("tables: [1]\n")
    assert (
        read_config(str(file), {"tables": list}) == read_config('{"tables": [1]}', {"tables": list}) == {"tables": [1]}
    )
    with pytest.raises(SuiteError, match="unknown key 'tables'"):
        read_config(str(file), {"figures": list})


def test_settings_that_are_wrong_are_not_called_a_suite(tmp_path: Path) -> None:
    listed = tmp_path / "list.yaml"
    listed.write_text("- one\n")
    with pytest.raises(SuiteError, match="mapping of names to values"):
        read_config(str(listed))
    with pytest.raises(SuiteError, match="file of settings not found"):
        read_config(str(tmp_path / "absent.yaml"))
    with pytest.raises(SuiteError, match="a suite must be a mapping"):
        read_config(str(listed), what="suite")


@pytest.mark.parametrize(
    ("variant", "config", "known"),
    [
        ("wide", {"settings": {}, "training": {"steps": 1}}, True),  # as planning writes a variant of `training` alone
        ("equal_steps", {"settings": {}}, True),
        ("wide", {"training": {"steps": 1}}, False),  # by hand, nobody said what it is
    ],
)
def test_a_variant_of_the_suite_needs_no_settings(
    variant: str, config: dict[str, object], known: bool, lesions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(lesions)
    small = {"steps": 1, "patch_size": [16, 16], "network": {"name": "unet", "channels": [4, 8]}}
    config["training"] = {**small, **config.get("training", {})}  # type: ignore[dict-item]
    arguments = [*TRAIN[:-2], str(tmp_path), "--variant", variant, "--labels", "n2", "--config", json.dumps(config)]
    done = CliRunner().invoke(app, arguments)
    assert (tmp_path / "run.json").exists() is known, done.exception
    if not known:
        assert "unknown variant of supervised 'wide'" in str(done.exception)


@pytest.mark.parametrize("method", ["supervised", "pretrained"])
def test_another_content_of_a_file_of_weights_is_another_run(
    method: str, lesions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from contrastseg import planning
    from contrastseg.networks import registry
    from contrastseg.suite import parse_suite

    monkeypatch.chdir(lesions)
    file = tmp_path / "encoder.safetensors"
    network = {"name": "unet", "channels": [4, 8]}

    def write(factor: float) -> None:
        built = registry.build(network, spatial_dims=2, in_channels=3, num_classes=2)
        save_file({name: factor * value.float() for name, value in built.state_dict().items()}, file)

    write(1.0)
    own = {"weights": str(file)}
    methods = {
        "supervised": [{"name": "supervised", "variants": {"default": {}, "mine": {"training": {"network": own}}}}],
        "pretrained": ["supervised", {"name": "pretrained", "variants": {"mine": own}}],
    }
    suite = {
        "name": "small",
        "datasets": [{"name": "lesions", "dataset": "phantom_lesions", "options": {"cases": 6, "size": [16, 16]}}],
        "methods": methods[method],
        "labels": ["n2"],
        "training": {"steps": 1, "patch_size": [16, 16], "network": network},
    }
    jobs = planning.Jobs(parse_suite(suite)[0], None)

    def job(method: str, variant: str) -> SimpleNamespace:
        axes = {"suite": "small", "dataset": "lesions", "method": method, "variant": variant, "labels": "n2"}
        return SimpleNamespace(**axes, draw="0", fold="0", seed="0")

    baseline, mine = job("supervised", "default"), job(method, "mine")
    plain, planned = jobs.content(baseline), jobs.content(mine)
    assert len(planned.split()) == len(plain.split()) + 1
    os.utime(file, (1, 1))
    assert planning.Jobs(parse_suite(suite)[0], None).content(mine) == planned, "times do not count"
    data, split = jobs.prepared_of("lesions"), jobs.split_of("lesions")
    arguments = ["train", "--entry", "lesions", "--method", method, "--variant", "mine", "--labels", "n2"]
    arguments += [
        "--output",
        str(tmp_path / "run"),
        "--prepared",
        f"lesions={data}",
        "--split",
        str(split),
        "--planned",
        planned,
    ]
    arguments += ["--config", jobs.config(mine)]
    write(2.0)
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, TrainingError)
    now = planning.Jobs(parse_suite(suite)[0], None)
    assert now.content(mine) != planned
    assert now.content(baseline) == plain
    arguments[arguments.index(planned)] = now.content(mine)
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    record = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert record["network_weights"]["sha256"] == sha256(file)


WRONG = [5, "x", [1], {"no_such_key": 1}, True, [[]], -1]
TRAIN = ["train", "--entry", "lesions", "--method", "supervised", "--output", "run", "--config"]
SUITE = {"name": "s", "datasets": ["phantom_lesions"], "methods": ["supervised"]}


@pytest.fixture(scope="module")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a prepared and split data set."""
    folder = tmp_path_factory.mktemp("here")
    resources = ["--entry", "lesions", "--resources", str(folder / "resources")]
    config = '{"options": {"cases": 6, "size": [16, 16]}}'
    for command in ("prepare", "split"):
        done = CliRunner().invoke(app, [command, "phantom_lesions", *resources, "--config", config])
        assert done.exit_code == 0, done.output
    return folder


def told(arguments: list[str], config: object) -> None:
    """The command refuses the settings with an error of ours, which quotes no library."""
    done = CliRunner().invoke(app, [*arguments, json.dumps(config)])
    assert isinstance(done.exception, ContrastsegError), (arguments, config, done.exception)
    assert "pydantic" not in str(done.exception)
    assert "Traceback" not in done.output


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_value_of_another_kind_is_said_by_every_command(
    value: object, lesions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lesions)
    for key in ("options", "preparation"):
        told(["prepare", "phantom_lesions", "--config"], {key: value})
    told(["split", "phantom_lesions", "--entry", "lesions", "--config"], {"split": value})
    pool = {"entry": "lesions", "sources": ["lesions"], "tests": {"lesions": [0]}}
    for key in ("entry", "sources", "tests"):
        told(["pool", "--output", "p.json", "--config"], {**pool, key: value})
    for key in ("settings", "training", "stage_training"):
        told(TRAIN, {key: value})
    told(TRAIN, {"spatial_dims": value})
    for key in ("metrics", "convention", "nsd_tolerance"):
        if (key, value) != ("nsd_tolerance", 5):
            told(["score", "--prediction", "a.png", "--reference", "b.png", "--config"], {key: value})
    told(["compare", "--results", "r", "--config"], {"metrics": value})
    told(["tabulate", "--results", "r", "--config"], {"name": "main", "kind": value})
    told(["report", "--results", "r", "--config"], {"tables": value})
    for key in ("preparation", "options", "split", "training"):
        told(["plan"], {**SUITE, "datasets": [{"name": "phantom_lesions", key: value}]})


@pytest.mark.parametrize(
    ("preparation", "place"),
    [
        ({"size": "big"}, "preparation.size"),
        ({"size": [1]}, "preparation.size.1"),
        ({"intensity": "loud"}, "preparation.intensity"),
        ({"window": [3, 1]}, "low must be below high"),
        ({"superpixels": {"scale": "x"}}, "preparation.superpixels.scale"),
        ({"colour": 1}, "unknown key of preparation 'colour'"),
    ],
)
def test_the_place_of_a_wrong_rule_is_named_alike(preparation: dict[str, object], place: str) -> None:
    given = json.dumps({"preparation": preparation})
    by_hand = CliRunner().invoke(app, ["prepare", "phantom_lesions", "--config", given])
    assert place in str(by_hand.exception)
    entry = {"name": "phantom_lesions", "preparation": preparation}
    planned = CliRunner().invoke(app, ["plan", json.dumps({**SUITE, "datasets": [entry]})])
    assert place in str(planned.exception)


def test_a_key_without_a_value_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("options:\npreparation:\n")
    assert read_config(str(file), {"options": dict, "preparation": dict}) == {}


def test_what_no_command_looked_through_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Wrong(BaseModel):
        number: int

    monkeypatch.setattr(typer.Typer, "__call__", lambda *_, **__: Wrong(number="many"))
    with pytest.raises(SystemExit) as ended:
        app()
    assert ended.value.code == 1
    assert "number: " in capsys.readouterr().err


def test_garbage_is_looked_for_again_after_imports_also_where_one_fails():
    held = gc.get_freeze_count()
    with contextlib.suppress(ImportError), importing():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    assert gc.get_freeze_count() > held
