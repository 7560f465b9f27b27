"""Foreign label maps on the grid of their references: as they are, with axes reversed, or by nearest neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contrastseg.data.files.formats import is_nifti, read_header
from contrastseg.data.files.geometry import Geometry
from contrastseg.data.files.placement import Affine, candidate_affines
from contrastseg.errors import EnterError
from contrastseg.evaluation.entered.files import FORMATS
from contrastseg.evaluation.scoring.label_maps import (
    Grid,
    grid_difference,
    in_one_unit,
    printed_spacing,
    with_axes_of,
)

AXES = ("zyx", "xyz")
_EDGE = 1.0  # in voxels of the prediction: grids of rounded sizes end within less than one of each other
_REGRID = "write it on the grid of its image: resample labels by nearest neighbour, and keep the image's affine"


@dataclass(frozen=True)
class OnGrid:
    """A label map on its reference's grid.

    Attributes:
        labels: uint8 of the reference's shape, in array order.
        how: What was done to bring it there, in words; empty where it lay there.
    """

    labels: NDArray
    how: str = ""


def on_reference_grid(found: Grid, geometry: Geometry, *, case: str, file: Path, reference: Path, axes: str) -> OnGrid:
    """Bring a label map onto the grid of its reference.

    Args:
        found: The array, its spacing and its candidate affines, as the file has them.
        geometry: Of the reference.
        case: For messages.
        file: The label map's.
        reference: The reference's.
        axes: Order of the axes of arrays without a header: `zyx`, `xyz`, or empty to tell by the shape.

    Raises:
        EnterError: It lies on another grid, and nothing says for certain how to bring it back.
    """
    labels, steps, affines = found
    if file.name.lower().endswith((*FORMATS["h5"], *FORMATS["npz"])):
        labels, how = _in_array_order(labels, geometry.native_shape, case=case, file=file, axes=axes)
        return OnGrid(labels, how)
    shape = geometry.native_shape
    labels, steps = with_axes_of(shape, labels, steps)
    expected = None if geometry.affine is None else candidate_affines(geometry.affine, geometry.header)
    spacing = geometry.native_spacing if geometry.unit == "mm" else None
    # A header without a unit is taken for mm, unless another unit puts it on the very grid of its reference.
    ours, theirs = in_one_unit((file, steps, affines), (reference, spacing, expected), shape)
    difference = grid_difference(labels.shape, *ours, shape, *theirs)
    if difference is None:
        return OnGrid(labels)
    remedy = _REGRID
    if labels.shape == shape:
        remedy += "; or, if its voxels are those of the image in the same order, as an array (--format npz)"
    if affines is None or expected is None or labels.ndim != 3 or not (_placed(file) and _placed(reference)):
        raise EnterError(difference, case=case, file=file, remedy=remedy)
    back = _nearest(labels, affines[0], shape, expected[0])
    if back is None:
        raise EnterError(
            f"{difference}; the map does not cover its image, by the affines of both",
            case=case,
            file=file,
            remedy=f"{remedy}; pad a map of a part of the image with background",
        )
    size = "x".join(map(str, labels.shape))
    return OnGrid(back, f"shape {size}" + (f", spacing {printed_spacing(steps)} mm" if steps is not None else ""))


def _placed(file: Path) -> bool:
    """Whether a file says where its voxels lie."""
    header = read_header(file) if is_nifti(file) else None
    return header is None or header.placed


def _in_array_order(
    labels: NDArray, shape: tuple[int, ...], *, case: str, file: Path, axes: str
) -> tuple[NDArray, str]:
    """An array without a header, with its axes in array order, and what was done to it."""
    fits = {"zyx": labels.shape == shape, "xyz": labels.shape[::-1] == shape}
    if axes and fits[axes]:
        chosen = axes
    elif not axes and fits["zyx"] != fits["xyz"]:
        chosen = "zyx" if fits["zyx"] else "xyz"
    elif fits["zyx"] and not axes:
        raise EnterError(
            f"an array of shape {labels.shape} fits its reference with its axes in either order",
            case=case,
            file=file,
            remedy="say which it has: --axes zyx (SimpleITK's, rows before columns) or --axes xyz (nibabel's)",
        )
    else:
        raise EnterError(
            f"found an array of shape {labels.shape}, expected the reference's {shape}"
            + (f" with axes in the order {axes}" if axes else " or the reverse"),
            case=case,
            file=file,
            remedy="bring it back to the grid of its image, or store it as NIfTI with the image's affine",
        )
    if chosen == "zyx":
        return labels, ""
    return np.ascontiguousarray(labels.transpose()), "axes reversed: x, y, z to z, y, x"


def _nearest(labels: NDArray, ours: Affine, shape: tuple[int, ...], theirs: Affine) -> NDArray | None:
    """The labels on another grid, by nearest neighbour, slice by slice; None where they do not cover it.

    Args:
        labels: (z, y, x).
        ours: Affine in mm for their indices (x, y, z).
        shape: Of the other grid, in array order.
        theirs: Its affine.
    """
    affine = np.asarray(ours, dtype=float)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < np.finfo(float).tiny:
        return None
    matrix = np.linalg.solve(affine, np.asarray(theirs, dtype=float))
    sizes = np.array(labels.shape[::-1])[:, None, None]
    y, x = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    plane = matrix[:3, 0, None, None] * x + matrix[:3, 1, None, None] * y + matrix[:3, 3, None, None]
    result = np.empty(shape, dtype=labels.dtype)
    for z in range(shape[0]):
        place = plane + matrix[:3, 2, None, None] * z
        if (place < -0.5 - _EDGE).any() or (place > sizes - 0.5 + _EDGE).any():
            return None
        nearest = np.clip(np.rint(place).astype(int), 0, sizes - 1)
        result[z] = labels[nearest[2], nearest[1], nearest[0]]
    return result
