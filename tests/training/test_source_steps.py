"""Whole steps under recipes and those of the sources: same weights, same batch, the same loss, gradients and weights.

Each reference is written from the named lines; nothing of that code is here. Augmentation is what it is in both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.methods.contract import Batch, Method
from contrastseg.suite.recipes import load_recipe
from contrastseg.training.assembly import build_method, stage_training
from contrastseg.training.loop import learning_rate
from contrastseg.training.optimiser import build_optimiser
from contrastseg.training.settings import RunConfig
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.steps import MethodStep, Steps
from tests.device_steps import batches_of
from tests.recipe_settings import recipe_training

CPU = torch.device("cpu")
Reference = Callable[[Mapping[str, nn.Module], Batch, int], Tensor]


@dataclass
class Apart:
    """How far ours is from the reference.

    Attributes:
        loss: Relative to the loss.
        gradient: Largest norm of a parameter's difference, relative to the largest norm of a parameter's gradient.
        weights: Largest difference of a weight after the step; Adam makes much of the sign of a gradient near 0.
    """

    loss: float
    gradient: float
    weights: float


def gradients(modules: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in modules.named_parameters() if p.grad is not None}


def step_beside(
    config: RunConfig, step: int, reference: Reference, prepare: Callable[[Method], None] = lambda method: None
) -> Apart:
    """Take one step of ours and one of the reference, from the same weights, batch and random numbers.

    There are two classes, as in the sources: the first structure and all else.
    """
    dataset, training = PreparedDataset(config.data), stage_training(config)
    torch.manual_seed(7)
    method = build_method(config, dataset.in_channels, 2)
    prepare(method)
    method.modules.train()
    theirs = copy.deepcopy(method.modules)
    drawn = batches_of(config, "host", CPU)(step)
    batch = {view: replace(x, label=None if x.label is None else (x.label == 1).long()) for view, x in drawn.items()}
    device = SingleDevice("cpu", "32-true")
    optimiser = build_optimiser(list(method.modules.parameters()), training.optimiser)
    module, optimiser = device.setup(MethodStep(method), optimiser)
    take = Steps(module, optimiser, training, device, lambda step: step, rate_on_device=False)
    loss = float(take(batch, step, learning_rate(step, training.length, training.optimiser)).loss)
    method.after_step(step)

    torch.manual_seed(step)
    expected = float(reference(theirs, batch, step).detach())
    ours, other = gradients(method.modules), gradients(theirs)
    assert ours.keys() == other.keys()
    largest = max(float(g.norm()) for g in other.values())
    weights = dict(theirs.named_parameters())
    return Apart(
        abs(loss - expected) / abs(expected),
        max(float((ours[name] - g).norm()) for name, g in other.items()) / largest,
        max(float((p - weights[name]).detach().abs().max()) for name, p in method.modules.named_parameters()),
    )


def method_settings(recipe: str, method: str) -> dict[str, Any]:
    """What a source says of a method's own settings."""
    stated = load_recipe(recipe).methods[method]
    return {
        key.removeprefix("settings."): value.value
        for key, value in stated.items()
        if key.startswith("settings.") and value.known and not value.missing
    }


# UA-MT on the left atrium: yulequan/UA-MT 88ed29a, code/train_LA_meanteacher_certainty_unlabel.py:144-182, its
# utils/losses.py:5-13 and utils/ramps.py.
UAMT_STEP = 3000  # a multiple of 150, since its weight rises once in 150 steps; the rate is 0.001 there


def uamt_config(phantoms: dict[int, Any], method: str, **settings: Any) -> RunConfig:
    training = recipe_training("uamt_la", method)
    small: dict[str, Any] = {"patch_size": [16, 32, 32], "accelerator": "cpu", "precision": "32-true", "overlap": 0.5}
    small["network"] = {**training["network"], "width": 4}
    chosen = {**method_settings("uamt_la", method), **settings}
    config: RunConfig = phantoms[3].config(method, training={**training, **small}, settings=chosen)
    assert config.training.length == 6000
    return config


def unlike_the_student(method: Method) -> None:
    """A teacher with weights of its own, as after many steps."""
    with torch.no_grad():
        for parameter in method.modules["teacher"].parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def ramp(now: float, length: float) -> float:
    phase = 1.0 - min(max(now, 0.0), length) / length
    return float(torch.exp(torch.tensor(-5.0 * phase * phase, dtype=torch.float64)))


