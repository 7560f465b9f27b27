"""All scores of one case in one pass: one confusion count, one border and one distance search per class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import EllipsisType

import numpy as np
import scipy  # its parts are imported by their first use
from numpy.typing import NDArray

from contrastseg.evaluation.metrics.catalogue import DEFAULT_METRICS, SURFACE_METRICS, resolve_metrics
from contrastseg.evaluation.metrics.conventions import Convention, get_convention
from contrastseg.evaluation.metrics.formulas import Tally, metric_value
from contrastseg.evaluation.metrics.overlap import confusion
from contrastseg.evaluation.metrics.surfaces import Borders
from contrastseg.labels import whole_numbers

Box = tuple[slice, ...]


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class in one case.

    Attributes:
        label: The class, 1..K-1.
        outcome: `scored`, `missed` (reference there, prediction empty), `invented` (the reverse) or `absent`.
        values: Score by metric, in the units of `unit_of`; NaN where undefined.
    """

    label: int
    outcome: str
    values: dict[str, float]


def image_diagonal(shape: Sequence[int], spacing: Sequence[float] | None) -> float:
    """√Σ((sizeᵢ-1)·spacingᵢ)², the distance between the farthest voxel centres; spacing 1 where it is None.

    Example:
        >>> image_diagonal((4, 5), None), image_diagonal((4, 5), (2.0, 2.0))
        (5.0, 10.0)
    """
    steps = [1.0] * len(shape) if spacing is None else spacing
    return math.hypot(*((size - 1) * step for size, step in zip(shape, steps, strict=True)))


def score_case(
    prediction: NDArray,
    reference: NDArray,
    spacing: Sequence[float] | None,
    classes: int | Sequence[int],
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    ignore: int | None = None,
    tolerance: float | Mapping[int, float] = 1.0,
    convention: str | Convention = "default",
) -> list[ClassScores]:
    """Score every class of one case.

    Args:
        prediction: Labels 0..K-1, (*spatial), 2D or 3D; real numbers are rounded where they are nearly whole. Borders
            and distances ignore axes of one voxel: a volume of one slice is scored as a 2D image.
        reference: Labels, same shape; `ignore` where there is no truth (those voxels count as background).
        spacing: Voxel sizes in array order; None where they are unknown, distances are then in voxels.
        classes: K (background included), or the labels to score.
        metrics: Names in the catalogue; derived ones are scored as what they are made from.
        ignore: Reference value to leave out (255 in prepared data); by default there is none.
        tolerance: Of NSD, in the unit of the spacing, for all classes or by label; a border this far away is within it.
        convention: What missed, invented and absent structures score, and more.

    Returns:
        One ClassScores per class, in the order of the labels.

    Raises:
        ValueError: Shapes differ, a label is no whole number or outside the classes, a voxel size is not positive, or a
            tolerance is negative.
        ScoringError: An unknown metric or convention, or a convention that refuses to score an empty mask.

    Example:
        >>> reference = np.zeros((8, 8), dtype=np.uint8)
        >>> reference[2:6, 2:6] = 1
        >>> (square,) = score_case(np.roll(reference, 1, axis=0), reference, (0.5, 0.5), 2, ("dice", "hd95"))
        >>> square.outcome, square.values
        ('scored', {'dice': 0.75, 'hd95': 0.5})
    """
    rule = get_convention(convention) if isinstance(convention, str) else convention
    given = prediction, reference, spacing, classes, metrics, [rule]
    return score_case_by_conventions(*given, ignore=ignore, tolerance=tolerance)[0]


