"""Where voxels lie: what a NIfTI header says of it, in millimetres, and how far grid_distance two grids are."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

Affine = list[list[float]]

# NIFTI_UNITS_METER and NIFTI_UNITS_MICRON. ITK takes every other code, 0 (unknown) too, for millimetres.
_MILLIMETRES = {1: 1e3, 3: 1e-3}
_UNITS = {0: "unknown", 1: "metre", 2: "mm", 3: "micron"}
LARGEST_SHIFT = 0.1
"""In voxels: what two grids may differ by and be one. Headers round to single precision, text formats to less."""


@dataclasses.dataclass(frozen=True)
class NiftiHeader:
    """The fields of a NIfTI header that place its voxels, as stored: lengths are in the file's own unit.

    Attributes:
        unit: Code of the spatial unit.
        qform_code: What the qform places the voxels in; 0 where it says nothing.
        sform_code: Likewise of the sform.
        steps: qfac, then the distances of voxels along (x, y, z).
        quaternion: b, c, d of the qform.
        offset: Of the qform.
        sform: Its three rows, one after the other.
    """

    unit: int
    qform_code: int
    sform_code: int
    steps: tuple[float, ...]
    quaternion: tuple[float, ...]
    offset: tuple[float, ...]
    sform: tuple[float, ...]

    @classmethod
    def of(cls, header: Any) -> NiftiHeader:
        """The fields of nibabel's header."""

        def values(*names: str) -> tuple[float, ...]:
            # An unused form may hold anything; what is no number cannot be stored with the prepared case.
            return tuple(
                np.nan_to_num(np.concatenate([np.ravel(header[name]) for name in names]).astype(float)).tolist()
            )

        return cls(
            int(header["xyzt_units"]) & 7,
            int(header["qform_code"]),
            int(header["sform_code"]),
            values("pixdim")[:4],
            values("quatern_b", "quatern_c", "quatern_d"),
            values("qoffset_x", "qoffset_y", "qoffset_z"),
            values("srow_x", "srow_y", "srow_z"),
        )

    @classmethod
    def plain(cls, affine: Affine | None, spacing: Sequence[float] | None) -> NiftiHeader:
        """What is written where the source was no NIfTI file: both forms say the same.

        Args:
            affine: In mm; the identity where it is unknown.
            spacing: In mm, in array order; None where it is unknown, as the unit then is.
        """
        import nibabel

        header = nibabel.Nifti1Header()
        header.set_data_shape((1,) * (3 if spacing is None else len(spacing)))
        matrix = np.eye(4) if affine is None else np.asarray(affine)
        header.set_qform(matrix, code=1)  # viewers that ignore the sform; shears stay in the sform only
        header.set_sform(matrix, code=1)
        if spacing is not None:
            header.set_xyzt_units("mm")
            header.set_zooms(tuple(spacing)[::-1])
        return cls.of(header)

    @classmethod
    def from_dict(cls, fields: dict[str, Any] | None) -> NiftiHeader | None:
        """The header that `dataclasses.asdict` gave, also by way of JSON."""
        if fields is None:
            return None
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**values)

    @property
    def unit_name(self) -> str:
        """The unit as a word."""
        return _UNITS.get(self.unit, f"code {self.unit}")

    @property
    def placed(self) -> bool:
        """Whether it says where the voxels lie."""
        return self.qform_code > 0 or self.sform_code > 0

    @property
    def names_unit(self) -> bool:
        """Whether it says what its lengths are in."""
        return self.unit in (1, 2, 3)

    @property
    def millimetres(self) -> float:
        """How many of them one of the file's units is."""
        return _MILLIMETRES.get(self.unit, 1.0)

    @property
    def spacing(self) -> tuple[float, ...]:
        """In mm, in array order (z, y, x)."""
        return tuple(step * self.millimetres for step in self.steps[:0:-1])

    def write(self, header: Any) -> None:
        """Put the fields into nibabel's header."""
        header["xyzt_units"] = self.unit
        header["qform_code"], header["sform_code"] = self.qform_code, self.sform_code
        header["pixdim"][:4] = self.steps
        for names, values in (("bcd", self.quaternion), ("xyz", self.offset)):
            for name, value in zip(names, values, strict=True):
                header[f"quatern_{name}" if names == "bcd" else f"qoffset_{name}"] = value
        for row, name in enumerate("xyz"):
            header[f"srow_{name}"] = self.sform[4 * row : 4 * row + 4]

    def forms(self) -> dict[str, Affine]:
        """The affines in mm that the header gives, by what gives them; the one that nibabel takes comes first.

        These are the sform and the qform where their codes say that they are set. A file without either lies where its
        reader puts it: nibabel centres it, ITK begins at the origin of its (left, posterior, superior) world, and the
        standard at that of its own.
        """
        affines = {}
        if self.sform_code > 0:
            affines["sform"] = np.vstack([np.reshape(self.sform, (3, 4)), [0, 0, 0, 1]])
        if self.qform_code > 0:
            with contextlib.suppress(ValueError):  # a quaternion that is none: no reader can take it
                affines["qform"] = self._qform()
        if not affines:
            sizes = np.asarray(self.steps[1:])
            affines = {"itk": np.diag([-sizes[0], -sizes[1], sizes[2], 1]), "origin": np.diag([*sizes, 1])}
        return {name: scaled(affine.astype(float).tolist(), self.millimetres) for name, affine in affines.items()}

    def _qform(self) -> np.ndarray:
        import nibabel

        header = nibabel.Nifti1Header()
        header.set_data_shape((1, 1, 1))
        self.write(header)
        return np.asarray(header.get_qform(), dtype=float)


