"""Hue and saturation of colour images, changed on the device."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.errors import TrainingError
from contrastseg.tensors import constant
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


def change_colours(images: Tensor, change: Tensor) -> Tensor:
    """Turn the hue and raise or lower the saturation, as HSV has them. (B, 3, *patch) in and out.

    Args:
        images: Red, green and blue from 0 to 1.
        change: (2, B), as `draw_colours` makes it, on the same device.
    """
    turn, more = change.view(2, -1, *[1] * (images.ndim - 1))
    value, highest = images.max(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    # Of red: green - blue; of green: blue - red; of blue: red - green.
    difference = images.roll(-1, 1) - images.roll(-2, 1)
    hue = difference.gather(1, highest) / chroma.clamp(min=1e-6) + 2 * highest + turn
    saturation = (chroma / value.clamp(min=1e-6) + more).clamp(0, 1)
    places = constant((5.0, 3.0, 1.0), images.device).view(3, *[1] * (images.ndim - 2))
    distance = (hue + places) % 6
    return value * (1 - saturation * torch.minimum(distance, 4 - distance).clamp(0, 1))
