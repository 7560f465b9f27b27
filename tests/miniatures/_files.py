"""Files in the formats of published data."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import h5py
import nibabel
import numpy as np
import SimpleITK
from PIL import Image

from contrastseg.data.files.itk import keeping_locale

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


def save_nrrd(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Save an array (z, y, x) with an affine as nibabel has it; also as any other format of ITK, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    steps = np.diag([-1.0, -1.0, 1.0]) @ affine[:3, :3]
    spacing = np.linalg.norm(steps, axis=0)
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((steps / spacing).ravel().tolist())
    image.SetOrigin((np.array([-1.0, -1.0, 1.0]) * affine[:3, 3]).tolist())
    SimpleITK.WriteImage(image, str(path))
    return path


def save_h5(path: Path, image: np.ndarray, label: np.ndarray) -> Path:
    """Save a pair as the community's files hold it, in the order of axes given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["image"], file["label"] = image, label
    return path


def save_slice(
    path: Path,
    pixels: np.ndarray,
    position: Sequence[float],
    *,
    spacing: tuple[float, float] = (0.8, 0.7),
    directions: Sequence[float] = (1, 0, 0, 0, 1, 0),
    series: int = 1,
    rescale: tuple[int, int] = (1, -1024),
) -> Path:
    """Save one DICOM slice.

    Args:
        path: The file.
        pixels: int16 (y, x), as they will be read: rescaled.
        position: Of the first pixel, in DICOM's world.
        spacing: Of rows, of columns.
        directions: Along a row, down a column.
        series: Number of the series.
        rescale: (slope, intercept).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    row, column = np.array(directions[:3], dtype=float), np.array(directions[3:], dtype=float)
    image = SimpleITK.GetImageFromArray(pixels.astype(np.int16)[None])
    image.SetSpacing([spacing[1], spacing[0], 1.0])
    image.SetOrigin([float(value) for value in position])
    image.SetDirection(np.column_stack([row, column, np.cross(row, column)]).ravel().tolist())
    root = "1.2.826.0.1.3680043.2.1125"
    tags = {
        "0008|0016": "1.2.840.10008.5.1.4.1.1.2",
        "0008|0018": f"{root}.{series}.{abs(hash_of(path.name))}",
        "0008|0020": "20200101",
        "0008|0030": "120000",
        "0008|0060": "CT",
        "0018|0088": "1",
        "0020|000d": f"{root}.1",
        "0020|000e": f"{root}.{series}",
        "0020|0052": f"{root}.2",
        "0020|0032": "\\".join(f"{value:g}" for value in position),
        "0020|0037": "\\".join(f"{value:g}" for value in directions),
        "0028|1052": str(rescale[1]),
        "0028|1053": str(rescale[0]),
    }
    for tag, value in tags.items():
        image.SetMetaData(tag, value)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetFileName(str(path))
    with keeping_locale():
        writer.Execute(image)
    return path


def hash_of(name: str) -> int:
    """A number that depends on the name alone."""
    return zlib.crc32(name.encode())


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
