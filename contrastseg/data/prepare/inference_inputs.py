"""Images from outside the benchmark: for a trained network to label, prepared as its training data was."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from contrastseg.data.files import formats
from contrastseg.data.files.geometry import Geometry, Unit
from contrastseg.data.files.itk import ITK_SUFFIXES, read_itk
from contrastseg.data.files.placement import candidate_affines, difference
from contrastseg.data.files.tiff import TIFF_SUFFIXES, is_tiff, read_tiff, spacing_beside
from contrastseg.data.files.volumes import candidate_affines_beside
from contrastseg.data.prepare.cases import Case, DatasetJson
from contrastseg.data.prepare.extremes import require_contrast, unusable_voxels
from contrastseg.data.prepare.recipe import prepare_native, wrap_case_errors
from contrastseg.data.prepare.slicing import thick_axis
from contrastseg.data.readers.specs import NativeCase, RawCase
from contrastseg.errors import DataError
from contrastseg.files import OTHER_IMAGES

IMAGE_SUFFIXES = (*formats.NIFTI_SUFFIXES, *ITK_SUFFIXES, *formats.PHOTO_SUFFIXES, *TIFF_SUFFIXES)
_FORMATS = ", ".join(IMAGE_SUFFIXES)
_PHOTOS = (*formats.PHOTO_SUFFIXES, *TIFF_SUFFIXES)  # may hold three channels in one file


_CHANNEL = re.compile(r"(.+)_(\d{4})")
_LIKE_TRAINING = "give images like those the network was trained on"


def case_of(path: str | Path) -> str | None:
    """The name of an image without its suffix; None where it is of no format that is read."""
    name = Path(path).name
    suffix = next((suffix for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), None)
    return name[: -len(suffix)] if suffix else None


def inference_cases(source: str | Path, info: DatasetJson) -> dict[str, tuple[Path, ...]]:
    """The files of every case in a folder of images, or of the one image that is named.

    Where all images have nnU-Net's names (``case_0000.nii.gz``, one file a channel) for as many channels as `info` has,
    a case is its channels' files and has the name before the number; else every image is a case.

    Args:
        source: A file or a folder. Files that no one would take for an image are none of our business.
        info: Card of the prepared data set a network was trained on.

    Raises:
        DataError: There is no image, one is of a format that is not read, or two are of one name.
    """
    source = Path(source)
    images: dict[str, Path] = {}
    for path in [source] if source.is_file() else sorted(source.glob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        case = case_of(path)
        if case is None:
            if source.is_file() or path.name.lower().endswith(OTHER_IMAGES):
                out = "" if source.is_file() else ", or take it out of the folder"
                remedy = f"convert it to one of {_FORMATS}{out}"
                raise DataError("unsupported image format", file=path, remedy=remedy)
        elif case in images:
            # Their label maps would be one file.
            raise DataError(
                f"two images of one name: {images[case].name} and {path.name}",
                case=case,
                file=path,
                remedy="rename one",
            )
        else:
            images[case] = path
    if not images:
        raise DataError("image not found", file=source, remedy=f"give a file or a folder of {_FORMATS}")
    return _channels_together(images, len(info.channels)) or {case: (path,) for case, path in images.items()}


def _channels_together(images: Mapping[str, Path], channels: int) -> dict[str, tuple[Path, ...]] | None:
    """The cases with their channels' files in order; None where not every case has all of them and no others."""
    cases: dict[str, dict[int, Path]] = {}
    for name, path in images.items():
        numbered = _CHANNEL.fullmatch(name)
        if numbered is None:
            return None
        cases.setdefault(numbered[1], {})[int(numbered[2])] = path
    for files in cases.values():
        colours = channels == 3 and files.keys() == {0} and files[0].name.lower().endswith(_PHOTOS)
        if not colours and files.keys() != set(range(channels)):
            return None
    return {case: tuple(files[number] for number in sorted(files)) for case, files in cases.items()}


def prepare_inference_image(files: Sequence[Path], case: str, info: DatasetJson) -> Case:
    """Prepare one case from outside the benchmark the way `info`'s data set was prepared, but never cropped.

    Args:
        files: NIfTI, NRRD, MHA, TIFF, PNG, JPEG or BMP: one image, or one file a channel.
        case: Its name.
        info: Card of the prepared data set a network was trained on.

    Raises:
        DataError: An image is unreadable, or its channels or dimensions are not those of the data set.
    """
    read = read_inference_image(files, case, info)
    grid = read.geometry
    native = NativeCase(read.image, None, grid.native_spacing, grid.unit, grid.affine, header=grid.header)
    with wrap_case_errors(RawCase(case, case, None, tuple(files))):
        whole = info.preparation.model_copy(update={"crop": None})
        return prepare_native(native, whole, grid.native_format, case, case, None, info.slice_axis or 0)


