"""CVRL: its levels, its averages, its queue, and the shapes of its samples."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrastseg.errors import SuiteError
from contrastseg.methods._taps import deepest_map
from contrastseg.methods.contract import Sample
from contrastseg.methods.cvrl import CVRL, pool, sub_volume_grid
from contrastseg.networks.registry import build
from tests.methods.made_up import make, sample

CONTRAST = ["batch_high", "feature_high", "batch_low", "feature_low"]


def batch(dims: int = 2, size: int = 4) -> dict[str, Sample]:
    """Four views; the teacher's look a little different."""
    one = sample(dims, size)
    noisy = replace(
        one, image=one.image + 0.1 * torch.randn(one.image.shape, generator=torch.Generator().manual_seed(1))
    )
    free = [replace(view, image=view.image.flip(2), label=None) for view in (one, noisy)]
    return {"labelled": one, "labelled_teacher": noisy, "student": free[0], "teacher": free[1]}


def gradient(term: torch.Tensor, parameter: torch.nn.Parameter) -> float:
    (found,) = torch.autograd.grad(term, parameter, retain_graph=True, allow_unused=True)
    return 0.0 if found is None else float(found.abs().sum())


@pytest.mark.parametrize("dims", [2, 3])
def test_four_contrast_terms_reach_what_they_are_computed_from(dims: int) -> None:
    method = make("cvrl", dims, levels=4)
    terms = method.training_step(batch(dims), 10)
    assert list(terms) == ["segmentation", *CONTRAST, "consistency"]
    network = method.modules["network"]
    for name in CONTRAST:
        assert torch.isfinite(terms[name])
        assert gradient(terms[name], network.encoder[0][0].weight) > 0
        high = name.endswith("high")
        assert (gradient(terms[name], network.up[0].weight) > 0) != high
        assert (gradient(terms[name], method.modules["high"][0].weight) > 0) == high
        assert (gradient(terms[name], method.modules["low"].weight) > 0) != high
    sum(terms.values()).backward()
    assert all(parameter.grad is None for parameter in method.modules["teacher"].parameters())


def test_without_its_contrast_it_is_mean_teacher() -> None:
    ours = make("cvrl", levels=4, high_weight=0.0, low_weight=0.0).training_step(batch(), 30)
    theirs = make("mean_teacher", levels=4).training_step(batch(), 30)
    torch.testing.assert_close(ours["segmentation"], theirs["segmentation"])
    torch.testing.assert_close(ours["consistency"], theirs["consistency"])
    assert sum(float(ours[name].detach()) for name in CONTRAST) == 0


def test_the_feature_term_has_a_weight_of_its_own() -> None:
    whole, half = (make("cvrl", levels=4, feature_weight=weight).training_step(batch(), 10) for weight in (1.0, 0.5))
    for level in ("high", "low"):
        torch.testing.assert_close(half[f"feature_{level}"], whole[f"feature_{level}"] / 2)
        torch.testing.assert_close(half[f"batch_{level}"], whole[f"batch_{level}"])
    without = make("cvrl", levels=4, **CVRL.variants["no_feature_term"]).training_step(batch(), 10)
    assert list(without) == ["segmentation", "batch_high", "batch_low", "consistency"]


def test_contrast_sees_the_samples_the_settings_say() -> None:
    both, free = make("cvrl", levels=3), make("cvrl", levels=3, contrast_on="unlabelled")
    changed = batch()
    changed["labelled"] = replace(changed["labelled"], image=changed["labelled"].image.flip(3))
    for method, same in ((both, False), (free, True)):
        torch.manual_seed(1)
        one = method.training_step(batch(), 5)["batch_high"]
        torch.manual_seed(1)
        other = method.training_step(changed, 5)["batch_high"]
        assert torch.equal(one, other) == same
    with pytest.raises(SuiteError, match="both, unlabelled"):
        make("cvrl", contrast_on="labelled")


