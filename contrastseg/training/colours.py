"""Hue and saturation of colour images: who has them, and how much they change (`losses.perturbation` changes them)."""

from __future__ import annotations

import numpy as np
import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.errors import TrainingError
from contrastseg.training.planar import Chosen
from contrastseg.training.settings import AugmentationSettings

_FROM_ZERO_TO_ONE = ("uint8", "minmax", "percentile", "window")
_SIXTHS = 3.0
"""Half a turn of the hue, which is counted in sixths of a turn."""


def changes_colours(settings: AugmentationSettings) -> bool:
    """Whether hue or saturation is changed."""
    return settings.hue > 0 or settings.saturation > 0


def check_colours(settings: AugmentationSettings, dataset: PreparedDataset) -> None:
    """Refuse images that have no hue.

    Raises:
        TrainingError: Hue or saturation is to be changed, and images have not the channels red, green and blue with
            values from 0 to 1.
    """
    intensity = dataset.info.preparation.intensity
    if changes_colours(settings) and (dataset.in_channels != 3 or intensity not in _FROM_ZERO_TO_ONE):
        raise TrainingError(
            f"hue and saturation are of red, green and blue from 0 to 1; {dataset.info.entry} has channels "
            f"{', '.join(dataset.info.channels)} by the intensity rule {intensity}",
            remedy="set augmentation.hue and augmentation.saturation to 0 for it, or its preparation.intensity to one "
            f"of {', '.join(_FROM_ZERO_TO_ONE)}",
        )


def draw_colours(random: torch.Generator, batch: int, settings: AugmentationSettings, chosen: Chosen) -> np.ndarray:
    """(2, B): of each sample the turn of its hue, in sixths of a turn, and what is added to its saturation."""
    drawn = torch.rand(2, batch, generator=random).numpy() * 2 - 1
    turn = chosen.only("hue", drawn[0] * np.float32(settings.hue * _SIXTHS), 0)
    return np.stack([turn, chosen.only("saturation", drawn[1] * np.float32(settings.saturation), 0)])
