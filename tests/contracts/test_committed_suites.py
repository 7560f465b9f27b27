"""Every method of every committed suite can be built with that network and patch, before anything is trained."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg import planning
from contrastseg.methods import registry
from contrastseg.networks.decoders import without_encoder
from contrastseg.networks.features import FeatureNetwork
from contrastseg.suite import load_suite
from contrastseg.training import assembly
from contrastseg.training.settings import RunConfig

SUITES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.yaml"))

LONG = ("networks",)  # six networks a method


@pytest.fixture(scope="module", autouse=True)
def networks_built_once() -> Iterator[None]:
    """Every form of a network is built once: what methods look for is in it however often they ask.

    Each gets a copy of its outermost module, so that what it attaches or takes out is its own.
    """

    @functools.cache
    def built(asked: str) -> FeatureNetwork:
        return build(**json.loads(asked))

    def shared(settings: Any, **options: Any) -> FeatureNetwork:
        network = copy.copy(built(json.dumps({"settings": settings, **options})))
        network._modules = dict(network._modules)
        network.attachments = torch.nn.ModuleDict()
        return network

    build = assembly.build
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, "build", shared)
        yield


def test_what_a_method_changes_in_a_network_is_whole_for_the_next() -> None:
    def build() -> FeatureNetwork:
        return assembly.build({"name": "unet", "channels": [4, 8]}, spatial_dims=2, in_channels=1, num_classes=3)

    first = without_encoder(build())
    first.attach("decoder0", torch.nn.Conv2d(4, 4, 1))
    second = build()
    assert list(first.encoder.parameters()) == []
    assert len(list(second.encoder.parameters())) > 0
    assert len(second.attachments) == 0


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.long] if path.stem in LONG else [], id=path.stem) for path in SUITES],
)
def test_networks_have_what_the_methods_look_for(path: Path) -> None:
    suite, seen = load_suite(path), set()
    for entry in suite.datasets:
        for item in suite.methods:
            method = registry.get(item.name)
            if not entry.evaluate_on or method.engine is not None:
                continue
            for variant in item.variants:
                config = planning.run_config(suite, entry.name, item.name, variant)
                if config["spatial_dims"] not in method.spatial_dims:
                    continue
                training = dict(config["training"])
                if "weights" in training["network"]:
                    # The maps have the same names without them.
                    training["network"] = {**training["network"], "weights": "none"}
                for stage in method.stages:
                    key = repr((item.name, config["settings"], training["network"], training["patch_size"], stage.name))
                    if key in seen:
                        continue
                    seen.add(key)
                    run = RunConfig(
                        **{**config, "training": training, "stage": stage.name},
                        **{"entry": entry.name, "method": item.name, "variant": variant, "data": "", "split": ""},
                        stage_training=item.stages.get(stage.name, {}),
                    )
                    # Shapes and names, no numbers; but some of MONAI's classes read numbers while they are made.
                    with torch.device("cpu" if "'monai'" in key else "meta"):
                        assembly.build_method(run, 1, 3)
    assert seen
