"""Label maps as files give them, and whether two of them lie on one grid. Arrays come in array order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastseg.data.files.formats import as_label, read_header, read_label
from contrastseg.data.files.itk import ITK_SUFFIXES, read_itk
from contrastseg.data.files.placement import (
    LARGEST_SHIFT,
    Affine,
    candidate_affines,
    grid_distance,
    scaled,
    unit_of_partner,
)
from contrastseg.data.files.tiff import is_tiff, read_tiff_label, spacing_beside
from contrastseg.evaluation.scoring.predictions import case_of

Grid = tuple[NDArray, tuple[float, ...] | None, list[Affine] | None]
"""A label map, its spacing in mm, and every place its header may be taken to give it."""


def read_label_map(path: Path, case: str) -> Grid:
    """Read a label map of any format that is scored.

    Raises:
        DataError: The file is unreadable or holds no label map.
    """
    if is_tiff(path):
        return as_label(read_tiff_label(path, case), case, path), spacing_beside(path, case_of(path)), None
    if not path.name.lower().endswith(ITK_SUFFIXES):
        label, steps, affine = read_label(path, case)
        return label, steps, None if affine is None else candidate_affines(affine, read_header(path, case))
    array, spacing, affine = read_itk(path, case)
    return as_label(array, case, path), spacing, [affine]


Lengths = tuple[tuple[float, ...] | None, list[Affine] | None]
"""A spacing and the candidate affines of a file, in mm."""


def in_one_unit(
    prediction: tuple[Path, *Lengths], reference: tuple[Path, *Lengths], shape: tuple[int, ...]
) -> tuple[Lengths, Lengths]:
    """The lengths of both files, where one names no unit in the unit that puts it on the other's grid."""
    (path, steps, affines), (other, spacing, expected) = prediction, reference
    if affines is None or expected is None:
        return (steps, affines), (spacing, expected)
    ours, theirs = read_header(path), read_header(other)
    here = unit_of_partner(ours, affines, theirs, expected, shape)
    there = unit_of_partner(theirs, expected, ours, affines, shape)
    return _multiplied(steps, affines, here), _multiplied(spacing, expected, there)


def _multiplied(spacing: tuple[float, ...] | None, affines: list[Affine], factor: float) -> Lengths:
    steps = None if spacing is None else tuple(step * factor for step in spacing)
    return steps, [scaled(affine, factor) for affine in affines]


def grid_difference(
    found: tuple[int, ...],
    steps: tuple[float, ...] | None,
    affines: list[Affine] | None,
    shape: tuple[int, ...],
    spacing: tuple[float, ...] | None,
    expected: list[Affine] | None,
) -> str | None:
    """Why two label maps cannot be compared; None where they can. What a format does not say is not compared."""
    if found != shape:
        return f"prediction of shape {found}, reference of shape {shape}"
    if steps is not None and spacing is not None:
        extent = np.array(shape) - 1  # along an axis of one voxel a step leads nowhere
        there, here = np.array(steps)[extent > 0], np.array(spacing)[extent > 0]
        away = np.max(np.abs(there - here) * extent[extent > 0] / np.maximum(here, np.finfo(float).tiny), initial=0)
        if not away <= LARGEST_SHIFT:
            return (
                f"prediction of spacing {printed_spacing(steps)} mm, reference of spacing {printed_spacing(spacing)} "
                f"mm: over the image they part by {away:.3g} voxels, {LARGEST_SHIFT:g} are allowed"
            )
    if affines is not None and expected is not None:
        away = grid_distance(expected, affines, shape)
        if not away <= LARGEST_SHIFT:
            return (
                f"prediction and reference lie in different places: their affines differ by {away:.3g} voxels, "
                f"{LARGEST_SHIFT:g} are allowed"
            )
    return None


def with_axes_of(
    shape: tuple[int, ...], labels: NDArray, steps: tuple[float, ...] | None
) -> tuple[NDArray, tuple[float, ...] | None]:
    """The prediction with as many axes as the reference: formats drop or add the slices of a single one."""
    more = len(shape) - labels.ndim
    if more > 0 and shape[:more] == (1,) * more:
        return labels.reshape((1,) * more + labels.shape), None if steps is None else (1.0,) * more + steps
    if more < 0 and labels.shape[:-more] == (1,) * -more:
        return labels.reshape(labels.shape[-more:]), None if steps is None else steps[-more:]
    return labels, steps


def printed_spacing(spacing: tuple[float, ...]) -> str:
    """Such as "10 x 1.25 x 1.25"."""
    return " x ".join(f"{step:.7g}" for step in spacing)
