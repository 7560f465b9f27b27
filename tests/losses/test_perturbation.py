"""Jitter as torchvision's operations, blur and dropout as slow versions that are right by their definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from contrastseg.losses.perturbation import channel_dropout, gaussian_blur, photometric_jitter
from contrastseg.networks._torchvision import import_torchvision

CHANGE = torch.tensor([[1.4, 0.6, 1.0], [0.5, 1.5, 1.0], [0.7, 1.4, 1.0], [0.2, -0.25, 0.0]])


def images(channels: int, *shape: int) -> torch.Tensor:
    return torch.rand(3, channels, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_is_torchvisions(channels: int) -> None:
    import_torchvision()
    from torchvision.transforms import functional

    given = images(channels, 9, 10)
    found = photometric_jitter(given, CHANGE, (0.0, 1.0))
    for image, (brightness, contrast, saturation, hue), ours in zip(given, CHANGE.T.tolist(), found, strict=True):
        theirs = functional.adjust_contrast(functional.adjust_brightness(image, brightness), contrast)
        if channels == 3:
            theirs = functional.adjust_hue(functional.adjust_saturation(theirs, saturation), hue)
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)  # torchvision's grey weighs by four digits
    torch.testing.assert_close(found[2], given[2], atol=1e-5, rtol=0)


def test_jitter_is_within_an_images_own_values_unless_limits_are_given() -> None:
    given = images(1, 4, 5, 6)
    shifted = given * torch.tensor([1.0, 40.0, 7.0]).view(3, 1, 1, 1, 1) - 3
    found = photometric_jitter(shifted, CHANGE)
    low, high = (each.view(3, 1, 1, 1, 1) for each in shifted.flatten(1).aminmax(dim=1))
    unit = photometric_jitter((shifted - low) / (high - low), CHANGE, (0.0, 1.0))
    torch.testing.assert_close(found, unit * (high - low) + low, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[2], shifted[2], atol=1e-5, rtol=0)
    wide = photometric_jitter(shifted, CHANGE, (-3.0, 37.0))
    assert wide[0].max() > found[0].max() + 0.1, "what is cut at its own highest value is not cut at 37"


@pytest.mark.parametrize("shape", [(11, 13), (7, 9, 11)])
def test_blur_is_a_gaussian_of_each_images_width(shape: tuple[int, ...]) -> None:
    given, sigma = images(2, *shape), torch.tensor([0.0, 0.8, 2.0])
    found = gaussian_blur(given, sigma, radius=6)
    assert torch.equal(found[0], given[0])
    for index, width in ((1, 0.8), (2, 2.0)):
        for channel in range(2):
            slow = gaussian_filter(given[index, channel].double().numpy(), width, mode="nearest", radius=6)
            np.testing.assert_allclose(found[index, channel].numpy(), slow, atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 6), (3, 4, 5)])
def test_dropout_takes_whole_channels(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    kept = channel_dropout(torch.ones(2, 400, *shape), 0.25)
    values = kept.flatten(2)
    assert torch.equal(values.amin(2), values.amax(2))
    assert values[..., 0].unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert float(kept.mean()) == pytest.approx(1, abs=0.1)
    assert not torch.equal(values[0], values[1])
