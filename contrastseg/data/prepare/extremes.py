"""Intensities that ruin an image: no numbers, numbers too large for 32 bits, some so far out that the rest is flat.

One voxel of 1e30, or a region filled with it, leaves all other voxels with one value after normalisation. The network
then sees a constant image, and no later step can tell.
"""

from __future__ import annotations

import numpy as np

from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError

# Times the spread of an image's bulk, above or below it: 16 bits of a full range reach 65,536 times their step.
_FAR = 1e4
# What is that far out on more of the image is its content, unless it is absurdly far out.
_FEW, _ABSURD = 1e-4, 1e8
_HUGE = 1e15  # no scanner's
_SAMPLE = 1 << 20
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
# Steps of 32-bit numbers that an image's bulk has to span.
_STEPS = 16


def unusable_voxels(image: np.ndarray) -> tuple[str, str] | None:
    """What no rule of intensity can mend: the reason and a remedy; None where all voxels can be used.

    Args:
        image: (C, *spatial), any real type.
    """
    if image.dtype.kind != "f":
        return None
    if not image.size:
        return None
    low, high = float(image.min()), float(image.max())  # NaN where one voxel is
    if not (np.isfinite(low) and np.isfinite(high)):
        count = image.size - int(np.isfinite(image).sum())
        return (
            f"{count} image voxels are NaN or infinite",
            "write numbers there (`numpy.nan_to_num`), or leave out the case",
        )
    if max(-low, high) > _LARGEST:
        count = int(((image > _LARGEST) | (image < -_LARGEST)).sum())
        worst = high if high > _LARGEST else low
        remedy = "repair these voxels, or leave out the case"
        return f"{count} image voxels are too large for 32 bits, such as {worst:g}", remedy
    if 0 < max(-low, high) < _SMALLEST:
        return f"all image voxels vanish in 32 bits: the largest is {max(-low, high):g}", "scale the image"
    return None


def require_contrast(image: np.ndarray, settings: PreparationSettings) -> None:
    """Check that the rule of intensity leaves an image its contrast.

    Args:
        image: (C, *spatial), finite, native.
        settings: The rule. ``window`` clips what is far out, ``uint8`` refuses it by itself.

    Raises:
        DataError: Some voxels are so far out that all others become one value.
    """
    if settings.intensity in ("window", "uint8") or image.dtype.itemsize < 2:
        return
    for number, channel in enumerate(image):
        values = channel.reshape(-1)
        if settings.window is not None:
            values = np.clip(values, *settings.window)
        if settings.intensity == "percentile":
            sample = values[:: max(1, values.size // _SAMPLE)]
            values = np.clip(values, *np.percentile(sample, settings.percentiles))
        if problem := _flattened(values):
            of = f" of channel {number}" if len(image) > 1 else ""
            raise DataError(
                f"{problem}{of}: normalised by the rule {settings.intensity}, all others become one value",
                remedy="repair these voxels, or clip them: `preparation: {intensity: window, window: [low, high]}`",
            )


def _flattened(values: np.ndarray) -> str | None:
    """Which of the values (1-D) flatten the others; None where none do."""
    if not values.size:
        return None
    lowest, highest = float(values.min()), float(values.max())
    if max(-lowest, highest) >= _HUGE:
        usual = values[np.abs(values) < _HUGE]
        low, high = _bulk(usual, None)
        if low < high and _FAR * (high - low) < _HUGE:
            extreme = highest if highest >= _HUGE else lowest
            count = values.size - usual.size
            return f"{count} image voxels are far from all others ({low:g} to {high:g}), such as {extreme:g}"
    for extreme in (highest, lowest):
        # A value to fill with takes any share of an image; without it, the bulk is what the image shows.
        for left_out in (None, extreme):
            low, high = _bulk(values, left_out)
            distance = max(extreme - high, low - extreme)
            if low == high or distance <= _FAR * (high - low):
                continue
            far = values[(values > high + _FAR * (high - low)) | (values < low - _FAR * (high - low))]
            if distance > _ABSURD * (high - low) or far.size <= max(10, _FEW * values.size) or (far == extreme).all():
                return f"{far.size} image voxels are far from all others ({low:g} to {high:g}), such as {extreme:g}"
    low, high = _bulk(values, None)
    step = float(np.spacing(np.float32(max(abs(lowest), abs(highest)))))
    if values.dtype.itemsize > 2 and 0 < high - low < _STEPS * step:
        return f"the values, {low:.10g} to {high:.10g}, are too far from 0 for 32 bits to tell them apart"
    return None


def _bulk(values: np.ndarray, left_out: float | None) -> tuple[float, float]:
    """Between which values nearly all (1-D) lie; where most are one value, that one and what the others span."""
    for sample in (values[:: max(1, values.size // _SAMPLE)], values):
        kept = (sample if left_out is None else sample[sample != left_out]).astype(float)
        if not kept.size:
            continue
        low, high = np.quantile(kept, (0.005, 0.995), method="nearest").tolist()
        others = kept[kept != low] if low == high else kept[:0]
        if others.size > 1:
            inner = np.quantile(others, (0.05, 0.95), method="nearest").tolist()
            low, high = min(low, inner[0]), max(high, inner[1])
        if low < high:
            return low, high
        if sample.size == values.size:
            return low, high
    return 0.0, 0.0