def candidate_affines(affine: Affine, header: NiftiHeader | None) -> list[Affine]:
    """Every affine in mm that a reader may take for a file's, nibabel's (`affine`) first."""
    return [affine, *(header.forms().values() if header is not None else ())]


def shift(one: Affine, other: Affine, shape: Sequence[int]) -> float:
    """How far apart two affines put a grid: the farthest corner, in voxels of `one`.

    Along an axis of one voxel the grid has no extent, and its step says nothing; what leads out of a plane is measured
    in the shortest edge of its pixels.

    Args:
        one: In mm, for indices (x, y, z).
        other: Likewise.
        shape: Of the grid, in array order (z, y, x).
    """
    here, there = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    sizes = (*shape[::-1], 1)[:3]
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, size - 1) for size in sizes))], dtype=float)
    away = corners @ (here - there)[:3].T
    if not away.any():
        return 0.0
    longer = [axis for axis, size in enumerate(sizes) if size > 1] or [0, 1, 2]
    edges = here[:3, longer]
    lengths = np.linalg.norm(edges, axis=0)
    if not (np.isfinite(away).all() and np.isfinite(edges).all() and lengths.all()):
        return float("inf")
    along = away @ np.linalg.pinv(edges).T
    out = np.linalg.norm(away - along @ edges.T, axis=1) / lengths.min()
    return float(np.hypot(np.linalg.norm(along, axis=1), out).max())


def grid_distance(one: Sequence[Affine], other: Sequence[Affine], shape: Sequence[int]) -> float:
    """The smallest `shift` between where nibabel sees one file and any place of the other, or the reverse.

    A label that was drawn in a viewer has the place that the viewer saw, one of its image's. Two places that nibabel
    takes for neither do not count: a stale qform may be alike in all files of a data set.

    Args:
        one: `candidate_affines` of a file.
        other: Those of another.
        shape: Of both, in array order.
    """
    pairs = [(one[0], affine) for affine in other] + [(affine, other[0]) for affine in one]
    return min(shift(here, there, shape) for here, there in pairs)


def unit_of_partner(
    header: NiftiHeader | None,
    ours: Sequence[Affine],
    other: NiftiHeader | None,
    theirs: Sequence[Affine],
    shape: Sequence[int],
) -> float:
    """What a file's lengths are multiplied by where it names no unit and the file it belongs to does.

    Masks lose the unit where a program copies the affine of their image and not its header.

    Args:
        header: Of the file; None where its format has millimetres.
        ours: Its `candidate_affines`, taken for mm.
        other: The header of the other file.
        theirs: Its candidate affines.
        shape: Of both, in array order.

    Returns:
        What brings it nearest; 1 where the file names its unit, or the other does not either.
    """
    if header is None or header.names_unit or (other is not None and not other.names_unit):
        return 1.0
    factors = (1.0, *_MILLIMETRES.values())
    return min(factors, key=lambda factor: grid_distance([scaled(affine, factor) for affine in ours], theirs, shape))


def scaled(affine: Affine, factor: float) -> Affine:
    """An affine whose lengths are multiplied."""
    return [[value * factor for value in row] for row in affine[:3]] + affine[3:]


def difference(
    shape: Sequence[int], ours: Sequence[Affine], other_shape: Sequence[int], theirs: Sequence[Affine]
) -> str | None:
    """How two grids differ, with what was found and what is allowed; None where they are one.

    Args:
        shape: Of one, in array order.
        ours: Its `candidate_affines`.
        other_shape: Of the other.
        theirs: Its candidate affines.
    """
    if tuple(shape) != tuple(other_shape):
        return f"shape {tuple(shape)} and {tuple(other_shape)}"
    away = grid_distance(ours, theirs, shape)
    return None if away <= LARGEST_SHIFT else f"they lie up to {away:.3g} voxels apart, {LARGEST_SHIFT:g} are allowed"
