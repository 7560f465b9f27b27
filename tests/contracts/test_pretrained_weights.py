"""Pre-trained weights really arrive: what a stage starts from is what the stage before it saved, for every method."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.methods import registry
from contrastseg.methods.contract import Stage
from contrastseg.training import checkpoints
from contrastseg.training.assembly import build_method
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig
from tests.contracts.test_methods import CASES, is_like_the_other, phantom_for, quick_config, weights

STAGED = [
    pytest.param(name, dims, marks=[pytest.mark.long] if is_like_the_other(name, dims) else [])
    for name, dims in CASES
    if any(stage.init_from for stage in registry.get(name).stages)
]
# So small a step that no weight moves: what the run saves is what it started from.
STILL = {"steps": 1, "optimiser": {"learning_rate": 1e-30, "weight_decay": 0}}


def fresh(config: RunConfig) -> torch.nn.Module:
    """A stage's modules as they are initialised, before it takes anything over."""
    dataset = PreparedDataset(config.data)
    return build_method(config, dataset.in_channels, dataset.num_classes).modules


def taken(stage: Stage, state: dict[str, torch.Tensor]) -> dict[str, list[str]]:
    """By earlier stage, the names in `state` of the weights that come from it; counters of batches are none."""
    return {
        item.stage: [
            key
            for key, value in state.items()
            if key.startswith(tuple(f"{module}." for module in item.modules)) and value.is_floating_point()
        ]
        for item in stage.init_from
    }


def first_loss(folder: Path) -> float:
    with open(folder / "log.csv", newline="") as file:
        return float(next(csv.DictReader(file))["loss"])


def as_if_untrained(config: RunConfig, stage: Stage, folder: Path) -> RunConfig:
    """The stage with its own initial weights in place of those it would take over."""
    state = fresh(config).state_dict()
    initial = {}
    for item in stage.init_from:
        initial[item.stage] = str(folder / f"{item.stage}.ckpt")
        checkpoints.save(initial[item.stage], {"modules": state, "config": {}})
    return config.model_copy(update={"initial": initial})


@pytest.mark.parametrize(("name", "dims"), STAGED)
def test_a_stage_starts_from_what_the_earlier_one_learnt(
    name: str, dims: int, phantoms: dict[int, Any], tmp_path: Path
) -> None:
    phantom = phantom_for(name, dims, phantoms)
    config = quick_config(name, phantom, dims, steps=3)
    saved: dict[str, dict[str, torch.Tensor]] = {}
    paths: dict[str, str] = {}
    for stage in registry.get(name).stages:
        asked = {"stage": stage.name, "initial": {item.stage: paths[item.stage] for item in stage.init_from}}
        here = config.model_copy(update=asked)
        untouched = fresh(here)
        initial, parameters = untouched.state_dict(), dict(untouched.named_parameters())
        if stage.init_from:
            still = here.model_copy(update={"stage_training": STILL})
            train(still, tmp_path / "still" / stage.name)
            started = weights(tmp_path / "still" / stage.name)
            for source, names in taken(stage, started).items():
                assert names, f"{stage.name} takes nothing over from {source}"
                for key in set(names) & set(parameters):
                    # Not quite equal: the step that is too small for any weight moves a bias that is 0.
                    torch.testing.assert_close(started[key], saved[source][key], rtol=0, atol=1e-20, msg=key)
                # Biases and norms may start alike and stay alike in few steps; the weights of a layer may not.
                layers = [key for key in names if key in parameters and started[key].ndim > 1]
                assert layers
                assert not [key for key in layers if torch.equal(started[key], initial[key])]
            untrained = as_if_untrained(still, stage, tmp_path)
            train(untrained, tmp_path / "untrained" / stage.name)
            losses = [first_loss(tmp_path / start / stage.name) for start in ("still", "untrained")]
            assert losses[0] != losses[1]
        train(here, tmp_path / stage.name)
        saved[stage.name] = weights(tmp_path / stage.name)
        paths[stage.name] = str(tmp_path / stage.name / "checkpoints" / "last.ckpt")
        learnt = {key for key in parameters if not torch.equal(saved[stage.name][key], initial[key])}
        for later in registry.get(name).stages:
            for module in [module for item in later.init_from if item.stage == stage.name for module in item.modules]:
                assert any(key.startswith(f"{module}.") for key in learnt), f"{stage.name} leaves {module} as it was"
