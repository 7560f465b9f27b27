"""The augmentation of SSL4MIS: 1,000 slices under its recipe beside 1,000 of its `RandomGenerator`.

The reference is written from dataloaders/dataset.py:74-93 and 151-167 of that code (commit 06df604), in SciPy.
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import ks_2samp

from contrastseg.training.settings import AugmentationSettings
from tests.recipe_settings import recipe_training
from tests.training.test_batches import source, storage

SLICES = 1000
# Two samples of 1,000 of one distribution are this far apart once in 1,000 times: sqrt(-ln(0.001 / 2) / 1000).
BOUND = 0.0872
QUARTER = np.array([[0.0, -1], [1, 0]])


@lru_cache(maxsize=1)
def theirs(slices: bytes, size: tuple[int, ...], seed: int) -> list[tuple[float, float, float, float]]:
    """What `RandomGenerator` makes of each slice, float32 of the network's size; once for all tests."""
    random.seed(seed)
    drawn = np.random.RandomState(seed)
    found = []
    for image in np.frombuffer(slices, np.float32).reshape(-1, *size):
        ones = np.ones_like(image)
        if random.random() < 0.5:
            k, axis = drawn.randint(0, 4), drawn.randint(0, 2)
            matrix = np.linalg.matrix_power(QUARTER, k) @ np.diag([-1.0 if axis == each else 1.0 for each in (0, 1)])
            image, ones = (np.flip(np.rot90(each, k), axis) for each in (image, ones))
        else:
            degrees = drawn.randint(-20, 20)
            cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
            matrix = np.array([[cosine, -sine], [sine, cosine]])
            image, ones = (ndimage.rotate(each, degrees, order=0, reshape=False) for each in (image, ones))
        found.append(described(matrix, image, ones == 0))
    return found


def described(matrix: np.ndarray, image: np.ndarray, border: np.ndarray) -> tuple[float, float, float, float]:
    """Angle in degrees, whether it is a mirror image, mean intensity, share of the border."""
    angle = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) % 360
    angle = round(float(angle), 3) % 360  # 359.9999 is 0
    return (angle + 180) % 360, float(np.linalg.det(matrix) < 0), float(image.mean()), float(border.mean())


def ours(phantoms: dict[int, Any], settings: AugmentationSettings, seed: int) -> tuple[list[Any], np.ndarray]:
    """What this project makes of slices, and these slices."""
    data = storage(phantoms[3], 2)
    for image in data.images.values():  # from 0.2 to 1.2, so that 0 is the border alone
        image.copy_((image - image.min()) / (image.max() - image.min()) + 0.2)
    size = tuple(data.extents[0].tolist())
    reader = source(data, seed, patch=size, batch=50, settings=settings)
    found, slices = [], []
    for step in range(SLICES // 50):
        sample = reader(step, "a")
        positions = sample.coordinates.numpy()
        matrices = np.stack([positions[:, 1, 0] - positions[:, 0, 0], positions[:, 0, 1] - positions[:, 0, 0]], axis=2)
        for matrix, image in zip(matrices, sample.image[:, 0].numpy(), strict=True):
            found.append(described(matrix, image, np.abs(image) < 0.1))
        units = [data.units[index] for index in sample.unit.tolist()]
        slices += [data.images[unit.case][0, unit.plane].float().numpy() for unit in units]
    return found, np.stack(slices)


def distances(phantoms: dict[int, Any], settings: AugmentationSettings) -> dict[str, float]:
    found, slices = ours(phantoms, settings, seed=0)
    names = ("angle", "flip", "mean intensity", "border share")
    pairs = zip(np.array(found).T, np.array(theirs(slices.tobytes(), slices.shape[1:], 1)).T, strict=True)
    return {name: float(ks_2samp(*pair).statistic) for name, pair in zip(names, pairs, strict=True)}


def recipe(**changes: Any) -> AugmentationSettings:
    return AugmentationSettings.model_validate({**recipe_training("ssl4mis_acdc")["augmentation"], **changes})


def test_slices_under_the_recipe_are_those_of_the_source(phantoms: dict[int, Any]) -> None:
    found = distances(phantoms, recipe())
    assert max(found.values()) < BOUND, found


@pytest.mark.parametrize(
    ("change", "shows"),
    [
        ({"flip_rule": "each"}, "flip"),
        ({"one_of": None, "one_of_shares": None}, "angle"),
        ({"border": "edge"}, "border share"),
        ({"contrast": [0.8, 1.25], "brightness": 0.1}, "mean intensity"),
    ],
    ids=["flips apart", "all at once", "its border goes on", "photometric"],
)
def test_another_setting_shows(phantoms: dict[int, Any], change: dict[str, Any], shows: str) -> None:
    assert distances(phantoms, recipe(**change))[shows] > BOUND


def test_quarter_turns_and_mirror_images_are_exact(phantoms: dict[int, Any]) -> None:
    """By order 0 every pixel is one of the slice, and half of the slices are its mirror images."""
    data = storage(phantoms[3], 2)
    size = tuple(data.extents[0].tolist())
    sample = source(data, patch=size, batch=40, settings=recipe())(0, "a")
    exact = 0
    for index, image in zip(sample.unit.tolist(), sample.image[:, 0], strict=True):
        unit = data.units[index]
        whole = data.images[unit.case][0, unit.plane].float()
        images = [torch.rot90(whole, k).flip(axis) for k in range(4) for axis in range(2)]
        exact += any(torch.allclose(image, each, atol=1e-5) for each in images)
    assert 12 <= exact <= 28
