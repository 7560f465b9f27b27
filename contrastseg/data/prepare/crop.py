"""The box around a case's structures, for papers that prepared nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from contrastseg.data.settings import CropSettings
from contrastseg.errors import DataError
from contrastseg.labels import IGNORE


def label_box(
    label: np.ndarray | None, spacing: Sequence[float] | None, settings: CropSettings
) -> tuple[tuple[int, int], ...]:
    """The box (start, stop) of each axis that holds every voxel of a structure and the margin around it.

    Args:
        label: (*spatial), 0 is the background.
        spacing: Of the axes in mm; None where it is unknown, and the margin is voxels.
        settings: The margin and the axes to crop.

    Raises:
        DataError: The case has no label, no voxel of a structure, or no such axis.
    """
    if label is None:
        raise DataError(
            "the rule crops around the label, and the case has none", remedy="leave crop out of preparation"
        )
    if max(settings.axes) >= label.ndim:
        raise DataError(
            f"crop.axes names axis {max(settings.axes)} of {label.ndim}", remedy="name axes from 0 in array order"
        )
    structure = (label != 0) & (label != IGNORE)
    if not structure.any():
        raise DataError(
            "the rule crops around the label, and no voxel belongs to a structure",
            remedy="leave crop out of preparation, or remove the case",
        )
    box = []
    for axis, size in enumerate(label.shape):
        if axis not in settings.axes:
            box.append((0, size))
            continue
        there = np.flatnonzero(structure.any(axis=tuple(other for other in range(label.ndim) if other != axis)))
        step = 1.0 if spacing is None else spacing[axis]
        lacking = max(0.0, settings.least - step * (int(there[-1]) + 1 - int(there[0])))
        margin = math.ceil((settings.margin + lacking / 2) / step - 1e-6)
        box.append((max(0, int(there[0]) - margin), min(size, int(there[-1]) + 1 + margin)))
    return tuple(box)
