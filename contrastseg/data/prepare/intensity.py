"""The intensity rules of preparation."""

from __future__ import annotations

import numpy as np

from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError


def stored_scale(settings: PreparationSettings) -> float:
    """What stored values are to be multiplied with (see `DatasetJson.scale`)."""
    return 1 / 255 if settings.intensity == "uint8" else 1.0


def normalise(image: np.ndarray, settings: PreparationSettings) -> np.ndarray:
    """Apply the intensity rule to a resampled image, each channel by itself.

    Args:
        image: (C, *spatial) float32.
        settings: The rule.

    Returns:
        (C, *spatial): uint8 for ``uint8``, float32 for ``none``, else ``settings.dtype``. Constant channels become 0.

    Raises:
        DataError: ``uint8`` of values that 8 bits do not hold.
    """
    if settings.window is not None:
        image = np.clip(image, *settings.window)
    if settings.intensity == "uint8":
        rounded = np.rint(image)
        if rounded.min() < 0 or rounded.max() > 255:
            raise DataError(
                f"intensities from {rounded.min():g} to {rounded.max():g} do not fit 8 bits",
                remedy="choose another intensity rule than uint8",
            )
        return rounded.astype(np.uint8)
    if settings.intensity == "none":
        return image.astype(np.float32)
    channels = [_normalise_channel(channel.astype(np.float32), settings) for channel in image]
    return np.stack(channels).astype(settings.dtype)


def _normalise_channel(channel: np.ndarray, settings: PreparationSettings) -> np.ndarray:
    if settings.intensity == "zscore":
        deviation = float(channel.std(dtype=np.float64))
        centred = channel - np.float32(channel.mean(dtype=np.float64))
        return centred / np.float32(deviation) if deviation > 0 else np.zeros_like(channel)
    if settings.intensity == "window":
        assert settings.window is not None  # the model requires it
        low, high = settings.window
    elif settings.intensity == "percentile":
        low, high = (float(value) for value in np.percentile(channel, settings.percentiles))
        channel = np.clip(channel, low, high)
    else:
        low, high = float(channel.min()), float(channel.max())
    return (channel - np.float32(low)) / np.float32(high - low) if high > low else np.zeros_like(channel)
