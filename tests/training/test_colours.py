"""Hue and saturation as the standard library's HSV has them."""

from __future__ import annotations

import colorsys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from contrastseg.errors import TrainingError
from contrastseg.losses.perturbation import change_colours
from contrastseg.training.colours import changes_colours, check_colours, draw_colours
from contrastseg.training.planar import Chosen
from contrastseg.training.seeds import generator
from contrastseg.training.settings import AugmentationSettings


@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 5)])
def test_colours_are_those_of_hsv(shape: tuple[int, ...]) -> None:
    random = generator(0)
    images = torch.rand(4, 3, *shape, generator=random)
    images[0, :, 0] = torch.tensor([0.5, 0.5, 0.5]).view(3, *[1] * (len(shape) - 1))  # grey has the hue 0
    images[0, :, 1] = 0
    change = torch.tensor([[0.7, -2.5, 3.0, 0.0], [0.3, -0.4, 0.9, 0.0]])
    found = change_colours(images, change)
    for image, turn, more, changed in zip(images, *change.tolist(), found, strict=True):
        for before, after in zip(image.flatten(1).T.tolist(), changed.flatten(1).T.tolist(), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*before)
            expected = colorsys.hsv_to_rgb((hue + turn / 6) % 1, min(max(saturation + more, 0), 1), value)
            assert after == pytest.approx(expected, abs=2e-5)
    torch.testing.assert_close(found[3], images[3], atol=1e-5, rtol=0)


def test_ranges_are_shares_of_half_a_turn_and_of_the_saturation() -> None:
    """PDCR's ±50 of 255 is ±35.3 degrees."""
    settings = AugmentationSettings(hue=50 / 255, saturation=0.2, one_of=[["hue"], ["saturation"]])
    chosen = Chosen.draw(generator(1), 500, settings)
    turn, more = draw_colours(generator(0), 500, settings, chosen)
    degrees = turn * 60
    assert -35.3 <= degrees.min() < -34 < 34 < degrees.max() <= 35.3
    assert -0.2 <= more.min() < -0.19 < 0.19 < more.max() <= 0.2
    assert not ((turn != 0) & (more != 0)).any()
    has = chosen.has("hue")
    assert has is not None
    np.testing.assert_array_equal(turn != 0, has)


@pytest.mark.parametrize(
    ("channels", "intensity", "refused"),
    [("rgb", "uint8", False), ("rgb", "minmax", False), ("rgb", "zscore", True), ("r", "uint8", True)],
)
def test_images_without_a_hue_are_refused(channels: str, intensity: str, refused: bool) -> None:
    preparation = SimpleNamespace(intensity=intensity)
    info = SimpleNamespace(entry="moles", channels=list(channels), preparation=preparation)
    dataset: Any = SimpleNamespace(in_channels=len(channels), info=info)
    check_colours(AugmentationSettings(), dataset)
    assert not changes_colours(AugmentationSettings())
    for setting in ("hue", "saturation"):
        settings = AugmentationSettings(**{setting: 0.1})  # type: ignore[arg-type]
        if refused:
            with pytest.raises(TrainingError, match="moles has channels"):
                check_colours(settings, dataset)
        else:
            check_colours(settings, dataset)
