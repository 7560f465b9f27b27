"""DICOM series as volumes: slices in the order of their position, nothing missing, nothing mixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contrastseg.data.files.dicom_lengths import check_lengths
from contrastseg.data.files.itk import affine_in_ras, keeping_locale
from contrastseg.data.files.placement import LARGEST_SHIFT, shift
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError

_SERIES = "0020|000e"
_POSITION = "0020|0032"
# Positions are written with few decimals; a missing slice changes a gap by the whole distance.
_UNEVEN = 0.05
# Of a pixel: slices that are no farther apart lie in one place.
_ONE_PLACE = 1e-3


class Series(NamedTuple):
    """A volume read from slices.

    Attributes:
        array: (z, y, x), z along the normal of the slices, rescaled (Hounsfield units of CT).
        spacing: In mm, (z, y, x).
        affine: For indices (x, y, z), as nibabel has it.
        order: Index among the files given of each slice of `array`.
    """

    array: np.ndarray
    spacing: tuple[float, float, float]
    affine: list[list[float]]
    order: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class _Slice:
    path: Path
    index: int
    pixels: np.ndarray  # (y, x)
    origin: np.ndarray
    directions: np.ndarray  # (3, 3), columns: along a row, down a column, normal
    spacing: tuple[float, ...]  # (x, y, z)
    series: str


def read_series(files: Sequence[Path], case: str | None = None, *, one_series: bool = True) -> Series:
    """Read the slices of one series, in any order of files.

    Args:
        files: One file a slice.
        case: For messages.
        one_series: Whether all must bear the same series instance UID; False where anonymisation changed them.

    Raises:
        DataError: A slice is unreadable, holds several frames or knows no position; slices of several series or grids
            are mixed; two lie in one place, or a gap shows that some are missing.
    """
    slices = [_read(path, index, case) for index, path in enumerate(files)]
    if not slices:
        raise DataError("the image has no slices", case=case, remedy="restore the published files")
    first = slices[0]
    for other in slices[1:]:
        _same_grid(first, other, case, one_series)
    normal = first.directions[:, 2]
    slices.sort(key=lambda item: float(item.origin @ normal))
    step = _step(slices, normal, case)
    x, y, _ = first.spacing
    steps = np.column_stack([first.directions[:, 0] * x, first.directions[:, 1] * y, step])
    spacing = (float(np.linalg.norm(step)), y, x)
    array = np.stack([item.pixels for item in slices])
    return Series(array, spacing, affine_in_ras(steps, slices[0].origin), tuple(item.index for item in slices))


def _read(path: Path, index: int, case: str | None) -> _Slice:
    import SimpleITK

    with wrap_read_errors(path, case), keeping_locale():
        check_lengths(path, case)
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        image = reader.Execute()
        pixels = SimpleITK.GetArrayFromImage(image)
    remedy = "restore the published slice"
    if pixels.ndim != 3 or len(pixels) != 1:
        raise DataError(f"a slice of shape {pixels.shape}", case=case, file=path, remedy=remedy)
    if not image.HasMetaDataKey(_POSITION):
        raise DataError("the slice has no position", case=case, file=path, remedy=remedy)
    return _Slice(
        path=path,
        index=index,
        pixels=_narrow(pixels[0]),
        origin=np.array(image.GetOrigin()),
        directions=np.reshape(image.GetDirection(), (3, 3)),
        spacing=image.GetSpacing(),
        series=image.GetMetaData(_SERIES).strip("\0 ") if image.HasMetaDataKey(_SERIES) else "",
    )


def _narrow(pixels: np.ndarray) -> np.ndarray:
    """The same values in 16 bits where they fit: rescaling gives 32, too many for a whole scan."""
    limits = np.iinfo(np.int16)
    fits = pixels.dtype.kind in "iu" and pixels.min() >= limits.min and pixels.max() <= limits.max
    return pixels.astype(np.int16) if fits else pixels


def _same_grid(first: _Slice, other: _Slice, case: str | None, one_series: bool) -> None:
    differs, detail = None, ""
    away = [
        _shift(first, directions, spacing)
        for directions, spacing in ((other.directions, first.spacing), (first.directions, other.spacing))
    ]
    if one_series and other.series != first.series:
        differs = "series"
    elif other.pixels.shape != first.pixels.shape:
        differs, detail = "shape", f" ({other.pixels.shape} and {first.pixels.shape})"
    elif not max(away) <= LARGEST_SHIFT:
        differs = "orientation" if away[0] >= away[1] else "pixel spacing"
        detail = f" (their corners part by {max(away):.3g} pixels, {LARGEST_SHIFT:g} are allowed)"
    if differs:
        raise DataError(
            f"slices of different {differs}: this one and {first.path.name}{detail}",
            case=case,
            file=other.path,
            remedy="leave the slices of one series in the folder",
        )


def _shift(first: _Slice, directions: np.ndarray, spacing: Sequence[float]) -> float:
    """How many pixels the corners of a slice move with other directions or another spacing."""
    planes = [np.eye(4), np.eye(4)]
    planes[0][:3, :2] = first.directions[:, :2] * first.spacing[:2]
    planes[1][:3, :2] = directions[:, :2] * spacing[:2]
    return shift(planes[0].tolist(), planes[1].tolist(), first.pixels.shape)


def _step(slices: Sequence[_Slice], normal: np.ndarray, case: str | None) -> np.ndarray:
    """From each slice to the next (3,), in mm; `slices` are sorted."""
    if len(slices) == 1:
        return normal * slices[0].spacing[2]
    gaps = np.diff([float(item.origin @ normal) for item in slices])
    usual = float(np.median(gaps))
    for before, after, gap in zip(slices, slices[1:], gaps.tolist(), strict=False):
        if gap < _ONE_PLACE * min(slices[0].spacing[:2]):
            raise DataError(
                f"two slices of the image lie in one place, this one and {before.path.name}",
                case=case,
                file=after.path,
                remedy="keep one of them",
            )
        if abs(gap - usual) > _UNEVEN * usual:
            raise DataError(
                f"the image lacks slices, or they lie unevenly: {gap:g} mm from {before.path.name} to this one, "
                f"{usual:g} mm elsewhere; {_UNEVEN:.0%} of that is allowed",
                case=case,
                file=after.path,
                remedy="restore the published slices",
            )
    return np.asarray((slices[-1].origin - slices[0].origin) / (len(slices) - 1))
