"""Where a prepared array came from: the native grid, and the way back to it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from contrastseg.data.files.placement import NiftiHeader
from contrastseg.data.files.resampling import resample_image, resample_label
from contrastseg.files import read_json, wrap_parse_errors, write_json

NativeFormat = Literal["nifti", "png"]
Unit = Literal["mm", "voxel", "pixel"]
_Value = TypeVar("_Value")


def slices_first(values: Sequence[_Value], slice_axis: int) -> tuple[_Value, ...]:
    """Something of each native axis, in the order the prepared arrays have the axes in."""
    return (values[slice_axis], *values[:slice_axis], *values[slice_axis + 1 :])


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The native grid of a case and the shape its prepared arrays have. All in array order ((z, y, x) for volumes).

    Attributes:
        native_shape: Spatial shape of the native arrays.
        native_spacing: Distance of neighbouring voxel centres per axis in `unit`; None where it is unknown.
        unit: ``mm``; ``voxel`` or ``pixel`` where the spacing is unknown.
        affine: The file's own voxel-to-world matrix in mm (4x4, for its (x, y, z) indices); None where there is none.
        native_format: How labels of this case are stored.
        shape: Spatial shape of the prepared arrays, the slice axis first.
        header: What the file's NIfTI header says of its place, for labels to say the same; None where they say what
            spacing and affine do.
        slice_axis: The axis of the native arrays that the prepared ones have first.
        crop: The box (start, stop) of each native axis that the prepared arrays show; None where they show everything.
    """

    native_shape: tuple[int, ...]
    native_spacing: tuple[float, ...] | None
    unit: Unit
    affine: list[list[float]] | None
    native_format: NativeFormat
    shape: tuple[int, ...]
    header: NiftiHeader | None = None
    slice_axis: int = 0
    crop: tuple[tuple[int, int], ...] | None = None

    @property
    def spacing(self) -> tuple[float, ...] | None:
        """Spacing of the prepared grid, which covers the same extent as the native one or its crop."""
        if self.native_spacing is None:
            return None
        steps = slices_first(self.native_spacing, self.slice_axis)
        sizes = zip(steps, self._cut_shape, self.shape, strict=True)
        return tuple(step * native / prepared for step, native, prepared in sizes)

    @property
    def _cut_shape(self) -> tuple[int, ...]:
        """The native shape, or that of its crop, the slice axis first."""
        sizes = self.native_shape if self.crop is None else tuple(stop - start for start, stop in self.crop)
        return slices_first(sizes, self.slice_axis)

    def _uncut(self, array: np.ndarray, outside: float = 0) -> np.ndarray:
        """An array with its axes back in native order, `outside` beyond the crop; leading axes stay."""
        leading = array.ndim - len(self.shape)
        native = np.moveaxis(array, leading, leading + self.slice_axis)
        if self.crop is None:
            return native
        whole = np.full((*native.shape[:leading], *self.native_shape), outside, dtype=native.dtype)
        box = tuple(slice(start, stop) for start, stop in self.crop)
        whole[(slice(None),) * leading + box] = native
        return whole

    def to_native(self, array: np.ndarray, order: Literal[0, 1]) -> np.ndarray:
        """Bring a prepared array to the native grid.

        Args:
            array: (*spatial) or (K, *spatial) on the prepared grid.
            order: 0 for labels (nearest, type kept), 1 for images, logits and probabilities (linear, float32).

        Returns:
            The array on the native grid, with its leading axis if it had one; its very values where shapes are equal.
            Beyond a crop labels are 0, other fields have their smallest value.

        Raises:
            ValueError: The array is not on the prepared grid.
        """
        self._check(array)
        if order == 0:
            leading = array.shape[: array.ndim - len(self.shape)]
            return self._uncut(resample_label(array, (*leading, *self._cut_shape)))
        if array.ndim == len(self.shape):
            field = resample_image(array, self._cut_shape)
            return self._uncut(field, float(field.min()))
        result = np.empty((array.shape[0], *self._cut_shape), dtype=np.float32)
        for channel, field in enumerate(array):
            result[channel] = resample_image(field, self._cut_shape)
        return self._uncut(result, float(result.min()))

    def label_from_logits(self, logits: np.ndarray) -> np.ndarray:
        """The class with the largest logit on the native grid, class by class: two native volumes of memory, not K.

        Args:
            logits: (K, *spatial) on the prepared grid; probabilities serve as well.

        Returns:
            uint8 (*native spatial); the lowest class wins a tie, as in ``argmax``. Beyond a crop it is 0.
        """
        self._check(logits)
        best = resample_image(logits[0], self._cut_shape).copy()
        label = np.zeros(self._cut_shape, dtype=np.uint8)
        for index in range(1, len(logits)):
            field = resample_image(logits[index], self._cut_shape)
            label[field > best] = index
            np.maximum(best, field, out=best)
        return self._uncut(label)

    def _check(self, array: np.ndarray) -> None:
        if array.ndim not in (len(self.shape), len(self.shape) + 1) or array.shape[-len(self.shape) :] != self.shape:
            raise ValueError(f"array of shape {array.shape} is not on the prepared grid {self.shape}")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dictionary of the fields; those that say nothing are left out."""
        fields = dataclasses.asdict(self)
        for name in [name for name in ("header", "slice_axis", "crop") if not fields[name]]:
            del fields[name]
        return fields

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Geometry:
        """The geometry `to_dict` gave."""
        spacing = fields["native_spacing"]
        grid = cls(
            native_shape=tuple(fields["native_shape"]),
            native_spacing=None if spacing is None else tuple(spacing),
            unit=fields["unit"],
            affine=fields["affine"],
            native_format=fields["native_format"],
            shape=tuple(fields["shape"]),
            header=NiftiHeader.from_dict(fields.get("header")),
            slice_axis=fields.get("slice_axis", 0),
            crop=None if (crop := fields.get("crop")) is None else tuple((start, stop) for start, stop in crop),
        )
        grid._check_fields()
        return grid

    def _check_fields(self) -> None:
        sizes = (*self.native_shape, *self.shape)
        if not all(isinstance(size, int) and size > 0 for size in sizes) or len(self.shape) != len(self.native_shape):
            raise ValueError(f"shapes {self.native_shape} and {self.shape}")
        if self.slice_axis not in range(len(self.shape)):
            raise ValueError(f"slice axis {self.slice_axis}")
        if self.crop is not None and (
            len(self.crop) != len(self.shape)
            or not all(0 <= start < stop <= n for (start, stop), n in zip(self.crop, self.native_shape, strict=True))
        ):
            raise ValueError(f"crop {self.crop} of {self.native_shape}")
        steps = self.native_spacing
        if steps is not None and (len(steps) != len(self.shape) or not all(0 < step < math.inf for step in steps)):
            raise ValueError(f"spacing {steps}")
        if self.unit not in get_args(Unit) or self.native_format not in get_args(NativeFormat):
            raise ValueError(f"unit {self.unit}, format {self.native_format}")
        if self.affine is not None and np.asarray(self.affine, dtype=float).ndim != 2:
            raise ValueError(f"affine {self.affine}")

    def to_json(self, path: str | Path) -> None:
        """Write the geometry to a JSON file."""
        write_json(path, self.to_dict())

    @classmethod
    def from_json(cls, path: str | Path) -> Geometry:
        """Read the geometry from a JSON file.

        Raises:
            FileError: It is none.
        """
        with wrap_parse_errors(path, remedy="prepare the data set again"):
            return cls.from_dict(read_json(path))
