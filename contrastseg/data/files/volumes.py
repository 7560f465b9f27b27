"""Volumes with their grids, NIfTI or ITK's: the two kinds of file that hold one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrastseg.data.files.formats import is_nifti, read_nifti, read_nifti_grid
from contrastseg.data.files.itk import read_itk, read_itk_grid
from contrastseg.data.files.placement import Affine, NiftiHeader, candidate_affines, scaled, unit_of_partner

Grid = tuple[tuple[int, ...], tuple[float, ...] | None, Affine, NiftiHeader | None]
"""Shape and spacing in array order, nibabel's affine, and what a NIfTI header says; lengths in mm."""


def read_located(path: Path, case: str) -> tuple[np.ndarray, tuple[float, ...] | None, Affine]:
    """Read a volume: array (z, y, x) or (c, z, y, x), spacing, affine (see `read_nifti` and `read_itk`).

    Raises:
        DataError: The file is unreadable.
    """
    return read_nifti(path, case) if is_nifti(path) else read_itk(path, case)


def read_grid(path: Path, case: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Read the shape of a volume and its spacing in mm, both in array order, without its voxels.

    Raises:
        DataError: The file is unreadable.
    """
    return read_nifti_grid(path, case) if is_nifti(path) else read_itk_grid(path, case)


def candidate_affines_beside(grid: Grid, affine: Affine, header: NiftiHeader | None) -> list[Affine]:
    """The candidate affines of a file beside another's grid, whose unit it has where it names none.

    Args:
        grid: The other's.
        affine: Of the file, in mm.
        header: Of the file; None where it is no NIfTI file.
    """
    affines = candidate_affines(affine, header)
    factor = unit_of_partner(header, affines, grid[3], candidate_affines(grid[2], grid[3]), grid[0])
    return [scaled(affine_, factor) for affine_ in affines]