def reference_uamt(modules: Mapping[str, nn.Module], batch: Batch, step: int) -> Tensor:
    student, teacher = modules["network"], modules["teacher"]
    optimiser = torch.optim.SGD(student.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0001)
    labels, unlabelled = batch["labelled"].label, batch["clean"].image
    assert labels is not None
    outputs = student(torch.cat([batch["labelled"].image, unlabelled]))
    with torch.no_grad():
        target = teacher(batch["teacher"].image)
        passes, count = 8, len(unlabelled)
        twice = unlabelled.repeat(2, 1, 1, 1, 1)
        noisy = [teacher(twice + (torch.randn_like(twice) * 0.1).clamp(-0.2, 0.2)) for _ in range(passes // 2)]
        mean = torch.cat(noisy).softmax(1).reshape(passes, count, 2, *unlabelled.shape[2:]).mean(0)
        uncertainty = -(mean * (mean + 1e-6).log()).sum(1, keepdim=True)
        mask = (uncertainty < (0.75 + 0.25 * ramp(step, 6000)) * 0.6931471805599453).float()
    assert 0.02 < mask.mean() < 0.98
    score, truth = outputs[:2].softmax(1)[:, 1], (labels == 1).float()
    dice = 1 - (2 * (score * truth).sum() + 1e-5) / ((score * score).sum() + (truth * truth).sum() + 1e-5)
    squares = (outputs[2:].softmax(1) - target.softmax(1)) ** 2
    consistency = (mask * squares).sum() / (2 * mask.sum() + 1e-16)
    weight = 0.1 * ramp(step // 150, 40)
    loss = 0.5 * (F.cross_entropy(outputs[:2], labels) + dice) + weight * consistency
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    for average, parameter in zip(teacher.parameters(), student.parameters(), strict=True):
        average.data.mul_(0.99).add_(parameter.data, alpha=1 - 0.99)
    return loss


def test_a_step_of_ua_mt_is_the_sources(phantoms: dict[int, Any]) -> None:
    """Dropout is on in both: the passes draw the same numbers in the same order."""
    apart = step_beside(uamt_config(phantoms, "ua_mt"), UAMT_STEP, reference_uamt, unlike_the_student)
    assert apart.loss < 1e-5
    assert apart.gradient < 1e-4
    assert apart.weights < 1e-6


# PDCR and UAFR in 2D: lzh19961031/PDCR_UAFR-MIS 1d59c53, 2D/utils/loss_utils.py:33-66, 2D/criterions/bcl.py:34-75,
# decoder_bcl_rf.py and multi_layer_cl.py likewise, 2D/models/sample_by_rf.py:76-101 for the shares, and
# 2D/models/backbones/get_uncertainty_att.py. Affinity and divergence are the paper's way round.
SITES = ["encoder1", "encoder2", "low_level", "decoder2"]
# The released source has no guard, and its weights are of a sum over the images of one process.
SOURCE = {"guard": "none", "encoder_weight": 0.1, "decoder_weight": 0.01, "cross_weight": 0.01}
PDCR = {"encoder_maps": ["encoder1", "encoder2"], "swapped_sign": False, **SOURCE}
BLOCKS = {"sites": SITES}


def pdcr_config(phantoms: dict[int, Any], method: str, **settings: Any) -> RunConfig:
    """The recipe with a small ResNet, whose maps have the strides of the Xception's that the release looks into."""
    training = recipe_training("pdcr_2d")
    training.pop("epochs")  # one step is taken
    training["optimiser"].pop("warmup_epochs")
    small: dict[str, Any] = {"patch_size": [64, 64], "batch_size": 2, "accelerator": "cpu", "precision": "32-true"}
    small |= {"steps": 4200, "validate_every": 0}
    small["network"] = {**training["network"], "encoder": "resnet18", "weights": "none", "width": 16}
    chosen = {**method_settings("pdcr_2d", method), **settings}
    config: RunConfig = phantoms[2].config(method, training={**training, **small}, settings=chosen)
    return config


def shares(label: Tensor, rows: Tensor) -> Tensor:
    """Share of the lesion in the patches of sides 5, 7 and 9, (B, 3, N); `int` cuts towards 0, as there."""
    found = torch.zeros(len(label), 3, len(rows))
    for b in range(len(label)):
        for k, side in enumerate((5, 7, 9)):
            for i, (y, x) in enumerate((rows + 1).tolist()):
                top, left = int(y - side / 2), int(x - side / 2)
                assert min(top, left) >= 0, "there the release would count from the other end"
                found[b, k, i] = label[b, top : int(y + side / 2), left : int(x + side / 2)].float().mean()
    return found


def points_of(extent: int, stride: int, counts: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Units at the centres of a grid's cells, and the pixels they stand for: ours, not the release's."""
    axes = [(torch.arange(count) * 2 + 1) * extent // (2 * count) for count in counts]
    units = torch.cartesian_prod(*axes)
    return units, units * stride + stride // 2


def pdcr_term(rows: Tensor, columns: Tensor, label: Tensor, stride: int, counts: tuple[int, int]) -> Tensor:
    units, pixels = points_of(rows.shape[2], stride, counts)
    a, b = (x[:, :, units[:, 0], units[:, 1]] for x in (rows, columns))
    ratio, total = shares(label, pixels), torch.zeros(())
    for k in range(3):
        similarity = F.cosine_similarity(a.unsqueeze(3), b.unsqueeze(2), dim=1) / 1.0
        similarity = similarity - similarity.max()
        apart = (ratio[:, k].unsqueeze(1) - ratio[:, k].unsqueeze(2)).abs()
        attraction, repulsion = torch.exp(similarity * (1 - apart)), torch.exp(similarity * apart)
        total = total - (attraction / repulsion.sum(2, keepdim=True)).log().sum()
    return total / 3


def reference_pdcr(modules: Mapping[str, nn.Module], batch: Batch, step: int) -> Tensor:
    network, image, label = modules["network"], batch["labelled"].image, batch["labelled"].label
    assert label is not None
    f = network.features(image)
    loss = F.cross_entropy(network.classify(f), label, weight=torch.ones(2))
    loss = loss + 0.1 * pdcr_term(f["encoder1"], f["encoder1"], label, 2, (8, 8))
    loss = loss + 0.1 * pdcr_term(f["encoder2"], f["encoder2"], label, 4, (8, 4))
    loss = loss + 0.01 * pdcr_term(f["low_level"], f["low_level"], label, 4, (8, 4))
    loss = loss + 0.01 * pdcr_term(f["decoder1"], f["decoder1"], label, 4, (4, 2))
    fine, coarse = modules["fine_adapter"](f["encoder1"]), modules["coarse_adapter"](f["encoder2"])
    loss = loss + 0.01 * pdcr_term(fine, coarse, label, 16, (4, 4))
    loss.backward()
    return loss


def test_a_step_of_pdcr_is_the_sources_with_its_sign_corrected(phantoms: dict[int, Any]) -> None:
    apart = step_beside(pdcr_config(phantoms, "pdcr", **PDCR), 0, reference_pdcr)
    assert apart.loss < 1e-5
    assert apart.gradient < 1e-4


class ReferenceBlock(nn.Module):
    """x + x (1 − U) as `get_uncertainty_att` computes it, with the weights of ours and the head of that place."""

    def __init__(self, head: nn.Sequential, dropout: float) -> None:
        super().__init__()
        self.head, self.dropout = head, dropout

    def forward(self, x: Tensor) -> Tensor:
        first, norm, last = (dict(self.head[i].named_parameters()) for i in (0, 1, -1))
        hidden = F.conv2d(x, first["weight"], padding=1)
        hidden = F.relu(F.batch_norm(hidden, None, None, norm["weight"], norm["bias"], training=True))
        if self.dropout:
            hidden = F.dropout(hidden, self.dropout)
        p = F.conv2d(hidden, last["weight"], last["bias"]).softmax(1)
        entropy = (-(p * (p + 1e-20).log()) / torch.tensor(2.0).log()).sum(1)
        return x + x * (1 - entropy).unsqueeze(1)


def reference_uafr(modules: Mapping[str, nn.Module], batch: Batch, step: int) -> Tensor:
    network, label = modules["network"], batch["labelled"].label
    assert label is not None
    blocks = network.attachments
    assert list(blocks) == SITES  # type: ignore[arg-type]
    for site in SITES:
        blocks[site] = ReferenceBlock(blocks[site].head, 0.0 if site.startswith("encoder") else 0.1)  # type: ignore[index, union-attr, operator]
    loss = F.cross_entropy(network(batch["labelled"].image), label, weight=torch.ones(2))
    loss.backward()
    return loss


def test_a_step_of_uafr_is_the_sources(phantoms: dict[int, Any]) -> None:
    apart = step_beside(pdcr_config(phantoms, "uafr", **BLOCKS), 0, reference_uafr)
    assert apart.loss < 1e-5
    assert apart.gradient < 1e-4


@pytest.mark.long
@pytest.mark.parametrize(
    ("config", "method", "settings", "step", "reference"),
    [
        (uamt_config, "ua_mt", {"passes_at_once": 1}, UAMT_STEP, reference_uamt),
        (pdcr_config, "pdcr", {**PDCR, "swapped_sign": True}, 0, reference_pdcr),
        (pdcr_config, "uafr", {**BLOCKS, "dropout": 0.0}, 0, reference_uafr),
    ],
    ids=["one pass at a time", "the released sign", "no dropout in the blocks"],
)
def test_another_setting_is_another_step(
    config: Any, method: str, settings: dict[str, Any], step: int, reference: Reference, phantoms: dict[int, Any]
) -> None:
    prepare = unlike_the_student if method == "ua_mt" else lambda method: None
    apart = step_beside(config(phantoms, method, **settings), step, reference, prepare)
    assert apart.gradient > 1e-3