def score_case_by_conventions(
    prediction: NDArray,
    reference: NDArray,
    spacing: Sequence[float] | None,
    classes: int | Sequence[int],
    metrics: Sequence[str],
    conventions: Sequence[Convention],
    *,
    ignore: int | None = None,
    tolerance: float | Mapping[int, float] = 1.0,
) -> list[list[ClassScores]]:
    """Score every class of one case under several conventions; borders and counts are shared. See `score_case`.

    Returns:
        For each convention what `score_case` returns.

    Example:
        >>> from contrastseg.evaluation.metrics.conventions import get_convention
        >>> reference = np.zeros((8, 8), dtype=np.uint8)
        >>> reference[2:6, 2:6] = 1
        >>> conventions = [get_convention("default"), get_convention("ssl4mis")]
        >>> scores = score_case_by_conventions(np.zeros_like(reference), reference, None, 2, ("hd95",), conventions)
        >>> [round(case.values["hd95"], 2) for (case,) in scores]
        [9.9, 0.0]
    """
    names = resolve_metrics(metrics)
    labels = list(range(1, classes)) if isinstance(classes, int | np.integer) else sorted(classes)
    lengths = tolerance.values() if isinstance(tolerance, Mapping) else [tolerance]
    if negative := [length for length in lengths if not length >= 0]:
        raise ValueError(f"a tolerance of {negative[0]}, which is no length")
    case = _Case.of(prediction, reference, spacing, ignore)
    scores: list[list[ClassScores]] = [[] for _ in conventions]
    # One class after the other: their masks and borders need not be in memory together.
    for structure in _structures(case, labels, with_surfaces=bool(SURFACE_METRICS.intersection(names))):
        label = structure.label
        within = tolerance[label] if isinstance(tolerance, Mapping) else tolerance
        for rule, of_convention in zip(conventions, scores, strict=True):
            values = _values(structure, names, within, rule)
            of_convention.append(ClassScores(label, structure.tally.outcome, values))
    return scores


@dataclass(frozen=True)
class _Case:
    """What all classes and conventions share.

    Attributes:
        prediction: Labels inside the box around all foreground, without axes of one voxel, 0 where there is no truth.
        reference: Likewise.
        known: Voxels of the whole image that have a truth.
        voxel_ml: Volume of a voxel; None in 2D and where the spacing is unknown.
        scales: Voxel sizes, by whether a convention knows the spacing.
        diagonals: The diagonal of the whole image, likewise.
    """

    prediction: NDArray
    reference: NDArray
    known: int
    voxel_ml: float | None
    scales: Mapping[bool, NDArray]
    diagonals: Mapping[bool, float]

    @classmethod
    def of(cls, prediction: NDArray, reference: NDArray, spacing: Sequence[float] | None, ignore: int | None) -> _Case:
        """Check and cut the arrays of a case as `score_case` takes them.

        Raises:
            ValueError: Shapes differ, a label is no whole number, or a voxel size is not positive.
        """
        if prediction.shape != reference.shape:
            raise ValueError(f"prediction {prediction.shape} and reference {reference.shape} differ in shape")
        prediction, reference = whole_numbers(prediction), whole_numbers(reference)
        voxel_ml = None if spacing is None or reference.ndim != 3 else math.prod(spacing) / 1000
        # Along an axis of one voxel nothing lies beside anything else: it would make every voxel border.
        prediction, reference, spacing = _longer_axes(prediction, reference, spacing)
        scales = {True: _scale(spacing, reference.ndim), False: _scale(None, reference.ndim)}
        diagonals = {known: image_diagonal(reference.shape, scale.tolist()) for known, scale in scales.items()}
        known = reference.size if ignore is None else int(np.count_nonzero(reference != ignore))
        box = _foreground_box(prediction, reference)
        prediction, reference = prediction[box], reference[box]
        if ignore is not None and (unknown := reference == ignore).any():
            prediction, reference = (np.where(unknown, 0, labels) for labels in (prediction, reference))
        return cls(prediction, reference, known, voxel_ml, scales, diagonals)


