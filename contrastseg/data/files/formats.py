"""Image and label files: NIfTI and h5 for volumes; PNG, JPEG and BMP for photographs. Arrays come in array order."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.files.declared_size import check_declared_size
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.files.photographs import grey_values, open_image, open_photo, reversed_greys, turn_of
from contrastseg.data.files.placement import NiftiHeader, scaled
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.errors import DataError
from contrastseg.files import atomic_path
from contrastseg.labels import whole_numbers

NIFTI_SUFFIXES = (".nii.gz", ".nii")
PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
# Marks the NIfTI files we write for cases whose spacing nobody knows: their identity affine is a placeholder.
_NO_SPACING = b"voxel units: spacing unknown"
_PNG = b"\x89PNG"
# The chunks of a PNG file that may hold an orientation.
_PNG_TEXTS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")


def case_name(path: str | Path) -> str:
    """The file's name without the suffix of an image format (``a.b.nii.gz`` gives ``a.b``)."""
    name = Path(path).name
    for suffix in (*NIFTI_SUFFIXES, *PHOTO_SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def is_nifti(path: str | Path) -> bool:
    """Whether the name is a NIfTI file's."""
    return Path(path).name.lower().endswith(NIFTI_SUFFIXES)


def is_image(path: str | Path) -> bool:
    """Whether the name is that of an image this module reads."""
    return Path(path).name.lower().endswith((*NIFTI_SUFFIXES, *PHOTO_SUFFIXES))


def read_nifti(
    path: str | Path, case: str | None = None
) -> tuple[np.ndarray, tuple[float, ...] | None, list[list[float]]]:
    """Read a NIfTI file.

    Returns:
        The array with reversed axes ((z, y, x), or (c, z, y, x) of a 4-D file; axes after
        the fourth that have length 1 are dropped); the spacing in mm in array order from
        the header's pixdim (what ITK reports too), None in a file we wrote without one; nibabel's affine in mm. Micron
        and metre are converted; an unknown unit is millimetres, as ITK takes it.

    Raises:
        DataError: The file is unreadable, holds colours or complex numbers, or has other dimensions.
    """
    import nibabel

    path = Path(path)
    with wrap_read_errors(path, case):
        image: Any = nibabel.load(path)
        kind = image.get_data_dtype()
        check_declared_size(math.prod(image.shape) * kind.itemsize, path.stat().st_size, path, case)
        array = np.asanyarray(image.dataobj)
        while array.ndim > 4 and array.shape[-1] == 1:
            array = array[..., 0]
        header = NiftiHeader.of(image.header)
        zooms = tuple(float(zoom) * header.millimetres for zoom in image.header.get_zooms()[:3])
        affine = scaled(np.asarray(image.affine, dtype=float).tolist(), header.millimetres)
        known = bytes(image.header["descrip"].item()).rstrip(b"\0") != _NO_SPACING
    if kind.kind not in "iuf":
        raise DataError(
            "a NIfTI file of colours or complex numbers", case=case, file=path, remedy="give one real number a voxel"
        )
    if array.ndim not in (2, 3, 4):
        raise DataError(f"a NIfTI file of {array.ndim} dimensions", case=case, file=path, remedy="give 3-D volumes")
    return array.transpose(), zooms[::-1] if known else None, affine


def read_header(path: str | Path, case: str | None = None) -> NiftiHeader | None:
    """Read what a file's header says of where its voxels lie, without the voxels; None where it is no NIfTI file.

    Raises:
        DataError: The file is unreadable.
    """
    import nibabel

    if not is_nifti(path):
        return None
    with wrap_read_errors(path, case):
        image: Any = nibabel.load(path)
        return NiftiHeader.of(image.header)


def read_nifti_grid(path: str | Path, case: str | None = None) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Read the shape (z, y, x) of a NIfTI file and its spacing in mm, without the voxels.

    Raises:
        DataError: The file is unreadable.
    """
    import nibabel

    with wrap_read_errors(path, case):
        image: Any = nibabel.load(path)
        return tuple(map(int, image.shape[2::-1])), NiftiHeader.of(image.header).spacing


def read_h5(path: str | Path, case: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Read ``image`` and ``label`` of an h5 file as they are stored; their order of axes differs between data sets.

    Raises:
        DataError: The file is unreadable, lacks one of the two, or one is no array of real numbers.
    """
    import h5py

    path = Path(path)
    with wrap_read_errors(path, case), h5py.File(path) as file:
        missing = [key for key in ("image", "label") if key not in file]
        if missing:
            raise DataError(
                f"the file has no {' and no '.join(missing)}", case=case, file=path, remedy="restore the published file"
            )
        for key in ("image", "label"):
            if not isinstance(file[key], h5py.Dataset) or file[key].dtype.kind not in "biuf":
                raise DataError(
                    f"{key} is not an array of real numbers", case=case, file=path, remedy="restore the published file"
                )
            check_declared_size(file[key].size * file[key].dtype.itemsize, file[key].id.get_storage_size(), path, case)
        return file["image"][()], file["label"][()]


def read_photo(path: str | Path, case: str | None = None) -> np.ndarray:
    """Read a photograph upright, as uint8 (C, Y, X): three channels with colour, else one. Transparency is dropped."""
    path = Path(path)
    with wrap_read_errors(path, case), open_photo(path) as image:
        if image.mode.startswith(("I", "F")):
            raise DataError(
                f"an image of mode {image.mode}", case=case, file=path, remedy="convert it to 8 bits a channel"
            )
        grey = image.mode in ("1", "L", "LA")
        array = np.asarray(image.convert("L" if grey else "RGB"))
    return array[None] if grey else np.ascontiguousarray(array.transpose(2, 0, 1))


def read_image(path: str | Path) -> tuple[np.ndarray, Geometry]:
    """Read an image from outside the benchmark (NIfTI, PNG, JPEG, BMP).

    Returns:
        The image (C, *spatial) and its geometry, whose prepared shape is the native one.

    Raises:
        DataError: The file is missing, empty, truncated, or of a format that is not read.
    """
    path = Path(path)
    if is_nifti(path):
        array, spacing, affine = read_nifti(path)
        channels = array if array.ndim == 4 else array[None]
        shape = channels.shape[1:]
        if spacing is None:
            return channels, Geometry(shape, None, "voxel", None, "nifti", shape)
        return channels, Geometry(shape, spacing, "mm", affine, "nifti", shape, header=read_header(path))
    if not is_image(path):
        raise DataError("unsupported image format", file=path, remedy="give NIfTI, PNG, JPEG or BMP files")
    photo = read_photo(path)
    return photo, Geometry(photo.shape[1:], None, "pixel", None, "png", photo.shape[1:])


def read_label(
    path: str | Path, case: str | None = None
) -> tuple[np.ndarray, tuple[float, ...] | None, list[list[float]] | None]:
    """Read a label map from NIfTI or PNG.

    Returns:
        uint8 (*spatial) in array order, the spacing in mm or None where it is unknown, the affine or None.

    Raises:
        DataError: The file is unreadable, four-dimensional, of several channels or 16 bits, or holds no labels.
    """
    path = Path(path)
    if not is_nifti(path):
        return _read_photo_label(path, case), None, None
    array, spacing, affine = read_nifti(path, case)
    return as_label(one_volume(array, case, path), case, path), spacing, affine


def one_volume(array: np.ndarray, case: str | None, path: Path) -> np.ndarray:
    """The one label map in an array of `read_nifti`, whose fourth axis may have length 1.

    Raises:
        DataError: There are several.
    """
    if array.ndim < 4:
        return array
    if len(array) == 1:
        return np.asarray(array[0])
    raise DataError(
        f"a 4-D label of shape {array.shape[::-1]}",
        case=case,
        file=path,
        remedy="give one label map of the image's 3-D grid",
    )


def whole_label(array: np.ndarray, case: str | None, path: Path) -> np.ndarray:
    """The array as integers, rounded where it holds real numbers that are nearly whole (`labels.whole_numbers`).

    Raises:
        DataError: A value is not.
    """
    try:
        return whole_numbers(array)
    except ValueError as error:
        raise DataError(
            str(error),
            case=case,
            file=path,
            remedy="store class indices; resample label maps by nearest neighbour, and turn probabilities into classes",
        ) from error


def as_label(array: np.ndarray, case: str | None, path: Path) -> np.ndarray:
    """The array as uint8, real numbers rounded where they are nearly whole.

    Raises:
        DataError: A value is no whole number from 0 to 255.
    """
    array = whole_label(array, case, path)
    if array.dtype == np.uint8:
        return array
    label = array.astype(np.uint8)
    if not np.array_equal(label, array):
        wrong = np.unique(array[label != array])[:5].tolist()
        raise DataError(
            f"label values outside the whole numbers from 0 to 255: {wrong}",
            case=case,
            file=path,
            remedy="number the classes from 0 on",
        )
    return label


def is_turned(path: Path) -> bool:
    """Whether viewers show the file otherwise than its pixels are stored; False for files that are no photographs."""
    name = path.name.lower()
    if name.endswith((".tif", ".tiff")):
        # Pillow knows fewer kinds than our reader; one with pages is a volume, which nothing turns.
        with contextlib.suppress(Exception), open_image(path) as image:
            return getattr(image, "n_frames", 1) == 1 and turn_of(image) is not None
        return False
    if not name.endswith(PHOTO_SUFFIXES):
        return False
    with wrap_read_errors(path):
        content = path.read_bytes()
        if content.startswith(_PNG) and not any(name in content for name in _PNG_TEXTS):
            return False  # without decoding it: where it has an orientation, that may follow the pixels
        with open_image(path) as image:
            return turn_of(image) is not None


def _read_photo_label(path: Path, case: str | None) -> np.ndarray:
    with wrap_read_errors(path, case), open_photo(path) as image:
        if image.mode == "P" and not reversed_greys(image):
            return np.asarray(image).astype(np.uint8)
        grey = np.asarray(image).astype(np.uint8) if image.mode == "1" else grey_values(image)
        if grey is None or image.mode == "P":
            turned = ", whose palette shows low indices brighter than high ones" if image.mode == "P" else ""
            raise DataError(
                f"a mask of mode {image.mode}{turned}",
                case=case,
                file=path,
                remedy="store class indices in a greyscale or palette PNG of 8 bits (beside JPEG images, too)",
            )
        return grey


def write_label(path: str | Path, label: np.ndarray, geometry: Geometry) -> None:
    """Write a native label map in the case's native format, atomically; the same input gives the same bytes.

    Args:
        path: ``.nii.gz``, ``.nii`` or ``.png``; must fit `geometry.native_format`.
        label: (*native spatial), values 0..255, in array order.
        geometry: Gives spacing and affine; unit, qform, sform and their codes are written as they were read.

    Raises:
        DataError: The label is not on the native grid, or the name does not fit the format.
    """
    path = Path(path)
    if label.shape != geometry.native_shape:
        raise DataError(
            f"a label of shape {label.shape} for a native grid of {geometry.native_shape}",
            file=path,
            remedy="bring the label to the native grid first (`Geometry.to_native`)",
        )
    if is_nifti(path) != (geometry.native_format == "nifti"):
        raise DataError(f"the native format is {geometry.native_format}", file=path, remedy="name the file accordingly")
    values = np.ascontiguousarray(label, dtype=np.uint8)
    with atomic_path(path) as temporary:
        if geometry.native_format == "png":
            from PIL import Image

            Image.fromarray(values).save(temporary)
        else:
            _write_nifti(temporary, values, geometry)


def _write_nifti(path: Path, values: np.ndarray, geometry: Geometry) -> None:
    import nibabel

    image: Any = nibabel.Nifti1Image(values.transpose(), None)
    header = geometry.header or NiftiHeader.plain(geometry.affine, geometry.native_spacing)
    header.write(image.header)
    if geometry.native_spacing is None:
        image.header["descrip"] = _NO_SPACING
    nibabel.save(image, path)
