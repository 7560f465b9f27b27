"""What must hold for a native case before it is prepared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrastseg.data.specs import DatasetSpec, NativeCase, RawCase
from contrastseg.errors import DataError


def check_native(spec: DatasetSpec, raw: RawCase, native: NativeCase) -> None:
    """Check dimensions, shapes, finiteness, label values and spacing.

    Raises:
        DataError: What does not hold, with the case, its first file and the remedy.
    """
    file = raw.files[0] if raw.files else None

    def fail(reason: str, remedy: str) -> DataError:
        return DataError(reason, case=raw.case, file=file, remedy=remedy)

    if native.image.ndim != spec.spatial_dims + 1 or len(native.image) != len(spec.channels):
        raise fail(
            f"image of shape {native.image.shape} for {len(spec.channels)} channels of {spec.spatial_dims} dimensions",
            "check that the file is of this data set",
        )
    if native.image.size == 0:
        raise fail(f"an image without voxels, shape {native.image.shape}", "download or copy it again")
    finite = np.isfinite(native.image)
    if not finite.all():
        raise fail(
            f"{finite.size - int(finite.sum())} image voxels are NaN or infinite", "repair or leave out the case"
        )
    if native.spacing is not None and not all(np.isfinite(step) and step > 0 for step in native.spacing):
        raise fail(f"spacing {native.spacing} is not positive", "repair the header")
    if native.label is not None:
        _check_label(spec, native.label, native.image.shape[1:], fail_file=_label_file(raw), case=raw.case)


def _label_file(raw: RawCase) -> Path | None:
    return raw.files[-1] if raw.files else None


def _check_label(
    spec: DatasetSpec, label: np.ndarray, shape: tuple[int, ...], *, fail_file: Path | None, case: str
) -> None:
    if label.shape != shape:
        raise DataError(
            f"the image has shape {shape}, its label {label.shape}",
            case=case,
            file=fail_file,
            remedy="restore the published pair of files",
        )
    # Slice by slice: counting widens what it counts to eight bytes a voxel.
    counts = sum(np.bincount(part.ravel(), minlength=256) for part in label)
    values = np.flatnonzero(counts).tolist()
    if wrong := [value for value in values if value >= len(spec.classes) and value != 255]:
        known = ", ".join(f"{value} {name}" for value, name in enumerate(spec.classes))
        raise DataError(
            f"label values {wrong} are outside the declared set ({known}; 255 ignore)",
            case=case,
            file=fail_file,
            remedy="map the labels to the declared set",
        )