def test_averages_and_queue_move_after_the_step_and_are_in_the_state() -> None:
    method = make("cvrl", levels=4, queue_size=100)
    state = {name: value.clone() for name, value in method.modules.state_dict().items()}
    first = method.training_step(batch(), 0)["batch_high"]
    with torch.no_grad():
        method.modules["low"].weight.add_(1.0)
    method.after_step(1)
    now = method.modules.state_dict()
    torch.testing.assert_close(
        now["teacher.low.weight"], (2 * state["teacher.low.weight"] + 9 * method.modules["low"].weight) / 11
    )
    # 8 crops of 4 × 4 cells at the bottleneck enter more vectors than it holds: 100 of 128.
    assert int((now["queue.keys"] != state["queue.keys"]).any(1).sum()) == 100
    second = method.training_step(batch(), 0)["batch_high"]
    assert not torch.equal(first, second)
    free = make("cvrl", levels=4, queue_size=0)
    assert "queue" not in free.modules
    free.training_step(batch(), 0)
    free.after_step(0)


def test_distances_are_an_option() -> None:
    assert "distance" not in make("cvrl", levels=4).modules
    method = make("cvrl", variant="signed_distance", levels=4)
    term = method.training_step(batch(), 0)["distance"]
    assert 0 < float(term.detach()) < 0.1 * 4
    assert gradient(term, method.modules["distance"].weight) > 0
    assert gradient(term, method.modules["network"].encoder[0][0].weight) > 0


def test_prediction_is_the_students_or_the_averages() -> None:
    image = sample().image
    for which in ("student", "teacher"):
        method = make("cvrl", levels=4, predict_with=which)
        with torch.no_grad():
            method.modules["network"].head.bias.add_(1.0)
        network = method.modules["network"] if which == "student" else method.modules["teacher"]["network"]
        assert torch.equal(method.predict(image), network(image))


def test_a_small_batch_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="at least 32 samples"):
        make("cvrl", levels=4, sub_volumes=8).training_step(batch(size=1), 0)


@settings(max_examples=40, deadline=None)
@given(shape=st.lists(st.integers(1, 12), min_size=2, max_size=3), cells=st.integers(1, 64))
def test_grids_have_the_cells_asked_for_and_hardly_more(shape: list[int], cells: int) -> None:
    grid = sub_volume_grid(tuple(shape), cells)
    assert all(1 <= count <= size for count, size in zip(grid, shape, strict=True))
    assert min(cells, math.prod(shape)) <= math.prod(grid) < 2 * cells


@pytest.mark.parametrize("shape", [(6, 4), (4, 2, 6)])
def test_pooled_vectors_are_means_of_the_map(shape: Any) -> None:
    feature = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool(feature, shape), feature.flatten(2).transpose(1, 2).reshape(-1, 3))
    halves = pool(feature, (2,) + (1,) * (len(shape) - 1))
    torch.testing.assert_close(halves[1], feature[0, :, shape[0] // 2 :].flatten(1).mean(1))


def test_positions_are_distinct_inside_and_different_every_time() -> None:
    method: Any = make("cvrl", levels=4, points=50)
    for shape in ((7, 8), (4, 5, 6), (3, 3)):
        feature = torch.zeros(3, 2, *shape)
        positions = method._positions(feature, 0)
        count = min(50, math.prod(shape))
        assert positions.shape == (3, count)
        assert all(len(row.unique()) == count for row in positions)
        assert int(positions.min()) >= 0
        assert int(positions.max()) < math.prod(shape)
    assert not torch.equal(
        method._positions(torch.zeros(1, 1, 32, 32), 0), method._positions(torch.zeros(1, 1, 32, 32), 0)
    )


def test_the_high_level_is_the_deepest_map_with_enough_cells() -> None:
    network = build({"channels": [2] * 5}, spatial_dims=2, in_channels=1, num_classes=2)
    assert deepest_map("cvrl", network, (96, 96), 16) == "encoder4"
    assert deepest_map("cvrl", network, (32, 32), 16) == "encoder3"
    assert deepest_map("cvrl", network, (), 16) == "encoder4"
    with pytest.raises(SuiteError, match="16 cells"):
        deepest_map("cvrl", network, (2, 2), 16)
    with pytest.raises(SuiteError, match="low_stride"):
        make("cvrl", low_stride=16)
