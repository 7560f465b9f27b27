"""A file of weights as a method: where it starts, what its record says, and that it is refused without a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.errors import CheckpointError, SuiteError
from contrastseg.files import sha256
from contrastseg.methods import registry
from contrastseg.networks.weight_files import read_weights
from contrastseg.suite import parse_suite
from contrastseg.training.run import train
from contrastseg.training.starting_weights import CARD
from tests.contracts.test_methods import equal, weights

SUITE: dict[str, Any] = {"name": "small", "datasets": ["phantom_lesions"], "labels": ["n2"]}
BASELINE = {"name": "supervised"}


def test_it_is_supervised_from_the_file_to_the_bit_and_its_record_has_what_is_stated(
    phantoms: dict[int, Any], tmp_path: Path
) -> None:
    phantom = phantoms[2]
    budget = {"steps": 2, "patch_size": [32, 32]}
    plain = phantom.config("supervised", training=budget)
    file = phantom.weights(plain.training.network)
    stated = {"source": "a hub", "data": "CT of adults", "test_cases": "stated"}
    record = train(phantom.config("pretrained", training=budget, settings=stated), tmp_path / "pretrained")
    said = record["network_weights"]
    assert {key: said[key] for key in ("file", "sha256", *stated)} == {
        **{"file": str(file), "sha256": sha256(file)},
        **stated,
    }
    network = {**plain.training.network, "weights": str(file)}
    train(phantom.config("supervised", training={**budget, "network": network}), tmp_path / "same")
    train(plain, tmp_path / "random")
    found = [weights(tmp_path / name) for name in ("pretrained", "same", "random")]
    assert equal(found[0], found[1])
    assert not equal(found[0], found[2])


def test_nothing_is_taken_over_from_what_is_stated_of_the_suites_file(phantoms: dict[int, Any], tmp_path: Path) -> None:
    """The suite's network has a file for every method; this method's own replaces it with all that is said of it."""
    phantom = phantoms[2]
    network = phantom.config("supervised").training.network
    of_suite = {"weights": "elsewhere.pt", "weights_map": {"prefix": "module."}}
    of_suite["weights_from"] = {"source": "another hub", "data": "other images", "test_cases": "stated"}
    settings = {"weights": str(phantom.weights(network))}
    budget = {"steps": 1, "network": {**network, **of_suite}}
    said = train(phantom.config("pretrained", training=budget, settings=settings), tmp_path)["network_weights"]
    assert (said["source"], said["data"], said["test_cases"]) == ("", "", "unknown")
    assert said["encoder_share"] == 1


@pytest.mark.parametrize("settings", [{}, {"weights": 3}, {"weights": "none"}, {"weights": "imagenet"}])
def test_a_suite_that_names_no_file_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SuiteError, match="pretrained") as caught:
        parse_suite({**SUITE, "methods": ["supervised", {"name": "pretrained", "settings": settings}]})
    assert "weights" in str(caught.value.remedy)


def test_variants_of_a_suite_are_files() -> None:
    files = {"one": {"weights": "one.safetensors"}, "two": {"weights": "two.pt", "prefix": "module."}}
    suite, _ = parse_suite({**SUITE, "methods": ["supervised", {"name": "pretrained", "variants": files}]})
    entry, method = suite.entry("phantom_lesions"), suite.method("pretrained")
    networks = [suite.stage_training(entry, method, name, "train").network for name in files]
    assert [each["weights"] for each in networks] == ["one.safetensors", "two.pt"]
    assert [each["weights_map"] for each in networks] == ["auto", {"prefix": "module."}]
    baseline = suite.stage_training(entry, suite.method("supervised"), "default", "train").network
    assert "weights" not in baseline


def test_a_file_of_another_network_is_refused(phantoms: dict[int, Any], tmp_path: Path) -> None:
    settings = {"weights": str(phantoms[2].weights({"name": "unet", "channels": [4, 8]}))}
    with pytest.raises(CheckpointError, match="under 80%"):
        train(phantoms[2].config("pretrained", settings=settings), tmp_path)


def test_every_stage_is_train() -> None:
    assert [stage.name for stage in registry.get("pretrained").stages] == ["train"]


@pytest.mark.parametrize(("test_cases", "known"), [("unknown", False), ("stated", True)])
def test_what_is_exported_of_it_states_no_more_of_test_cases_than_its_file(
    test_cases: str, known: bool, phantoms: dict[int, Any], tmp_path: Path
) -> None:
    phantom = phantoms[2]
    settings = {"data": "CT of adults", "test_cases": test_cases}
    train(phantom.config("pretrained", training={"steps": 1}, settings=settings), tmp_path / "first")
    file = tmp_path / "encoder.safetensors"
    command = ["export-weights", str(tmp_path / "first"), "--output", str(file)]
    CliRunner().invoke(app, command, catch_exceptions=False)
    assert "CT of adults" in read_weights(file)[1][CARD]
    again = train(
        phantom.config("pretrained", training={"steps": 1}, settings={"weights": str(file)}), tmp_path / "second"
    )
    assert (again["network_weights"]["test_cases"] == "stated") is known
    exported, first = load_file(file), weights(tmp_path / "first")
    assert all(torch.equal(value, first[f"network.{name}"]) for name, value in exported.items())
