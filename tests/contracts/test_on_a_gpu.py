"""Every method and stage on a GPU that pretends: nothing of the CPU beside the device's, few launches, no waiting."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from contrastseg.data.cases import PreparedDataset
from contrastseg.data.split_files import Split
from contrastseg.methods import registry
from contrastseg.methods.contract import Circumstances, Method
from contrastseg.training.assembly import build_method, stage_training
from contrastseg.training.batches import Batches, Source
from contrastseg.training.inference import case_logits
from contrastseg.training.material import own_material
from contrastseg.training.settings import RunConfig
from contrastseg.training.storage import Residency, Storage
from tests.pretended import DEVICE, Counts, Mismatch, OnDevice, move, pretended

METHODS = [name for name in registry.names() if registry.get(name).engine is None]
STAGES = [
    (name, stage.name, dims)
    for name in METHODS
    for stage in registry.get(name).stages
    for dims in registry.get(name).spatial_dims
]

# What a step may wait for, and why. Everything else is a fault.
ALLOWED: dict[tuple[str, str], dict[tuple[str, str], str]] = {}


def configured(name: str, stage: str, dims: int, phantoms: dict[int, Any], batch_size: int = 2) -> RunConfig:
    phantom = phantoms[dims]
    if dims == 2 and registry.get(name).applies_to(Circumstances(2, 0.5, False, 3)) is not None:
        phantom = replace(phantoms[3], spatial_dims=2)
    config: RunConfig = phantom.config(name, stage=stage, training={"batch_size": batch_size})
    return config


def batches_of(config: RunConfig, residency: Residency) -> Batches:
    dataset, split = PreparedDataset(config.data), Split.from_file(config.split)
    training = stage_training(config)
    views = registry.get(config.method).stage(config.stage).views
    material = own_material(config, dataset, split)
    sources = {}
    for name in sorted({view.source for view in views.values()}):
        storage = Storage(
            dataset,
            material[name][0][1],
            with_labels=name == "labelled",
            spatial_dims=config.spatial_dims,
            device=DEVICE,
            residency=residency,
            with_superpixels=any(view.superpixels for view in views.values() if view.source == name),
        )
        sources[name] = Source(
            name,
            storage,
            training.batch_size,
            training.patch_size,
            config.seed,
            training.augmentation,
            training.foreground_fraction,
        )
    return Batches(sources, views)


def built(config: RunConfig) -> Method:
    dataset = PreparedDataset(config.data)
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    move(method.modules)
    return method


@pytest.mark.parametrize(("name", "stage", "dims"), STAGES)
def test_a_step(name: str, stage: str, dims: int, phantoms: dict[int, Any]) -> None:
    config = configured(name, stage, dims, phantoms)
    with pretended() as counts:
        method, batches = built(config), batches_of(config, "device")
        method.modules.train()
        for step in range(2):  # the first fills what is made once
            counts.clear()
            batch = batches(step)
            looks = {(view.source, view.geometry, view.intensity) for view in batches.views.values()}
            assert not counts.waits
            assert counts.sent == len(looks)
            made = counts.launches.total()
            counts.clear()
            terms = method.training_step(batch, step)
            method.after_step(step)
        assert all(isinstance(term, OnDevice) for term in terms.values())
        waits = set(counts.waits)
    print("WAITS", name, stage, dims, "batch", made, "looks", len(looks), "sent", counts.sent, dict(counts.waits), counts.launches.total())
    assert waits <= ALLOWED.get((name, stage), {}).keys()
