"""The rule of preparation, applied to one native case: resampling, then the intensity rule."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data import formats, intensity, resampling
from contrastseg.data.cases import Case, DatasetJson
from contrastseg.data.geometry import Geometry, NativeFormat
from contrastseg.data.settings import PreparationSettings
from contrastseg.data.specs import DatasetSpec, NativeCase, RawCase
from contrastseg.errors import DataError


def resolve(spec: DatasetSpec, preparation: PreparationSettings | Mapping[str, Any] | None) -> PreparationSettings:
    """The data set's own rule, with what a suite says put over it field by field."""
    given = preparation.model_dump(exclude_unset=True) if isinstance(preparation, PreparationSettings) else preparation
    return PreparationSettings.model_validate({**spec.preparation.model_dump(), **(given or {})})


def prepare_native(
    native: NativeCase,
    settings: PreparationSettings,
    native_format: NativeFormat,
    case: str,
    patient: str,
    frame: str | None,
) -> Case:
    """Resample and normalise one native case."""
    native_shape = native.image.shape[1:]
    shape = prepared_shape(native_shape, native.spacing, settings)
    grid = Geometry(native_shape, native.spacing, native.unit, native.affine, native_format, shape)
    image = np.stack([resampling.resample_image(channel, shape, antialias=True) for channel in native.image])
    label = None if native.label is None else np.ascontiguousarray(resampling.resample_label(native.label, shape))
    return Case(case, patient, frame, intensity.normalise(image, settings), label, grid)


def prepared_shape(
    native_shape: tuple[int, ...], spacing: tuple[float, ...] | None, settings: PreparationSettings
) -> tuple[int, ...]:
    """The spatial shape the rule gives.

    Raises:
        DataError: The rule names a spacing and the case has none, or names it for another number of axes.
    """
    shape = list(native_shape)
    if settings.spacing is not None:
        if spacing is None:
            raise DataError(
                "the rule resamples to a spacing, but the data has none", remedy="use size instead of spacing"
            )
        if len(settings.spacing) != len(shape):
            raise DataError(
                f"spacing of {len(settings.spacing)} axes for arrays of {len(shape)}", remedy="name every axis"
            )
        for axis, wanted in enumerate(settings.spacing):
            if wanted is not None:
                shape[axis] = max(1, round(shape[axis] * spacing[axis] / wanted))
    if settings.size is not None:
        shape[-2:] = settings.size
    return tuple(shape)


def prepare_outside_image(path: str | Path, info: DatasetJson) -> Case:
    """Prepare one image from outside the benchmark the way `info`'s data set was prepared.

    Args:
        path: NIfTI, PNG, JPEG or BMP.
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
        path: NIfTI, PNG, JPEG or BMP.
        info: Card of the prepared data set a network was trained on.

    Raises:
        DataError: The image is unreadable, or its channels or dimensions are not those of the data set.
    """
    path = Path(path)
    image, grid = formats.read_image(path)
    name = formats.case_name(path)
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


class naming:
    """Adds the case and its file to a `DataError` that knows neither."""

    def __init__(self, raw: RawCase) -> None:
        self.raw = raw

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError) and error.case is None:
            file = self.raw.files[0] if self.raw.files else None
            raise DataError(error.reason, case=self.raw.case, file=file, remedy=error.remedy) from error
