"""All scores of one case in one pass: one confusion count, one border and one distance search per class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from contrastseg.evaluation.metrics.catalogue import DEFAULT_METRICS, SURFACE_METRICS, resolve_metrics
from contrastseg.evaluation.metrics.conventions import Convention, get_convention
from contrastseg.evaluation.metrics.overlap import confusion
from contrastseg.evaluation.metrics.surfaces import Borders
from contrastseg.evaluation.metrics.values import Tally, metric_value
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
    """√Σ((sizeᵢ-1)·spacingᵢ)², the distance between the farthest voxel centres; spacing 1 where it is None."""
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
    """
    names = resolve_metrics(metrics)
    labels = list(range(1, classes)) if isinstance(classes, int | np.integer) else sorted(classes)
    if wrong := [reach for reach in _each(tolerance) if not reach >= 0]:
        raise ValueError(f"a tolerance of {wrong[0]}, which is no length")
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction {prediction.shape} and reference {reference.shape} differ in shape")
    prediction, reference = whole_numbers(prediction), whole_numbers(reference)
    voxel_ml = None if spacing is None or reference.ndim != 3 else math.prod(spacing) / 1000
    # Along an axis of one voxel nothing lies beside anything else: it would make every voxel border.
    prediction, reference, spacing = _longer_axes(prediction, reference, spacing)
    # By whether a convention knows the spacing: voxel sizes and the diagonal.
    scales = {known: _scale(spacing if known else None, reference.ndim) for known in {c.spacing for c in conventions}}
    diagonals = {known: image_diagonal(reference.shape, scale.tolist()) for known, scale in scales.items()}

    box = _foreground_box(prediction, reference)
    prediction, reference = prediction[box], reference[box]
    if ignore is not None:
        unknown = reference == ignore
        if unknown.any():
            prediction, reference = (np.where(unknown, 0, part) for part in (prediction, reference))
    counts = confusion(prediction, reference, max(labels, default=0) + 1, ignore=None)
    measured = bool(SURFACE_METRICS.intersection(names))
    # A single class fills the box around all foreground: only where there are more is each looked for.
    boxes = [find_objects(part) for part in (prediction, reference)] if measured and len(counts) > 2 else []

    called = any(rule.backend == "medpy" for rule in conventions)
    scores: list[list[ClassScores]] = [[] for _ in conventions]
    for label in labels:
        tally = Tally(int(counts[label, label]), int(counts[:, label].sum()), int(counts[label].sum()))
        reach = tolerance[label] if isinstance(tolerance, Mapping) else tolerance
        joint: Box | EllipsisType = ...
        if boxes and tally.outcome == "scored":
            joint = _joint(boxes[0][label - 1], boxes[1][label - 1])
        if called or (measured and tally.outcome == "scored"):
            masks = prediction[joint] == label, reference[joint] == label
        borders = Borders(*masks) if measured and tally.outcome == "scored" else None
        for rule, rows in zip(conventions, scores, strict=True):
            scale = scales[rule.spacing]
            if rule.backend == "medpy":
                from contrastseg.evaluation.metrics.medpy_backend import medpy_scores

                values = medpy_scores(*masks, scale, names, rule)
            else:
                found = None if borders is None else borders.distances(scale)
                diagonal = diagonals[rule.spacing]
                values = {name: metric_value(name, tally, found, reach, voxel_ml, rule, diagonal) for name in names}
            rows.append(ClassScores(label, tally.outcome, values))
    return scores


def _each(tolerance: float | Mapping[int, float]) -> list[float]:
    return list(tolerance.values()) if isinstance(tolerance, Mapping) else [tolerance]


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
