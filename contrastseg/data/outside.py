"""Images from outside the benchmark: for a trained network to label, prepared as its training data was."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrastseg.data import formats
from contrastseg.data.cases import Case, DatasetJson
from contrastseg.data.geometry import Geometry
from contrastseg.data.itk import ITK_SUFFIXES, read_itk
from contrastseg.data.recipe import naming, prepare_native
from contrastseg.data.specs import NativeCase, RawCase
from contrastseg.errors import DataError

IMAGE_SUFFIXES = (*formats.NIFTI_SUFFIXES, *ITK_SUFFIXES, *formats.PHOTO_SUFFIXES)


def case_of(path: str | Path) -> str | None:
    """The name of an image without its suffix; None where it is of no format that is read."""
    name = Path(path).name
    suffix = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), None)
    return name[: -len(suffix)] if suffix else None


def prepare_outside_image(path: str | Path, info: DatasetJson) -> Case:
    """Prepare one image from outside the benchmark the way `info`'s data set was prepared.

    Args:
        path: NIfTI, NRRD, MHA, PNG, JPEG or BMP.
        info: Card of the prepared data set a network was trained on.

    Raises:
        DataError: The image is unreadable, or its channels or dimensions are not those of the data set.
    """
    case = read_outside_image(path, info)
    grid = case.geometry
    native = NativeCase(case.image, None, grid.native_spacing, grid.unit, grid.affine)
    with naming(RawCase(case.case, case.patient, None, (Path(path),))):
        return prepare_native(native, info.preparation, grid.native_format, case.case, case.patient, None)


def read_outside_image(path: str | Path, info: DatasetJson) -> Case:
    """Read one image from outside the benchmark as it is, on its native grid.

    Args:
        path: NIfTI, NRRD, MHA, PNG, JPEG or BMP.
        info: Card of the prepared data set a network was trained on.

    Raises:
        DataError: The image is unreadable, or its channels or dimensions are not those of the data set.
    """
    path = Path(path)
    name = case_of(path)
    if name is None:
        formats_read = ", ".join(IMAGE_SUFFIXES)
        raise DataError("not an image format that is read", file=path, remedy=f"give files of {formats_read}")
    image, grid = _read_volume(path, name) if path.name.lower().endswith(ITK_SUFFIXES) else formats.read_image(path)
    if len(info.channels) == 3 and len(image) == 1 and grid.native_format == "png":
        image = np.repeat(image, 3, axis=0)
    wanted = (len(info.channels), info.spatial_dims)
    if (len(image), image.ndim - 1) != wanted:
        raise DataError(
            f"{len(image)} channels of {image.ndim - 1} dimensions; {info.title} has {wanted[0]} of {wanted[1]}",
            case=name,
            file=path,
            remedy="give images like those the network was trained on",
        )
    if not np.isfinite(image).all():
        raise DataError("image voxels are NaN or infinite", case=name, file=path, remedy="repair the image")
    return Case(name, name, None, image, None, grid)


def _read_volume(path: Path, case: str) -> tuple[np.ndarray, Geometry]:
    """A volume that ITK reads; its label is stored as NIfTI on the same grid."""
    array, spacing, affine = read_itk(path, case)
    return array[None], Geometry(array.shape, spacing, "mm", affine, "nifti", array.shape)