@dataclass(frozen=True)
class _Structure:
    """One class of a case.

    Attributes:
        case: The case.
        label: The class.
        tally: Its voxels.
        box: Holds the class in both arrays.
    """

    case: _Case
    label: int
    tally: Tally
    box: Box | EllipsisType

    @cached_property
    def masks(self) -> tuple[NDArray, NDArray]:
        """Prediction and reference inside the box."""
        return self.case.prediction[self.box] == self.label, self.case.reference[self.box] == self.label

    @cached_property
    def borders(self) -> Borders:
        """Both borders: of a class that both arrays have."""
        return Borders(*self.masks)


def _structures(case: _Case, labels: Sequence[int], *, with_surfaces: bool) -> Iterator[_Structure]:
    """The classes of a case with their voxels counted; for surfaces, in the box that each fills."""
    counts = confusion(case.prediction, case.reference, max(labels, default=0) + 1, ignore=None)
    # Of the image's rest, outside the box, both are background where there is a truth.
    foreground = int(counts.sum() - counts[0, 0]), int(counts[1:, 1:].sum())
    image = case.known, case.known - foreground[0], case.known - foreground[1]
    # A single class fills the box around all foreground: only where there are more is each looked for.
    looked_for = with_surfaces and len(counts) > 2
    boxes = (
        [scipy.ndimage.find_objects(labels_in) for labels_in in (case.prediction, case.reference)] if looked_for else []
    )
    for label in labels:
        tally = Tally(int(counts[label, label]), int(counts[:, label].sum()), int(counts[label].sum()), *image)
        boxed = bool(boxes) and tally.outcome == "scored"
        yield _Structure(case, label, tally, _joint(*(in_array[label - 1] for in_array in boxes)) if boxed else ...)


def _values(structure: _Structure, names: Sequence[str], tolerance: float, rule: Convention) -> dict[str, float]:
    """The scores of one class under one convention, by metric."""
    case, tally = structure.case, structure.tally
    scale, diagonal = case.scales[rule.spacing], case.diagonals[rule.spacing]
    if rule.backend == "medpy":
        from contrastseg.evaluation.metrics.medpy_backend import medpy_scores

        return medpy_scores(*structure.masks, scale, names, rule)
    measured = tally.outcome == "scored" and not SURFACE_METRICS.isdisjoint(names)
    distances = structure.borders.distances(scale) if measured else None
    return {name: metric_value(name, tally, distances, tolerance, case.voxel_ml, rule, diagonal) for name in names}


def _longer_axes(
    prediction: NDArray, reference: NDArray, spacing: Sequence[float] | None
) -> tuple[NDArray, NDArray, tuple[float, ...] | None]:
    """Both arrays and the spacing without the axes of one voxel; a single voxel keeps one."""
    axes = [axis for axis, size in enumerate(reference.shape) if size != 1] or [0]
    shape = [reference.shape[axis] for axis in axes]
    if spacing is not None:
        if len(spacing) != reference.ndim:
            raise ValueError(f"spacing {tuple(spacing)} for {reference.ndim} dimensions")
        spacing = tuple(float(spacing[axis]) for axis in axes)
        if reference.size > 1 and not all(0 < step < math.inf for step in spacing):
            raise ValueError(f"spacing {spacing} is not positive")
    return prediction.reshape(shape), reference.reshape(shape), spacing


def _scale(spacing: Sequence[float] | None, ndim: int) -> NDArray:
    return np.ones(ndim) if spacing is None else np.asarray(spacing, dtype=float)


def _foreground_box(prediction: NDArray, reference: NDArray) -> Box:
    """The smallest box around everything that is not background in either array; one voxel where there is nothing."""
    foreground = prediction != 0
    foreground |= reference != 0
    box = []
    for _ in range(foreground.ndim):
        # Of what is left of the volume, a projection: each axis after the first looks at one dimension less.
        filled = np.flatnonzero(foreground.any(axis=tuple(range(1, foreground.ndim))))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 1))
        foreground = foreground.any(axis=0)
    return tuple(box)


def _joint(first: Box, second: Box) -> Box:
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
