"""Every method's and stage's batches and steps on any device: a GPU, or one that only pretends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.methods import registry
from contrastseg.methods.contract import Circumstances
from contrastseg.training.assembly import stage_training
from contrastseg.training.batches import Batches, Source
from contrastseg.training.settings import RunConfig
from contrastseg.training.storage import Residency, Storage
from contrastseg.training.training_cases import own_cases

METHODS = [name for name in registry.names() if registry.get(name).engine is None]
# In 3D the same code runs on one axis more: those are long tests.
STAGES = [
    pytest.param(name, stage.name, dims, marks=[pytest.mark.long] if dims == 3 else [])
    for name in METHODS
    for stage in registry.get(name).stages
    for dims in registry.get(name).spatial_dims
]

# Where a step may wait, and why. Everything else is a fault.
ALLOWED = {
    "semantic_aware.py:_queries": "how many patches there are hangs on the organs found; more would change batch norm",
    "semantic_aware.py:predict": "organs that were not found are not looked at closer",
    "semantic_aware.py:_coarse_logits": "siblings that have not been trained have no say",
}


def configured(name: str, stage: str, dims: int, phantoms: dict[int, Any], batch_size: int = 2) -> RunConfig:
    """A method's stage on a phantom on which the method applies."""
    phantom = phantoms[dims]
    if dims == 2 and registry.get(name).applies_to(Circumstances(2, 0.5, False, 3)) is not None:
        phantom = replace(phantoms[3], spatial_dims=2)
    config: RunConfig = phantom.config(name, stage=stage, training={"batch_size": batch_size})
    return config


def batches_of(config: RunConfig, residency: Residency, device: torch.device) -> Batches:
    """The batches of a run, as training makes them."""
    dataset, split = PreparedDataset(config.data), Split.from_file(config.split)
    training = stage_training(config)
    views = registry.get(config.method).stage(config.stage).views
    cases = own_cases(config, dataset, split)
    sources = {}
    for name in sorted({view.source for view in views.values()}):
        storage = Storage(
            dataset,
            cases[name][0][1],
            with_labels=name == "labelled",
            spatial_dims=config.spatial_dims,
            device=device,
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
