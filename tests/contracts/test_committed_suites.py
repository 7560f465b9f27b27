"""Every method of every committed suite can be built with that network and patch, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from contrastseg import planning
from contrastseg.methods import registry
from contrastseg.suite import load_suite
from contrastseg.training.assembly import build_method
from contrastseg.training.settings import RunConfig

SUITES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.yaml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
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
                    with torch.device("meta"):  # shapes and names, no numbers
                        build_method(run, 1, 3)
    assert seen
