"""In-plane warps of many parts: shear, a scale for each axis, quarter turns, one mirror image, one group of parts.

`augmentation.draw_warp` draws rotation, scale and mirror images, and is left as it is where a suite asks for no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contrastseg.training.augmentation import Warp, draw_elastic
from contrastseg.training.settings import AugmentationSettings, Part

_QUARTERS = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]], np.float32)
_NEW_DRAWS = 5


class Chosen:
    """Which parts of the augmentation each sample of a batch has: all of them, or those of one group.

    Args:
        groups: Parts of each group; None where every sample has all parts.
        group: (B,) index of the group of each sample.
    """

    def __init__(self, groups: Sequence[Sequence[Part]] | None = None, group: np.ndarray | None = None) -> None:
        self._groups, self._group = groups, group

    @classmethod
    def draw(cls, random: torch.Generator, batch: int, settings: AugmentationSettings) -> Chosen:
        """A group for each of so many samples, as often as the settings say."""
        if settings.one_of is None:
            return EVERY_PART
        shares = np.cumsum(settings.one_of_shares or [1.0] * len(settings.one_of))
        drawn = torch.rand(batch, generator=random, dtype=torch.float64).numpy() * shares[-1]
        return cls(settings.one_of, np.searchsorted(shares, drawn, side="right"))

    def has(self, part: Part) -> np.ndarray | None:
        """(B,) bool; None where every sample has it."""
        if self._groups is None or self._group is None or not any(part in group for group in self._groups):
            return None
        having: np.ndarray = np.array([part in group for group in self._groups])[self._group]
        return having

    def only(self, part: Part, values: np.ndarray, otherwise: float) -> np.ndarray:
        """Values (B, …) of a part, and another where a sample does not have it."""
        having = self.has(part)
        if having is None:
            return values
        return np.where(having.reshape(-1, *[1] * (values.ndim - 1)), values, np.float32(otherwise))


EVERY_PART = Chosen()


def has_more_parts(settings: AugmentationSettings) -> bool:
    """Whether a warp has parts that `augmentation.draw_warp` does not draw."""
    return bool(
        settings.shear
        or settings.scale_per_axis
        or settings.rot90
        or settings.flip_rule == "one"
        or settings.one_of is not None
    )


def draw_planar_warp(
    random: torch.Generator,
    more: torch.Generator,
    batch: int,
    spatial_dims: int,
    settings: AugmentationSettings,
    chosen: Chosen,
) -> Warp:
    """A warp of all parts: mirror images first, then quarter turns, rotation, shear and scale.

    Args:
        random: Draws what `augmentation.draw_warp` draws.
        more: Draws the other parts.
        batch: Number of samples.
        spatial_dims: 2, or 3 for a warp about the slice axis.
        settings: Ranges.
        chosen: Which parts each sample has.
    """
    common = torch.rand(4, batch, generator=random).numpy()
    new = torch.rand(_NEW_DRAWS, batch, generator=more).numpy()
    angle = chosen.only("rotation", (common[0] * 2 - 1) * np.float32(math.radians(settings.rotation_degrees)), 0)
    quarter = (new[0] * 4).astype(np.int64) if settings.rot90 else np.zeros(batch, np.int64)
    quarter = chosen.only("rot90", quarter, 0).astype(np.int64)
    slope = chosen.only("shear", np.tan((new[1:3].T * 2 - 1) * np.float32(math.radians(settings.shear))), 0)
    low, high = (math.log(limit) for limit in settings.scale)
    zooms = np.stack([common[1], new[3] if settings.scale_per_axis else common[1]], axis=1)
    # A larger picture looks at a smaller part of the unit, hence the sign.
    zooms = chosen.only("scale", np.exp(-(zooms * np.float32(high - low) + np.float32(low))), 1)
    flips = chosen.only("flip", _flips(common[2:].reshape(batch, 2), new[4], settings), 1)

    rotation = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(batch, 2, 2)
    plane = rotation @ _QUARTERS[quarter] * flips[:, None]
    shear = np.tile(np.eye(2, dtype=np.float32), (2, batch, 1, 1))
    shear[0, :, 0, 1], shear[1, :, 1, 0] = slope.T
    plane = zooms[:, :, None] * (shear[0] @ shear[1] @ plane)

    matrix = np.tile(np.eye(spatial_dims, dtype=np.float32), (batch, 1, 1))
    matrix[:, -2:, -2:] = plane
    elastic = draw_elastic(random, batch, spatial_dims, settings)
    if elastic is not None:
        elastic = torch.from_numpy(chosen.only("elastic", elastic.numpy(), 0))
    return Warp(torch.from_numpy(matrix.astype(np.float32)), elastic)


def _flips(each: np.ndarray, which: np.ndarray, settings: AugmentationSettings) -> np.ndarray:
    """(B, 2): -1 along an axis that is mirrored, each of them half of the time or one of them always."""
    flips, axes = np.ones_like(each), np.array(settings.flip_axes, np.int64)
    if settings.flip_rule == "one" and len(axes):
        flips[np.arange(len(which)), axes[(which * len(axes)).astype(np.int64)]] = -1
    elif settings.flip_rule == "each":
        flips[:, axes] = np.where(each[:, axes] < 0.5, np.float32(-1), np.float32(1))
    return flips


def chosen_intensity(change: Tensor, chosen: Chosen) -> Tensor:
    """Changes as `augmentation.draw_intensity` makes them, and none where a sample does not have that part."""
    neutral: tuple[tuple[Part, float], ...] = (("brightness", 0), ("contrast", 1), ("gamma", 1), ("noise", 0))
    rows = zip(neutral, change.numpy(), strict=True)
    return torch.from_numpy(np.stack([chosen.only(part, values, value) for (part, value), values in rows]))
