"""Files in the formats of published data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

# Oblique, anisotropic, x and y flipped, as scanners write them.
AFFINE = nibabel.affines.from_matvec(
    np.array([[-1.5, 0.1, 0.0], [0.1, -1.5, 0.9], [0.0, 0.2, 9.8]], dtype=np.float32), np.array([80.0, 90.0, -30.0])
)


def boxes(
    shape: Sequence[int], seed: int, values: Sequence[int] = (1, 2, 3), channels: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """A random float32 image ((C,) *spatial) that is brighter inside nested boxes, and the int16 boxes (*spatial)."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, dtype=np.int16)
    for number, value in enumerate(values, start=1):
        low = number + int(rng.integers(0, 2))
        inside = tuple(slice(low, -low) if size > 2 * low else slice(0) for size in shape[-2:])
        label[(slice(1, None), *inside) if len(shape) == 3 else inside] = value
    level = np.searchsorted(np.sort(np.unique(label)), label)
    image = rng.random((*(() if channels is None else (channels,)), *shape)) + level
    return image.astype(np.float32), label


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Save an array (z, y, x), or (c, z, y, x) as a 4-D file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array.transpose(), affine)
    nibabel.save(image, path)
    return path


def save_photo(path: Path, array: np.ndarray) -> Path:
    """Save a uint8 array (y, x) or (y, x, 3) in the format of the name's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)
    return path


def skin(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random RGB picture (y, x, 3) with a darker box, and the box as 0/255."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(150, 250, (*shape, 3))
    mask = np.zeros(shape, dtype=np.uint8)
    top, left = (int(rng.integers(2, size // 3)) for size in shape)
    mask[top : top + shape[0] // 2, left : left + shape[1] // 2] = 255
    picture[mask > 0] //= 2
    return picture.astype(np.uint8), mask
