"""Planning refuses exactly the networks that a method refuses when it is built, and says what to do."""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from contrastseg import planning
from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, Task
from contrastseg.networks import catalogue
from contrastseg.networks import registry as networks
from contrastseg.networks.catalogue import Form
from contrastseg.networks.features import FeatureNetwork
from contrastseg.suite import load_suite

METHODS = [name for name in registry.names() if registry.get(name).engine is None]
# Those that ask for something, on a network of this project and on one of another package; the rest are long tests.
ASKING = ("cct", "cvrl", "glcl", "mcnet", "pdcr", "urpc")
ALWAYS = ("deeplabv3plus", "monai SegResNet")
TITLES = dict.fromkeys(form.title for form in catalogue.forms())


@functools.cache
def built(title: str, dims: int) -> FeatureNetwork:
    (form,) = (form for form in catalogue.forms() if form.title == title and form.spatial_dims == dims)
    return networks.build(form.settings, spatial_dims=dims, in_channels=1, num_classes=4).to("meta")


def refusal(method: type[Method], form: Form, variant: str, stage: str) -> SuiteError | None:
    """What a method says of a network when it is built for a stage."""

    def build_network(in_channels: int = 1, num_classes: int = 4, **options: Any) -> FeatureNetwork:
        if not options:
            return copy.deepcopy(built(form.title, form.spatial_dims))
        sizes = {"in_channels": in_channels, "num_classes": num_classes, "spatial_dims": form.spatial_dims}
        return networks.build({**form.settings, **options}, **sizes)

    patch = form.input_size or tuple(max(96 if form.spatial_dims == 2 else 64, side) for side in form.smallest)
    task = Task(form.spatial_dims, 1, 4, 10, stage, build_network, patch)
    try:
        with torch.device("meta"):
            method(task, method.resolve(variant)).build()
    except SuiteError as error:
        return error
    return None


def planned_refusal(method: type[Method], form: Form, variant: str) -> SuiteError | None:
    try:
        method.check_network(form, method.resolve(variant))
    except SuiteError as error:
        return error
    return None


def check(name: str, title: str) -> None:
    """A plan refuses what any stage of a variant refuses when it is built, in every form of a network."""
    method = registry.get(name)
    for form in catalogue.forms():
        if form.title != title or form.spatial_dims not in method.spatial_dims:
            continue
        for variant in method.variants:
            planned = planned_refusal(method, form, variant)
            errors = [refusal(method, form, variant, stage.name) for stage in method.stages]
            assert (planned is not None) == any(errors), (variant, planned, errors)
            assert planned is None or planned.remedy


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("title", ALWAYS)
def test_a_plan_refuses_what_the_build_refuses(name: str, title: str) -> None:
    check(name, title)


@pytest.mark.long
@pytest.mark.parametrize("title", TITLES)
def test_a_plan_refuses_what_the_build_refuses_of_every_method(title: str) -> None:
    for name in METHODS:
        check(name, title)


@pytest.mark.parametrize(
    ("method", "network", "said"),
    [
        ("mcnet", {"name": "resnet_unet"}, "upsampling"),
        ("mcnet", {"name": "resnet_unet", "encoder": "resnet18"}, "upsampling"),
        ("cct", {"name": "monai", "model": "SwinUNETR"}, "another encoder"),
        ("cct", {"name": "monai", "model": "HighResNet"}, "another encoder"),
        ("glcl", {"name": "resnet_unet"}, "network.up"),
        ("pdcr", {"name": "smp", "architecture": "PSPNet"}, "stride"),
        ("cvrl", {"name": "deeplabv3plus"}, "stride"),
    ],
)
def test_a_plan_says_which_method_refuses_which_network_and_what_to_do(
    method: str, network: dict[str, Any], said: str, tmp_path: Path
) -> None:
    entry = {"name": "organs", "dataset": "phantom_organs", "spatial_dims": 2}
    suite = {"name": "small", "datasets": [entry], "methods": ["supervised"], "labels": ["n2"]}
    suite["training"] = {"patch_size": [96, 96], "network": network}
    path = tmp_path / "suite.yaml"
    path.write_text(json.dumps(suite), encoding="utf-8")
    planning.expand(load_suite(path))
    path.write_text(json.dumps({**suite, "methods": ["supervised", method]}), encoding="utf-8")
    with pytest.raises(SuiteError, match=said) as caught:
        planning.expand(load_suite(path))
    assert caught.value.case == f"{method} (default) on organs"
    assert caught.value.remedy


def test_options_that_the_catalogue_does_not_know_leave_the_maps_to_the_start(tmp_path: Path) -> None:
    """Four levels have no map of PDCR's strides; a plan cannot know it and lets it pass, as the build does not."""
    form = catalogue.whatever_the_options({"name": "unet", "channels": [8, 16]}, 2)
    assert form is not None
    assert form.maps == {}
    for name in METHODS:
        registry.get(name).check_network(form, registry.get(name).resolve())
    assert catalogue.whatever_the_options({"name": "added by a package"}, 2) is None
