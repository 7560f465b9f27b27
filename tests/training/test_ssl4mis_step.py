"""A step under the recipe of SSL4MIS and one of its `train_fully_supervised_2D.py`: the same loss, the same weights.

The reference below is written from that script (commit 06df604, lines 91-121) and its `utils/losses.py`.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.training.assembly import build_method, stage_training
from contrastseg.training.loop import learning_rate
from contrastseg.training.optimiser import build_optimiser
from contrastseg.training.settings import RunConfig
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.steps import MethodStep, Steps
from tests.device_steps import batches_of
from tests.recipe_settings import recipe_training

CPU = torch.device("cpu")
STEPS = 3


def configured(phantoms: dict[int, Any], **changes: Any) -> RunConfig:
    """The recipe on small slices of phantoms, with a quarter of the channels and without dropout."""
    training = recipe_training("ssl4mis_acdc", "supervised")
    assert training["network"].pop("dropout") == [0.05, 0.1, 0.2, 0.3, 0.5]
    training["network"]["channels"] = [width // 4 for width in training["network"]["channels"]]
    small = {"patch_size": [32, 32], "batch_size": 4, "accelerator": "cpu", "precision": "32-true", **changes}
    config: RunConfig = replace(phantoms[3], spatial_dims=2).config("supervised", training={**training, **small})
    return config


def dice_of_all_classes(probabilities: Tensor, label: Tensor, classes: int) -> Tensor:
    loss = torch.zeros(())
    for k in range(classes):
        score, target = probabilities[:, k], (label == k).float()
        intersect, squares = (score * target).sum(), (score * score).sum() + (target * target).sum()
        loss = loss + 1 - (2 * intersect + 1e-5) / (squares + 1e-5)
    return loss / classes


def reference(network: nn.Module, batches: list[tuple[Tensor, Tensor]], classes: int, length: int) -> list[float]:
    """Its loop: the rate is set after a step, so that the second step has the first one's."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=0.0001)
    losses = []
    for number, (images, label) in enumerate(batches):
        outputs = network(images)
        loss = 0.5 * (dice_of_all_classes(outputs.softmax(1), label, classes) + F.cross_entropy(outputs, label))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * (1.0 - number / length) ** 0.9
        losses.append(float(loss.detach()))
    return losses


def both(config: RunConfig) -> tuple[list[float], list[float], float]:
    """Losses of ours and of theirs, and how far apart any two weights are in the end."""
    dataset, training = PreparedDataset(config.data), stage_training(config)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    method.modules.train()
    theirs = copy.deepcopy(method.modules["network"])
    device = SingleDevice("cpu", "32-true")
    optimiser = build_optimiser(list(method.modules.parameters()), training.optimiser)
    module, optimiser = device.setup(MethodStep(method), optimiser)
    take = Steps(module, optimiser, training, device, lambda step: step, rate_on_device=False)
    batches = [batches_of(config, "host", CPU)(step) for step in range(STEPS)]
    ours = [
        float(take(batch, step, learning_rate(step, training.length, training.optimiser)).loss)
        for step, batch in enumerate(batches)
    ]
    pairs = [(batch["labelled"].image, batch["labelled"].label) for batch in batches]
    losses = reference(theirs, pairs, dataset.num_classes, training.length)  # type: ignore[arg-type]
    weights = theirs.state_dict()
    apart = max(
        float((value.float() - weights[name].float()).abs().max())
        for name, value in method.modules["network"].state_dict().items()
    )
    return ours, losses, apart


def test_steps_under_the_recipe_are_those_of_the_source(phantoms: dict[int, Any]) -> None:
    config = configured(phantoms)
    assert config.training.length == 30000
    ours, theirs, apart = both(config)
    assert ours == pytest.approx(theirs, abs=1e-5)
    assert apart < 1e-5


@pytest.mark.parametrize(
    "change",
    [
        {"optimiser": {"name": "sgd", "learning_rate": 0.01, "clip_norm": None}},
        {"optimiser": {"name": "sgd", "learning_rate": 0.01, "nesterov": False, "clip_norm": 0.1}},
    ],
    ids=["Nesterov", "clipped"],
)
def test_another_setting_is_another_step(phantoms: dict[int, Any], change: dict[str, Any]) -> None:
    narrow = {"network": {**recipe_training("ssl4mis_acdc")["network"], "channels": [4] * 5, "dropout": [0] * 5}}
    ours, theirs, apart = both(configured(phantoms, **narrow, **change))
    assert apart > 1e-5
    assert ours != pytest.approx(theirs, abs=1e-5)
