"""Every method takes the suite's loss wherever it has labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.losses import segmentation
from contrastseg.methods import registry
from contrastseg.training.assembly import build_method
from tests.device_steps import METHODS, batches_of, configured

ASKED = {"loss": "dice", "combine": "sum", "background": True, "squared": True, "per_image": True}
CONTRASTS = {("lrc_supervised", "local"), ("semantic_aware", "contrast")}
"""Stages that read labels to contrast regions by them, and segment nothing."""
OWN_LOSS = {"admt", "cross_teaching", "unimatch"}
"""Methods whose sources have a loss of their own on what a network, not a person, labelled."""


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        (name, stage.name)
        for name in METHODS
        for stage in registry.get(name).stages
        if stage.data != "unlabelled" and (name, stage.name) not in CONTRASTS
    ],
)
def test_a_method_takes_it(name: str, stage: str, phantoms: dict[int, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    config = configured(name, stage, 2, phantoms)
    training = config.training.model_copy(
        update={"segmentation": config.training.segmentation.model_copy(update=ASKED)}
    )
    config = config.model_copy(update={"training": training})
    dataset = PreparedDataset(config.data)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    batch = batches_of(config, "host", torch.device("cpu"))(0)
    true = [sample.label for sample in batch.values() if sample.label is not None]
    actual, given, given_truth = segmentation.segmentation_loss, [], []

    def watched(logits: torch.Tensor, label: torch.Tensor, **settings: Any) -> torch.Tensor:
        given.append(settings)
        if any(label.shape == one.shape and torch.equal(label, one) for one in true):
            given_truth.append(settings)
        return actual(logits, label, **settings)

    monkeypatch.setattr(segmentation, "segmentation_loss", watched)
    monkeypatch.setattr(segmentation, "dice_ce_loss", None)
    if name not in OWN_LOSS:
        monkeypatch.setattr(segmentation, "soft_dice_loss", None)
    terms = method.training_step(batch, 0)
    asked = given_truth if name in OWN_LOSS else given
    assert asked
    assert all(settings == ASKED for settings in asked)
    assert all(torch.isfinite(term) for term in terms.values())
