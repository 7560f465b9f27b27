"""The rule of preparation, applied to one native case: resampling, then the intensity rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from contrastseg.data.files import resampling
from contrastseg.data.files.geometry import Geometry, NativeFormat, slices_first
from contrastseg.data.files.placement import NiftiHeader
from contrastseg.data.prepare import intensity
from contrastseg.data.prepare.bias_field import correct_bias
from contrastseg.data.prepare.cases import Case
from contrastseg.data.prepare.crop import label_box
from contrastseg.data.prepare.extremes import require_contrast
from contrastseg.data.readers.specs import DatasetSpec, NativeCase, RawCase
from contrastseg.data.settings import PreparationSettings, given_for_volumes
from contrastseg.errors import DataError, invalid_values, unknown_name


def resolve(spec: DatasetSpec, preparation: PreparationSettings | Mapping[str, Any] | None) -> PreparationSettings:
    """The data set's own rule, with what a suite says put over it field by field.

    Raises:
        DataError: A field does not exist or has no valid value, or photographs get a rule for volumes.
    """
    given = preparation.model_dump(exclude_unset=True) if isinstance(preparation, PreparationSettings) else preparation
    rule = check(given, spec.preparation)
    if spec.spatial_dims == 2 and (unfit := given_for_volumes(rule.complete())):
        raise DataError(
            f"{spec.title} has photographs, no volumes: {unfit[0]} does not apply",
            remedy=f"leave {unfit[0]} out of preparation",
        )
    return rule


def check(given: Any, own: PreparationSettings | None = None) -> PreparationSettings:
    """What a suite says of the preparation, over a data set's own rule.

    Raises:
        DataError: It is no mapping, or a field does not exist or has no valid value.
    """
    if not isinstance(given, Mapping | None):
        raise DataError(f"preparation: {given!r:.60} is not a mapping", remedy="write it as {intensity: zscore}")
    for name in given or ():
        if name not in PreparationSettings.model_fields:
            raise DataError(unknown_name("key of preparation", str(name), list(PreparationSettings.model_fields)))
    try:
        return PreparationSettings.model_validate({**(own.model_dump() if own else {}), **(given or {})})
    except ValidationError as error:
        raise DataError(
            invalid_values(error, "preparation"), remedy="correct the value, or leave it out to keep the default"
        ) from error


def prepare_native(
    native: NativeCase,
    settings: PreparationSettings,
    native_format: NativeFormat,
    case: str,
    patient: str,
    frame: str | None,
    slice_axis: int = 0,
) -> Case:
    """Correct, crop, bring the slice axis to the front, resample and normalise one native case, in this order.

    Raises:
        DataError: The rule does not fit the case, or leaves its image no contrast.
    """
    require_contrast(native.image, settings)
    native_shape = native.image.shape[1:]
    crop = None if settings.crop is None else label_box(native.label, native.spacing, settings.crop)
    box = tuple(slice(0, n) for n in native_shape) if crop is None else tuple(slice(*ends) for ends in crop)
    shape = prepared_shape(tuple(part.stop - part.start for part in box), native.spacing, settings, slice_axis)
    header = native.header if native.header != NiftiHeader.plain(native.affine, native.spacing) else None
    grid = Geometry(
        native_shape, native.spacing, native.unit, native.affine, native_format, shape, header, slice_axis, crop
    )
    channels = correct_bias(native.image, native.spacing, settings.n4_shrink) if settings.n4 else native.image
    channels = np.moveaxis(channels[(slice(None), *box)], slice_axis + 1, 1)
    order = settings.image_order
    image = np.stack([resampling.resample_image(channel, shape, order=order, antialias=True) for channel in channels])
    label = None
    if native.label is not None:
        label = np.ascontiguousarray(resampling.resample_label(np.moveaxis(native.label[box], slice_axis, 0), shape))
    return Case(case, patient, frame, intensity.normalise(image, settings), label, grid)


def prepared_shape(
    native_shape: tuple[int, ...], spacing: tuple[float, ...] | None, settings: PreparationSettings, slice_axis: int = 0
) -> tuple[int, ...]:
    """The spatial shape the rule gives, the slice axis first.

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
    cut = slices_first(shape, slice_axis)
    return cut if settings.size is None else (*cut[:-2], *settings.size)


class wrap_case_errors:
    """Adds the case and its file to a `DataError` that knows neither."""

    def __init__(self, raw: RawCase) -> None:
        self.raw = raw

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DataError) and error.case is None:
            file = self.raw.files[0] if self.raw.files else None
            raise DataError(error.reason, case=self.raw.case, file=file, remedy=error.remedy) from error
