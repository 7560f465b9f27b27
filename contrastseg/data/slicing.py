"""Which axis of its volumes a data set is cut along, for networks that see slices: one axis for all its cases."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from contrastseg.data.specs import DatasetSpec, RawCase
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
        steps: The spacing of an example that voted for the axis; None where none did.
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
        if self.steps is None:
            return f"slices are cut along {_NAMES[self.axis]}: no case has one axis of larger spacing than the others"
        size = " x ".join(f"{step:.4g}" for step in self.steps)
        text = f"slices are cut along {_NAMES[self.axis]}: the axis of the largest spacing ({size} mm)"
        if self.votes[self.axis] < self.cases:
            text += f" in {self.votes[self.axis]} of {self.cases} cases"
        if not self.agreed:
            others = ", ".join(f"{count} along {'zyx'[axis]}" for axis, count in enumerate(self.votes) if count)
            text += f"; the cases disagree ({others}), and all are cut alike"
        return text


def thick_axis(spacing: Sequence[float] | None) -> int | None:
    """The axis whose spacing is larger than any other's; None where there is none, or no spacing of a volume.

    Args:
        spacing: In array order, (z, y, x).
    """
    if spacing is None or len(spacing) != 3 or not all(0 < step < float("inf") for step in spacing):
        return None
    *_, second, largest = sorted(spacing)
    return list(spacing).index(largest) if largest > _MARGIN * second else None


def slice_axis(spacings: Iterable[Sequence[float] | None]) -> SliceAxis:
    """The axis that most cases have their largest spacing along; of axes with as many, the first.

    Args:
        spacings: Of every case, in array order; None where it is unknown.
    """
    votes, cases = [0, 0, 0], 0
    examples: dict[int, tuple[float, ...]] = {}
    for spacing in spacings:
        cases += 1
        if (axis := thick_axis(spacing)) is not None:
            votes[axis] += 1
            examples.setdefault(axis, tuple(spacing or ()))
    axis = votes.index(max(votes))
    return SliceAxis(axis, (votes[0], votes[1], votes[2]), cases, examples.get(axis))


def decide_slices(
    spec: DatasetSpec, found: Iterable[RawCase], options: Any, chosen: int | str | None
) -> SliceAxis | None:
    """The slice axis of a data set; None of photographs.

    Args:
        spec: The data set.
        found: Its cases. One that cannot be read has no vote: it is a fault where it is prepared.
        options: Of the data set, parsed.
        chosen: What `PreparationSettings.slice_axis` says.
    """
    if spec.spatial_dims == 2:
        return None
    if chosen != "largest_spacing":
        return SliceAxis(int(chosen or 0))
    spacings = []
    for raw in found:
        with contextlib.suppress(DataError):
            spacings.append(spec.load(raw, options).spacing if spec.spacing is None else spec.spacing(raw, options))
    return slice_axis(spacings)
