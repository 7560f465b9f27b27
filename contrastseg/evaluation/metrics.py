"""All scores of one case in one pass: one confusion count, one border and one distance search per class."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from contrastseg.evaluation.catalogue import DEFAULT_METRICS, METRICS, SURFACE_METRICS, resolve_metrics
from contrastseg.evaluation.conventions import Convention, get_convention
from contrastseg.evaluation.overlap import IGNORE, confusion
from contrastseg.evaluation.surfaces import SurfaceDistances, surface_distances

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
    """√Σ(sizeᵢ·spacingᵢ)², the longest distance the image has room for; spacing 1 where it is None."""
    steps = [1.0] * len(shape) if spacing is None else spacing
    return math.hypot(*(size * step for size, step in zip(shape, steps, strict=True)))


def score_case(
    prediction: NDArray,
    reference: NDArray,
    spacing: Sequence[float] | None,
    classes: int | Sequence[int],
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    ignore: int | None = IGNORE,
    tolerance: float | Mapping[int, float] = 1.0,
    convention: str | Convention = "default",
) -> list[ClassScores]:
    """Score every class of one case.

    Args:
        prediction: Integer labels 0..K-1, (*spatial), 2D or 3D.
        reference: Integer labels, same shape; `ignore` where there is no truth (those voxels count as background).
        spacing: Voxel sizes in array order; None where they are unknown, distances are then in voxels.
        classes: K (background included), or the labels to score.
        metrics: Names in the catalogue; derived ones are scored as what they are made from.
        ignore: Reference value to leave out.
        tolerance: Of NSD, in the unit of the spacing, for all classes or by label.
        convention: What missed, invented and absent structures score, and more.

    Returns:
        One ClassScores per class, in the order of the labels.

    Raises:
        ValueError: Shapes differ, or a label is outside the classes.
        ScoringError: An unknown metric or convention, or a convention that refuses to score an empty mask.
    """
    names = resolve_metrics(metrics)
    rule = get_convention(convention) if isinstance(convention, str) else convention
    labels = list(range(1, classes)) if isinstance(classes, int) else sorted(classes)
    if prediction.shape != reference.shape:
        raise ValueError(f"prediction {prediction.shape} and reference {reference.shape} differ in shape")
    # A boolean mask is a label map of one class.
    prediction, reference = (part.view(np.uint8) if part.dtype == bool else part for part in (prediction, reference))
    steps = spacing if rule.spacing else None
    diagonal = image_diagonal(reference.shape, steps)
    scale = np.ones(reference.ndim) if steps is None else np.asarray(steps, dtype=float)
    voxel_ml = None if spacing is None or reference.ndim != 3 else math.prod(spacing) / 1000

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

    scores = []
    for label in labels:
        tally = Tally(int(counts[label, label]), int(counts[:, label].sum()), int(counts[label].sum()))
        reach = tolerance if isinstance(tolerance, int | float) else tolerance[label]
        if measured and tally.outcome == "scored":
            joint = _joint(boxes[0][label - 1], boxes[1][label - 1]) if boxes else ...
            masks = prediction[joint] == label, reference[joint] == label
        else:
            masks = None
        if rule.backend == "medpy":
            from contrastseg.evaluation.medpy_backend import medpy_scores

            whole = masks or (prediction == label, reference == label)
            values = medpy_scores(*whole, scale, names, rule)
        else:
            distances = None if masks is None else surface_distances(*masks, scale)
            values = {name: _value(name, tally, distances, reach, voxel_ml, rule, diagonal) for name in names}
        scores.append(ClassScores(label, tally.outcome, values))
    return scores


@dataclass(frozen=True)
class Tally:
    """Voxel counts of one class: in both masks, in the prediction, in the reference."""

    both: int
    predicted: int
    referenced: int

    @property
    def outcome(self) -> str:
        """Which of the two masks hold anything."""
        if self.predicted and self.referenced:
            return "scored"
        if self.referenced:
            return "missed"
        return "invented" if self.predicted else "absent"


_COUNTED: dict[str, Callable[[Tally], float]] = {
    "dice": lambda t: 2 * t.both / (t.predicted + t.referenced),
    "iou": lambda t: t.both / (t.predicted + t.referenced - t.both),
    "precision": lambda t: t.both / t.predicted,
    "recall": lambda t: t.both / t.referenced,
    "intersection": lambda t: float(t.both),
    "union": lambda t: float(t.predicted + t.referenced - t.both),
}

_MEASURED: dict[str, Callable[[SurfaceDistances, float], float]] = {
    "hd95": lambda d, _: float(max(np.percentile(d.to_reference, 95), np.percentile(d.to_prediction, 95))),
    "hd95_pooled": lambda d, _: float(np.percentile(np.concatenate([d.to_reference, d.to_prediction]), 95)),
    "hd": lambda d, _: float(max(d.to_reference.max(), d.to_prediction.max())),
    # One mean over both borders (Metrics Reloaded, MONAI, medpy 0.5); older medpy averaged the two directed means.
    "assd": lambda d, _: float(np.concatenate([d.to_reference, d.to_prediction]).mean()),
    "asd": lambda d, _: float(d.to_reference.mean()),
    "nsd": lambda d, reach: float(np.mean(np.concatenate([d.to_reference, d.to_prediction]) <= reach)),
}


def _value(
    name: str,
    tally: Tally,
    distances: SurfaceDistances | None,
    tolerance: float,
    voxel_ml: float | None,
    rule: Convention,
    diagonal: float,
) -> float:
    if METRICS[name].kind == "count":
        return _COUNTED[name](tally)
    if METRICS[name].kind == "volume":
        if tally.outcome == "absent":
            return math.nan
        return abs(tally.predicted - tally.referenced) * (1.0 if voxel_ml is None else voxel_ml)
    if tally.outcome != "scored":
        return rule.empty_score(name, tally.outcome, diagonal)
    if distances is not None and name in SURFACE_METRICS:
        return _MEASURED[rule.definitions.get(name, name)](distances, tolerance)
    return _COUNTED[name](tally)


def _foreground_box(prediction: NDArray, reference: NDArray) -> Box:
    """The smallest box around everything that is not background in either array; one voxel where there is nothing."""
    foreground = prediction != 0
    foreground |= reference != 0
    box = []
    for axis in range(foreground.ndim):
        # Of what is left of the volume, a projection: each axis after the first looks at one dimension less.
        filled = np.flatnonzero(foreground.any(axis=tuple(range(1, foreground.ndim))))
        box.append(slice(int(filled[0]), int(filled[-1]) + 1) if filled.size else slice(0, 1))
        foreground = foreground.any(axis=0)
    return tuple(box)


def _joint(first: Box, second: Box) -> Box:
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
