"""Runs that start from a file of weights, and runs whose encoder becomes one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.errors import CheckpointError
from contrastseg.files import sha256
from contrastseg.networks import registry
from contrastseg.training import checkpoints
from contrastseg.training.prediction import Predictor
from contrastseg.training.run import train
from tests.contracts.test_methods import weights

STILL = {"steps": 1, "optimiser": {"learning_rate": 1e-30, "weight_decay": 0}}  # what is saved is what it started from


def test_a_run_starts_from_the_encoder_of_another_and_its_record_says_so(
    phantoms: dict[int, Any], tmp_path: Path
) -> None:
    phantom = phantoms[2]
    train(phantom.config("simclr", stage="pretrain", training={"steps": 2}), tmp_path / "earlier")
    file = tmp_path / "encoder.safetensors"
    command = ["export-weights", str(tmp_path / "earlier"), "--output", str(file), "--json"]
    card = json.loads(CliRunner().invoke(app, command, catch_exceptions=False).stdout)
    assert card["sha256"] == sha256(file)
    page = file.with_suffix(".md").read_text(encoding="utf-8")
    assert "simclr" in page
    assert card["licence_of_the_data"] in page
    saved = weights(tmp_path / "earlier")
    exported = load_file(file)
    assert len(exported) == card["tensors"]
    assert all(torch.equal(value, saved[f"network.{name}"]) for name, value in exported.items())

    plain = phantom.config("mean_teacher", training=STILL)
    network = {**plain.training.network, "weights": str(file), "weights_from": {"source": "a neighbour"}}
    config = phantom.config("mean_teacher", training={**STILL, "network": network})
    notes: list[str] = []
    record = train(config, tmp_path / "later", on_note=notes.append)
    said = record["network_weights"]
    assert {key: said[key] for key in ("sha256", "source", "test_cases", "encoder_share", "missing")} == {
        "sha256": sha256(file),
        "source": "a neighbour",
        "test_cases": "stated",  # it was trained on this split's training patients
        "encoder_share": 1.0,
        "missing": [],
    }
    assert "phantom" in said["data"].lower()
    assert any(str(file) in note for note in notes)
    state = weights(tmp_path / "later")
    for name, value in exported.items():
        for module in ("network", "teacher"):  # copies that a method makes start from it, too
            torch.testing.assert_close(state[f"{module}.{name}"], value, rtol=0, atol=1e-20)
    train(plain, tmp_path / "plain")
    assert "network_weights" not in json.loads((tmp_path / "plain" / "run.json").read_text(encoding="utf-8"))
    other = weights(tmp_path / "plain")
    assert any(not torch.equal(other[f"network.{name}"], value) for name, value in exported.items())

    file.unlink()  # a trained run needs it no more
    predictor = Predictor(tmp_path / "later" / "checkpoints" / "last.ckpt", "cpu")
    predictor.close()
    with pytest.raises(CheckpointError, match="missing"):
        train(config, tmp_path / "again")


def test_maps_of_an_exported_encoder_are_the_runs_to_the_bit(phantoms: dict[int, Any], tmp_path: Path) -> None:
    from contrastseg.networks.weight_files import load_weights, read_weights

    network = {"name": "monai", "model": "SegResNet"}
    config = phantoms[2].config("supervised", training={"steps": 2, "network": network})
    train(config, tmp_path / "run")
    file = tmp_path / "encoder.safetensors"
    CliRunner().invoke(app, ["export-weights", str(tmp_path / "run"), "--output", str(file)], catch_exceptions=False)
    one, two = (registry.build(network, spatial_dims=2, in_channels=3, num_classes=2).eval() for _ in range(2))
    content = checkpoints.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["modules"]
    one.load_state_dict({key.removeprefix("network."): value for key, value in content.items()})
    load_weights(two, read_weights(file)[0], file)
    images = torch.randn(1, 3, 32, 32)
    assert all(torch.equal(value, two.encode(images)[key]) for key, value in one.encode(images).items())


def test_what_has_no_encoder_to_export_is_refused(tmp_path: Path) -> None:
    for run, output in ((tmp_path, "encoder.safetensors"), (tmp_path, "encoder.pt")):
        done = CliRunner().invoke(app, ["export-weights", str(run), "--output", str(tmp_path / output)])
        assert done.exit_code != 0
        assert isinstance(done.exception, CheckpointError)
        assert done.exception.remedy
