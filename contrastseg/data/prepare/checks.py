"""What must hold for a native case before it is prepared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import is_turned
from contrastseg.data.prepare.extremes import unusable_voxels
from contrastseg.data.readers.mask_values import count_values, undeclared_ignore
from contrastseg.data.readers.specs import DatasetSpec, NativeCase, RawCase
from contrastseg.errors import DataError
from contrastseg.labels import IGNORE


def check_native(spec: DatasetSpec, raw: RawCase, native: NativeCase) -> None:
    """Check dimensions, shapes, finiteness, label values and spacing.

    Raises:
        DataError: The first thing that does not hold, with the case, its file and the remedy.
    """
    if faults := native_faults(spec, raw, native):
        raise faults[0]


def native_faults(spec: DatasetSpec, raw: RawCase, native: NativeCase) -> list[DataError]:
    """Everything that does not hold of a native case, the image's faults first."""
    faults = Faults()
    file = raw.files[0] if raw.files else None

    def fault(reason: str, remedy: str) -> None:
        faults.add(reason, case=raw.case, file=file, remedy=remedy)

    if native.image.ndim != spec.spatial_dims + 1 or len(native.image) != len(spec.channels):
        fault(
            f"image of shape {native.image.shape} for {len(spec.channels)} channels of {spec.spatial_dims} dimensions",
            f"give images with the channels {', '.join(spec.channels)} in {spec.spatial_dims} dimensions, or correct "
            "what declares them (channel_names and file_ending of nnU-Net's dataset.json)",
        )
    if native.image.size == 0:
        fault(
            f"an image without voxels, shape {native.image.shape}",
            "copy it again from where it was made, or leave out the case",
        )
    if problem := unusable_voxels(native.image):
        fault(*problem)
    if native.spacing is not None and not all(np.isfinite(step) and step > 0 for step in native.spacing):
        fault(
            f"spacing {native.spacing} is not positive",
            "write the distances of its voxels into the header, all above 0",
        )
    if native.label is not None:
        _check_label(spec, raw, native.label, native.image.shape[1:], faults)
    return faults.found


def _check_label(spec: DatasetSpec, raw: RawCase, label: np.ndarray, shape: tuple[int, ...], faults: Faults) -> None:
    file = raw.files[-1] if raw.files else None
    if label.shape != shape:
        reason, remedy = (
            f"the image has shape {shape}, its label {label.shape}",
            (
                "give the label as many pixels as its image has: export it again at the image's size; if it shows the "
                "whole image, `Image.open(label).resize(Image.open(image).size, Image.NEAREST)` (Pillow) does it"
            ),
        )
        if label.shape == shape[::-1] and any(map(is_turned, raw.files)):
            reason += ": one of them is stored turned (EXIF orientation) and was turned upright"
            remedy = (
                "turn the mask as viewers show the image, or, where it was drawn on the pixels as they are stored, "
            )
            remedy += "remove the tag Orientation from the photograph (`exiftool -Orientation= FILE`)"
        faults.add(reason, case=raw.case, file=file, remedy=remedy)
    known = {*range(len(spec.classes)), *((IGNORE,) if spec.ignore else ())}
    if wrong := [value for value in label_values(label) if value not in known]:
        declared = ", ".join(f"{value} {name}" for value, name in enumerate(spec.classes))
        faults.add(
            f"label values {wrong} are outside the declared set ({declared}{'; 255 ignore' if spec.ignore else ''})"
            f"{undeclared_ignore(wrong)}",
            case=raw.case,
            file=file,
            remedy="write declared values into the label"
            + (", or set `ignore` in the `DatasetSpec` of a data set of your own" if IGNORE in wrong else ""),
        )


def reading_notes(raw: RawCase, native: NativeCase) -> tuple[str, ...]:
    """What a reader of the tables should know of how a case was read: the loader's notes, and what was converted."""
    notes = list(native.notes)
    if any(map(is_turned, raw.files)):
        notes.append("stored turned (EXIF orientation), turned upright")
    if native.header is not None and native.header.millimetres != 1:
        notes.append(f"lengths stored in {native.header.unit_name}s, converted to mm")
    return tuple(notes)


def no_foreground(folder: Path | None, labelled: int) -> DataError:
    """The fault of a data set whose labels are all empty."""
    return DataError(
        f"no label has any foreground: all {labelled} are empty",
        file=folder,
        remedy="give the masks of the structure; a value that no other voxel has is not enough",
    )


def label_values(label: np.ndarray) -> list[int]:
    """The values in a uint8 label, sorted."""
    return list(count_values(label))


def has_foreground(values: Iterable[int]) -> bool:
    """Whether a label with these values holds any class beside the background."""
    return bool(set(values) - {0, IGNORE})
