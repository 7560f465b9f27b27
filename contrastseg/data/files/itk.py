"""Volumes in the formats that ITK reads, such as NRRD."""

from __future__ import annotations

import contextlib
import locale
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

import numpy as np

from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError

_READERS = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}  # by name: ITK alone does not take `.MHA` for `.mha`
ITK_SUFFIXES = tuple(_READERS)
# ITK's world has x to the patient's left and y to the back (LPS), nibabel's has them to the right and front (RAS).
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_LONGEST_WORD = 200
_TEXT_FIELDS = (b"content:", b"data file:", b"datafile:")


@contextlib.contextmanager
def keeping_locale() -> Iterator[None]:
    """Give back the locale of the process: ITK's readers set C's, and text files would then be read as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


def read_itk(
    path: str | Path, case: str | None = None
) -> tuple[np.ndarray, tuple[float, float, float], list[list[float]]]:
    """Read a three-dimensional volume of one value a voxel; further axes may have length 1.

    Returns:
        The array (z, y, x); the spacing in mm in array order; the affine (4x4) for indices (x, y, z) as nibabel has it.

    Raises:
        DataError: The file is unreadable, of other dimensions, or of several values a voxel.
    """
    import SimpleITK

    path = Path(path)
    with wrap_read_errors(path, case), keeping_locale():
        _check_header(path)
        image = SimpleITK.ReadImage(str(path), imageIO=_READERS.get(path.suffix.lower(), ""))
        array = SimpleITK.GetArrayFromImage(image)
    dimensions = image.GetDimension()
    spacing, origin = image.GetSpacing(), image.GetOrigin()
    direction = np.reshape(image.GetDirection(), (dimensions, dimensions))
    while dimensions > 3 and len(array) == 1:  # a last axis of length 1, as some writers add for time
        array, dimensions = array[0], dimensions - 1
    if dimensions != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise DataError(
            f"a file of {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} values a voxel",
            case=case,
            file=path,
            remedy="give volumes of three dimensions and one value a voxel",
        )
    x, y, z = spacing[:3]
    return array, (z, y, x), affine_in_ras(direction[:3, :3] * spacing[:3], origin[:3])


def read_itk_grid(path: str | Path, case: str | None = None) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Read the shape (z, y, x) and the spacing in mm, without the voxels.

    Raises:
        DataError: The file is unreadable.
    """
    import SimpleITK

    path = Path(path)
    with wrap_read_errors(path, case), keeping_locale():
        _check_header(path)
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO(_READERS.get(path.suffix.lower(), ""))
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return tuple(map(int, reader.GetSize()[2::-1])), tuple(map(float, reader.GetSpacing()[2::-1]))


def _check_header(path: Path) -> None:
    """Refuse words in an NRRD header longer than any writer's: ITK's parser dies of them, and the process with it.

    Raises:
        ValueError: There is one.
    """
    with open(path, "rb") as file:
        if file.read(4) != b"NRRD":
            return
        for line in takewhile(bytes.strip, file):
            free_text = line.startswith((b"#", *_TEXT_FIELDS)) or b":=" in line
            longest = max(map(len, re.split(rb"[\s,()]+", line)))
            if longest > _LONGEST_WORD and not free_text:
                raise ValueError(f"a word of {longest} characters in the header")


def affine_in_ras(steps: np.ndarray, origin: Sequence[float] | np.ndarray) -> list[list[float]]:
    """The affine as nibabel has it, from ITK's world.

    Args:
        steps: (3, 3), column i being the step in mm of index i of (x, y, z).
        origin: World position of the first voxel in mm.
    """
    affine = np.eye(4)
    affine[:3, :3] = _LPS_TO_RAS @ steps
    affine[:3, 3] = _LPS_TO_RAS @ np.asarray(origin, dtype=float)
    return affine.tolist()
