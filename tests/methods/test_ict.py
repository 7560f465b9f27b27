"""Interpolation consistency as SSL4MIS has it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from contrastseg.errors import TrainingError
from contrastseg.methods import registry
from tests.methods.made_up import make, sample
from tests.methods.test_mean_teacher_sources import as_released


def fixed_share(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self, shape: torch.full(shape, share))


# HiLab-git/SSL4MIS 06df604, code/train_interpolation_consistency_training_2D.py:163-189 (four classes) and
# code/train_interpolation_consistency_training_3D.py:134-159 (two), run in float64 with the share 0.3.
@pytest.mark.parametrize(
    ("shape", "classes", "step", "released"),
    [
        ((6, 7), 4, 150, 2.0642376013013592e-05),
        ((6, 7), 4, 15000, 0.0008350328378946297),
        ((4, 5, 6), 2, 150, 0.0001438640124938573),
        ((4, 5, 6), 2, 15000, 0.005819638909199199),
    ],
)
def test_consistency_is_the_released_one(
    shape: tuple[int, ...], classes: int, step: int, released: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed_share(monkeypatch, 0.3)
    other, batch = as_released("mean_teacher", shape, classes, 30000)
    method = registry.get("ict")(other.task, registry.get("ict").resolve())
    method.modules = other.modules
    batch = {"labelled": batch["labelled"], "unlabelled": batch["clean"]}
    assert float(method.training_step(batch, step)["consistency"]) == pytest.approx(released, rel=1e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_a_mix_without_a_second_image_is_mean_teacher(dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fixed_share(monkeypatch, 0.0)
    batch = {"labelled": sample(dims), "unlabelled": sample(dims)}
    term = make("ict", dims, levels=3).training_step(batch, 50)["consistency"]
    first: Any = sample(dims)
    first.image = first.image[:1]
    both = {"labelled": sample(dims), "student": first, "teacher": first, "clean": first}
    alone = make("mean_teacher", dims, levels=3).training_step(both, 50)["consistency"]
    torch.testing.assert_close(term, alone)


def test_shares_are_of_the_beta_distribution_and_of_each_pair() -> None:
    torch.manual_seed(0)
    method: Any = make("ict")
    drawn = method._shares(torch.zeros(2, 1, 4, 4), 4000, 0)
    assert drawn.shape == (4000, 1, 1, 1)
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(drawn.var()) == pytest.approx(0.25 / 1.4, abs=0.01)  # ab / (a + b)² (a + b + 1)


def test_one_image_is_no_pair() -> None:
    batch: dict[str, Any] = {"labelled": sample(), "unlabelled": sample(batch=1)}
    with pytest.raises(TrainingError, match="ict mixes pairs"):
        make("ict").training_step(batch, 0)
