"""TIFF files as nnU-Net reads them: photographs of two dimensions, and volumes of one page a slice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.files.declared_size import check_declared_size
from contrastseg.data.files.photographs import falls
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError
from contrastseg.files import read_json, wrap_parse_errors

TIFF_SUFFIXES = (".tif", ".tiff")
_ORIENTATION = 274  # the tag's number


def is_tiff(path: str | Path) -> bool:
    """Whether the name is a TIFF file's."""
    return Path(path).name.lower().endswith(TIFF_SUFFIXES)


def is_volume(path: Path) -> bool:
    """Whether a file holds slices rather than one photograph.

    Raises:
        DataError: It is unreadable.
    """
    return len(_read(path, None, voxels=False)[0]) == 3


def read_tiff(path: Path, case: str | None = None) -> np.ndarray:
    """Read an image or a label with the values as they are stored.

    Returns:
        (C, Y, X) of a photograph, which is turned upright and loses its transparency, or (1, Z, Y, X) of a volume.

    Raises:
        DataError: The file is unreadable, has other dimensions, or is of no real numbers.
    """
    return np.asarray(_read(path, case, voxels=True)[1])


def read_tiff_label(path: Path, case: str | None = None) -> np.ndarray:
    """Read a label with the values as they are stored, those of a palette by index: (Y, X) or (Z, Y, X).

    Raises:
        DataError: The file is unreadable, has colours, or a palette that shows low indices brighter than high ones.
    """
    import tifffile

    label = read_tiff(path, case)
    if len(label) > 1:
        raise DataError("a label of colours", case=case, file=path, remedy="store class indices in one grey channel")
    with wrap_read_errors(path, case), tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        palette = page.colormap
    # As of a PNG: such indices were given by a program that shrinks files, and are no labels.
    if palette is not None and falls(np.asarray(palette).T, label):
        raise DataError(
            "a label whose palette shows low indices brighter than high ones",
            case=case,
            file=path,
            remedy="store class indices in one grey channel, without a palette",
        )
    return np.asarray(label[0])


def read_tiff_grid(path: Path, described: Path | None) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Shape of a file without its voxels, and the spacing that a JSON file says; both in array order."""
    return _read(path, None, voxels=False)[0], read_spacing(described)


def read_spacing(described: Path | None) -> tuple[float, ...] | None:
    """The spacing of a volume in mm in array order, from nnU-Net's ``case.json``; None without that file.

    Raises:
        DataError: It says no three positive numbers.
    """
    if described is None:
        return None
    with wrap_parse_errors(described, DataError, 'write {"spacing": [z, y, x]} in mm'):
        steps = tuple(float(step) for step in read_json(described)["spacing"])
        if len(steps) != 3 or not all(0 < step < math.inf for step in steps):
            raise ValueError(f"spacing is {steps}, expected three positive numbers")
    return steps


def spacing_beside(path: Path, case: str | None) -> tuple[float, ...] | None:
    """The spacing of a volume in mm in array order, from ``case.json`` beside it; None without that file.

    Raises:
        DataError: It says no three positive numbers.
    """
    described = path.with_name(f"{case}.json")
    return read_spacing(described if described.is_file() else None)


def _read(path: Path, case: str | None, *, voxels: bool) -> tuple[tuple[int, ...], np.ndarray | None]:
    """Spatial shape, and the array where it is asked for."""
    import tifffile

    with wrap_read_errors(path, case), tifffile.TiffFile(path) as file:
        series: Any = file.series[0]
        axes, shape, kind = str(series.axes), tuple(series.shape), np.dtype(series.dtype)
        check_declared_size(math.prod(shape) * kind.itemsize, path.stat().st_size, path, case)
        samples = axes.find("S")
        spatial = tuple(size for axis, size in zip(axes, shape, strict=True) if axis != "S")
        if (
            len(spatial) not in (2, 3)
            or (samples >= 0 and len(spatial) != 2)
            or not axes.replace("S", "").endswith("YX")
        ):
            raise DataError(
                f"a TIFF file of shape {shape}, axes {axes}",
                case=case,
                file=path,
                remedy="give photographs of one page, or volumes of one grey page a slice; one file a channel",
            )
        if kind.kind not in "biuf":
            raise DataError(f"a TIFF file of type {kind}", case=case, file=path, remedy="give one real number a pixel")
        if not voxels:
            return spatial, None
        array = np.asarray(series.asarray()).astype(kind.newbyteorder("="), copy=False)
        tag = series.pages[0].tags.get(_ORIENTATION)
    if len(spatial) == 3:
        return spatial, array[None]
    channels = array[None] if samples < 0 else np.moveaxis(array, samples, 0)
    channels = channels[: 3 if len(channels) >= 3 else 1]  # without transparency
    upright = _upright(channels, 1 if tag is None else int(tag.value))
    return upright.shape[1:], np.ascontiguousarray(upright)


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """(C, Y, X) as viewers show it."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(1, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[:, ::-1]
    return image
