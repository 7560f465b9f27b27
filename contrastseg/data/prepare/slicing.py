"""Which axis of its volumes a data set is cut along, for networks that see slices: one axis for all its cases."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from contrastseg.data.readers.specs import DatasetSpec, RawCase
from contrastseg.errors import DataError

# Spacings that differ by less are one: headers round, and such a volume has no slices of its own.
_MARGIN = 1.01
_NAMES = ("z (0), a NIfTI file's last axis", "y (1), a NIfTI file's second axis", "x (2), a NIfTI file's first axis")


@dataclasses.dataclass(frozen=True)
class SliceAxis:
    """The axis of a data set, and how its cases would have it.

    Attributes:
        axis: In array order, (z, y, x).
        votes: Of each axis, how many cases have their largest spacing there.
        cases: How many cases there are; those without a vote have no spacing, or none larger than the others.
        steps: The spacing of an example that voted for the axis; None where none did, or where it has none.
    """

    axis: int
    votes: tuple[int, int, int] = (0, 0, 0)
    cases: int = 0
    steps: tuple[float, ...] | None = None

    @property
    def agreed(self) -> bool:
        """Whether every case that has a thick axis has this one."""
        return sum(self.votes) == self.votes[self.axis]

    def __str__(self) -> str:
        if not any(self.votes):
            return f"slices are cut along {_NAMES[self.axis]}: no case has one axis of larger spacing than the others"
        why = "the axis of a single voxel"
        if self.steps is not None and self.steps[self.axis] == max(self.steps):
            why = f"the axis of the largest spacing ({' x '.join(f'{step:.4g}' for step in self.steps)} mm)"
        text = f"slices are cut along {_NAMES[self.axis]}: {why}"
        if self.votes[self.axis] < self.cases:
            text += f" in {self.votes[self.axis]} of {self.cases} cases"
        if not self.agreed:
            others = ", ".join(f"{count} along {'zyx'[axis]}" for axis, count in enumerate(self.votes) if count)
            text += f"; the cases disagree ({others}), and all are cut alike"
        return text


def thick_axis(shape: Sequence[int], spacing: Sequence[float] | None) -> int | None:
    """The axis whose spacing is larger than any other's, or the one axis of a single voxel: of a volume of one slice.

    Args:
        shape: In array order, (z, y, x).
        spacing: Likewise; None where it is unknown.

    Returns:
        None where no axis stands out.
    """
    if len(shape) == 3 and [size > 1 for size in shape].count(False) == 1:
        return list(shape).index(1)
    if spacing is None or len(spacing) != 3 or not all(0 < step < float("inf") for step in spacing):
        return None
    *_, second, largest = sorted(spacing)
    return list(spacing).index(largest) if largest > _MARGIN * second else None


def slice_axis(grids: Iterable[tuple[Sequence[int], Sequence[float] | None]]) -> SliceAxis:
    """The axis that most cases have their largest spacing along (see `thick_axis`); of axes with as many, the first.

    Args:
        grids: Shape and spacing of every case, in array order; the spacing is None where it is unknown.
    """
    votes, cases = [0, 0, 0], 0
    examples: dict[int, tuple[float, ...]] = {}
    for shape, spacing in grids:
        cases += 1
        if (axis := thick_axis(shape, spacing)) is not None:
            votes[axis] += 1
            if spacing is not None:
                examples.setdefault(axis, tuple(spacing))
    axis = votes.index(max(votes))
    return SliceAxis(axis, (votes[0], votes[1], votes[2]), cases, examples.get(axis))


def decide_slices(
    spec: DatasetSpec, raw_cases: Iterable[RawCase], options: Any, chosen: int | str | None
) -> SliceAxis | None:
    """The slice axis of a data set; None of photographs.

    Args:
        spec: The data set.
        raw_cases: Its cases. One that cannot be read has no vote: it is a fault where it is prepared.
        options: Of the data set, parsed.
        chosen: What `PreparationSettings.slice_axis` says.
    """
    if spec.spatial_dims == 2:
        return None
    if chosen != "largest_spacing":
        return SliceAxis(int(chosen or 0))
    grids: list[tuple[tuple[int, ...], tuple[float, ...] | None]] = []
    for raw in raw_cases:
        with contextlib.suppress(DataError):
            if spec.grid is not None:
                grids.append(spec.grid(raw, options))
            else:
                native = spec.load(raw, options)
                grids.append((native.image.shape[1:], native.spacing))
    return slice_axis(grids)
