"""Super-pixel maps of prepared images: regions of like appearance, slice by slice.

Felzenszwalb and Huttenlocher, Efficient graph-based image segmentation, IJCV 2004, as scikit-image has it.
"""

from __future__ import annotations

import warnings

import numpy as np

from contrastseg.data.settings import SuperpixelSettings


def superpixel_map(image: np.ndarray, settings: SuperpixelSettings) -> np.ndarray:
    """Divide a prepared image into regions.

    Args:
        image: (C, *spatial), as prepared; volumes are divided slice by slice along their first axis.
        settings: How coarse.

    Returns:
        int32 (*spatial): ids from 1 on, no id in two slices, 0 outside the body. The same image gives the same map.
    """
    from skimage.segmentation import felzenszwalb

    scaled = _to_unit_range(image)
    volume = scaled if scaled.ndim == 4 else scaled[:, None]
    superpixels = np.empty(volume.shape[1:], dtype=np.int32)
    first = 1
    for number in range(len(superpixels)):
        with warnings.catch_warnings():
            # It asks whether more than three channels are meant as channels; they are.
            warnings.filterwarnings("ignore", message="Got image with third dimension", category=RuntimeWarning)
            regions = felzenszwalb(
                np.ascontiguousarray(np.moveaxis(volume[:, number], 0, -1)),
                scale=settings.scale,
                sigma=settings.sigma,
                min_size=settings.min_size,
                channel_axis=-1,
            )
        kept = np.ones(int(regions.max()) + 1, dtype=bool)
        if settings.body is not None:
            brightness = volume[:, number].mean(axis=0).ravel()
            kept = np.bincount(regions.ravel(), brightness) / np.bincount(regions.ravel()) > settings.body
        ids = np.where(kept, np.cumsum(kept) - 1 + first, 0)
        superpixels[number] = ids[regions]
        first += int(kept.sum())
    return superpixels if scaled.ndim == 4 else superpixels[0]


def _to_unit_range(image: np.ndarray) -> np.ndarray:
    """float64 in [0, 1]: 8-bit values over 255, others by each channel's range over the whole case."""
    if image.dtype == np.uint8:
        return image / 255
    axes = tuple(range(1, image.ndim))
    values = image.astype(np.float64)
    low, high = values.min(axes, keepdims=True), values.max(axes, keepdims=True)
    return np.asarray((values - low) / np.where(high > low, high - low, 1))
