"""LRC: which losses a stage has, which points they contrast, and what is handed on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from contrastseg.errors import TrainingError
from contrastseg.losses.region_contrast import gather_points, region_contrast_loss, sample_region_points
from contrastseg.methods import registry
from contrastseg.methods.contract import Sample
from tests.learning import falls
from tests.methods.pretraining_cases import SIZE, make, step_once, view, views

STAGES = [("lrc", "pretrain"), ("lrc_sequential", "global"), ("lrc_sequential", "local"), ("lrc_supervised", "local")]


def with_regions(sample: Sample, dims: int = 2) -> Sample:
    """Squares (bars in 3D) of 8 pixels a side, numbered from 1, the first row of them without a region."""
    axes = torch.meshgrid(*[torch.arange(SIZE) // 8] * dims, indexing="ij")
    regions = axes[-2] * 4 + axes[-1] + 1
    regions[axes[-2] == 0] = 0
    return replace(sample, superpixels=regions.expand(sample.image.shape[0], *regions.shape).contiguous())


def region_views(dims: int = 2) -> dict[str, Sample]:
    return {name: with_regions(sample, dims) for name, sample in views(dims).items()}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_every_stage_trains_what_its_losses_reach(name: str, stage: str, dims: int) -> None:
    method = make(name, stage, dims)
    terms = method.training_step(region_views(dims), 0)
    expected = {"pretrain": {"info_nce", "region_contrast"}, "global": {"info_nce"}, "local": {"region_contrast"}}
    assert set(terms) == expected[stage]
    torch.stack(list(terms.values())).sum().backward()
    trained = {key for key, value in method.modules.named_parameters() if value.grad is not None}
    assert any(key.startswith("network.encoder") for key in trained)
    assert any(key.startswith("network.decoder") for key in trained) == (stage != "global")
    assert ("queue" in method.modules) == (stage in ("pretrain", "global"))
    assert ("local_head" in method.modules) == (stage != "global")
    method.after_step(0)


@pytest.mark.learns
@pytest.mark.parametrize(("name", "stage"), STAGES)
def test_gradient_descent_lowers_the_loss_of_a_fixed_batch(name: str, stage: str) -> None:
    method, batch = make(name, stage), region_views()
    losses = []
    for step in range(30):
        torch.manual_seed(0)  # the same points of every region
        losses.append(step_once(method, batch, step))
    assert falls(losses)


def test_the_local_term_is_the_region_contrast_of_the_last_map_times_its_weight() -> None:
    method, batch = make("lrc", local_weight=0.5, points=8, max_regions=5), region_views()
    torch.manual_seed(7)
    ours = method.training_step(batch, 0)["region_contrast"]
    network = method.modules["network"]
    maps = [method.modules["local_head"](network.features(batch[name].image)["decoder0"]) for name in batch]
    torch.manual_seed(7)
    points = sample_region_points(batch["first"].superpixels, batch["second"].superpixels, 8, 5)  # type: ignore[arg-type]
    assert points.valid.sum(1).tolist() == [5] * 4
    embedded = [gather_points(maps[0], points.first), gather_points(maps[1], points.second)]
    expected = 0.5 * region_contrast_loss(embedded[0], embedded[1], points.valid, 0.1)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_global_term_is_mocos() -> None:
    batch = region_views()
    lrc, moco = make("lrc"), make("moco")
    lrc.modules["head"].load_state_dict(moco.modules["head"].state_dict())
    lrc.modules["key_head"].load_state_dict(moco.modules["key_head"].state_dict())
    ours, theirs = (method.training_step(batch, 0)["info_nce"] for method in (lrc, moco))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_samples_without_superpixels_are_an_error_that_says_how_to_get_them() -> None:
    with pytest.raises(TrainingError, match="superpixels"):
        make("lrc").training_step(views(), 0)


def test_images_without_any_region_cost_nothing() -> None:
    batch = {
        name: replace(sample, superpixels=torch.zeros_like(sample.superpixels))  # type: ignore[arg-type]
        for name, sample in region_views().items()
    }
    assert float(make("lrc").training_step(batch, 0)["region_contrast"].detach()) == 0


def test_maps_with_a_stride_look_at_the_regions_of_their_units_centres() -> None:
    method, batch = make("lrc", points=2), region_views()
    features = torch.randn(8, 4, 8, 8)
    torch.manual_seed(3)
    ours = method._region_loss(features, (4, 4), batch["first"], batch["second"])
    torch.manual_seed(3)
    centres = [batch[name].superpixels[:, 2::4, 2::4] for name in batch]  # type: ignore[index]
    points = sample_region_points(centres[0], centres[1], 2, 64)
    embedded = method.modules["local_head"](features).chunk(2)
    gathered = [gather_points(embedded[0], points.first), gather_points(embedded[1], points.second)]
    torch.testing.assert_close(ours, region_contrast_loss(gathered[0], gathered[1], points.valid, 0.1))


@pytest.mark.parametrize("name", ["lrc", "lrc_sequential", "lrc_supervised"])
def test_the_whole_network_is_handed_on_and_trained_as_supervised_trains_it(name: str) -> None:
    method = registry.get(name)
    (taken,) = method.stage("train").init_from
    assert taken.modules == ("network",)
    batch = {"labelled": view(label=True)}
    ours, theirs = (make(each, "train").training_step(batch, 0)["segmentation"] for each in (name, "supervised"))
    assert torch.equal(ours, theirs)


def test_after_supervised_pre_training_no_stage_sees_more_than_the_labelled_patients() -> None:
    method = registry.get("lrc_supervised")
    assert {stage.data for stage in method.stages} == {"labelled"}
    batch: dict[str, Any] = {"labelled": view(label=True)}
    ours, theirs = (make("lrc_supervised", "supervised"), make("supervised", "supervised"))
    assert torch.equal(ours.training_step(batch, 0)["segmentation"], theirs.training_step(batch, 0)["segmentation"])
    assert list(ours.modules) == ["network"]
    ours.after_step(0)