def slices_otherwise(case: Case, info: DatasetJson) -> str | None:
    """What to tell of a case from outside whose largest spacing is not along the slice axis; None where it is.

    Args:
        case: As it was read or prepared.
        info: Card of the prepared data set a network was trained on.
    """
    axis = thick_axis(case.geometry.native_shape, case.geometry.native_spacing)
    if info.spatial_dims == 2 or axis in (None, info.slice_axis):
        return None
    steps = " x ".join(f"{step:.4g}" for step in case.geometry.native_spacing or ())
    return (
        f"{case.case}: the largest spacing is along axis {axis} of (z, y, x) ({steps} mm), and the network's slices "
        f"are cut along {info.slice_axis}, as in its training data: store the image's axes in the order those have"
    )


def read_inference_image(files: Sequence[Path], case: str, info: DatasetJson) -> Case:
    """Read one case from outside the benchmark as it is, on its native grid.

    Args:
        files: NIfTI, NRRD, MHA, TIFF, PNG, JPEG or BMP: one image, or one file a channel.
        case: Its name.
        info: Card of the prepared data set a network was trained on.

    Raises:
        DataError: An image is unreadable, its channels lie on different grids, or its channels or dimensions are not
            those of the data set.
    """
    first, *others = files
    image, grid = _read(first, case)
    for path in others:
        channel, its_grid = _read(path, case)
        if differs := _difference(grid, its_grid):
            raise DataError(
                f"the channels' grids differ: {first.name} and {path.name}; {differs}",
                case=case,
                file=path,
                remedy=_LIKE_TRAINING,
            )
        image = np.concatenate([image, channel])
    if len(info.channels) == 3 and len(image) == 1 and grid.native_format == "png":
        image = np.repeat(image, 3, axis=0)
    wanted = (len(info.channels), info.spatial_dims)
    if (len(image), image.ndim - 1) != wanted:
        named = f", or one file a channel, case_0000 to case_{wanted[0] - 1:04d}" if wanted[0] > 1 else ""
        raise DataError(
            f"{len(image)} channels of {image.ndim - 1} dimensions; {info.title} has {wanted[0]} of {wanted[1]}",
            case=case,
            file=first,
            remedy=_LIKE_TRAINING + named,
        )
    if problem := unusable_voxels(image):
        raise DataError(problem[0], case=case, file=first, remedy=problem[1])
    with wrap_case_errors(RawCase(case, case, None, tuple(files))):
        require_contrast(image, info.preparation)
    return Case(case, case, None, image, None, grid)


def _read(path: Path, case: str) -> tuple[np.ndarray, Geometry]:
    """An image and its grid; the label of a volume that ITK reads is stored as NIfTI on the same grid."""
    if is_tiff(path):
        image = read_tiff(path, case)
        if image.ndim == 3:
            return image, Geometry(image.shape[1:], None, "pixel", None, "png", image.shape[1:])
        steps = spacing_beside(path, case)
        placed = None if steps is None else np.diag([*steps[::-1], 1.0]).tolist()
        unit: Unit = "voxel" if steps is None else "mm"
        return image, Geometry(image.shape[1:], steps, unit, placed, "nifti", image.shape[1:])
    if not path.name.lower().endswith(ITK_SUFFIXES):
        return formats.read_image(path)
    array, spacing, affine = read_itk(path, case)
    return array[None], Geometry(array.shape, spacing, "mm", affine, "nifti", array.shape)


def _difference(one: Geometry, other: Geometry) -> str | None:
    """How the grids of two channels differ; None where they are one. Photographs have a shape alone."""
    if one.affine is None or other.affine is None:
        if one.native_shape != other.native_shape:
            return difference(one.native_shape, [], other.native_shape, [])
        return None if one.affine is other.affine else "one of them has no position"
    grid = one.native_shape, one.native_spacing, one.affine, one.header
    theirs = candidate_affines_beside(grid, other.affine, other.header)
    return difference(one.native_shape, candidate_affines(one.affine, one.header), other.native_shape, theirs)
