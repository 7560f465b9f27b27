"""The rules of preparation themselves: intensities, shapes, and what contradicts itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from contrastseg.data.prepare.intensity import normalise
from contrastseg.data.prepare.recipe import prepared_shape, resolve
from contrastseg.data.registry import registry
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError


@pytest.mark.parametrize(
    ("rule", "low", "high"),
    [
        ({"intensity": "minmax"}, 0, 1),
        ({"intensity": "percentile", "percentiles": [10, 90]}, 0, 1),
        ({"intensity": "window", "window": [80, 120]}, 0, 1),
    ],
)
def test_rules_that_end_in_the_unit_interval(rule: dict[str, Any], low: float, high: float) -> None:
    image = np.random.default_rng(0).normal(100, 20, (2, 9, 9, 9)).astype(np.float32)
    image[1] *= 3
    result = normalise(image, PreparationSettings(**rule))
    assert result.dtype == np.float16
    assert (result[0].min(), result[0].max()) == (low, high)
    if rule["intensity"] == "window":
        assert result[0, 0, 0, 0] == pytest.approx(np.clip((image[0, 0, 0, 0] - 80) / 40, 0, 1), abs=1e-3)


def test_zscore_after_clipping_and_by_channel() -> None:
    image = np.random.default_rng(0).normal(0, 400, (2, 20, 20, 20)).astype(np.float32)
    image[1] += 5000
    result = normalise(image, PreparationSettings(window=(-100, 6000), dtype="float32"))
    assert result.dtype == np.float32
    assert result.mean(axis=(1, 2, 3)) == pytest.approx([0, 0], abs=1e-4)
    assert result.std(axis=(1, 2, 3)) == pytest.approx([1, 1], abs=1e-4)
    clipped = np.clip(image[0], -100, 6000)
    assert result[0] == pytest.approx((clipped - clipped.mean()) / clipped.std(), abs=1e-3)


@pytest.mark.parametrize("rule", ["zscore", "minmax", "percentile"])
def test_constant_images_become_zero(rule: str) -> None:
    settings = PreparationSettings(intensity=rule)  # type: ignore[arg-type]
    assert not normalise(np.full((1, 5, 5), 37.3, dtype=np.float32), settings).any()


def test_values_kept_as_they_are() -> None:
    image = np.array([[[0, 254.6], [3, 7]]], dtype=np.float32)
    assert normalise(image, PreparationSettings(intensity="uint8")).tolist() == [[[0, 255], [3, 7]]]
    assert normalise(image, PreparationSettings(intensity="none")).dtype == np.float32
    with pytest.raises(DataError, match="do not fit 8 bits"):
        normalise(image - 50, PreparationSettings(intensity="uint8"))


def test_shapes_by_spacing_and_size() -> None:
    def shape(**rule: Any) -> tuple[int, ...]:
        return prepared_shape((10, 200, 100), (10.0, 1.5, 1.5), PreparationSettings(**rule))

    assert shape(spacing=[None, 3.0, 3.0]) == (10, 100, 50)
    assert shape(spacing=[5.0, 1.5, 1.5], size=[96, 96]) == (20, 96, 96)
    assert shape(size=[64, 48]) == (10, 64, 48)
    with pytest.raises(DataError, match="data has none"):
        prepared_shape((4, 4, 4), None, PreparationSettings(spacing=(1.0, 1.0, 1.0)))
    with pytest.raises(DataError, match="axes"):
        shape(spacing=[1.0, 1.0])


@pytest.mark.parametrize(
    "rule",
    [
        {"intensity": "window"},
        {"window": [3, 1]},
        {"percentiles": [9, 9]},
        {"size": [0, 4]},
        {"spacing": [-1.0]},
        {"siez": 1},
    ],
)
def test_contradictory_rules_are_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PreparationSettings(**rule)


def test_a_suite_s_rule_is_put_over_the_data_set_s_own() -> None:
    spec = dataclasses.replace(registry.get("acdc"), preparation=PreparationSettings(size=(64, 64), dtype="float32"))
    assert resolve(spec, None) == spec.preparation
    mixed = resolve(spec, PreparationSettings(intensity="minmax"))
    assert (mixed.intensity, mixed.size, mixed.dtype) == ("minmax", (64, 64), "float32")


def test_unknown_options_list_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'case'; there are: cases, seed, size"):
        registry.get("phantom_organs").parse_options({"case": 3})
    with pytest.raises(DataError, match="options of phantom_organs"):
        registry.get("phantom_organs").parse_options({"cases": 0})
