"""The value of one metric of one class from what was counted and measured of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contrastseg.evaluation.metrics.catalogue import METRICS, SURFACE_METRICS
from contrastseg.evaluation.metrics.conventions import Convention
from contrastseg.evaluation.metrics.surfaces import SurfaceDistances


@dataclass(frozen=True)
class Tally:
    """Voxel counts of one class: in both masks, in the prediction, in the reference, and those of the whole image.

    Attributes:
        known: Voxels of the image whose class is known.
        background: Voxels that are background in both masks.
        background_union: Voxels that are background in either.
    """

    both: int
    predicted: int
    referenced: int
    known: int
    background: int
    background_union: int

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
    "accuracy": lambda t: 1 - (t.predicted + t.referenced - 2 * t.both) / t.known if t.known else math.nan,
    "background_iou": lambda t: t.background / t.background_union if t.background_union else math.nan,
    "background_intersection": lambda t: float(t.background),
    "background_union": lambda t: float(t.background_union),
    "intersection": lambda t: float(t.both),
    "union": lambda t: float(t.predicted + t.referenced - t.both),
}

# "Within" includes the boundary, and headers hold spacings in single precision: three steps of 0.8 may be a little more
# than 2.4. Two distances on one grid that differ by less than a millionth are one.
_ROUNDING = 1e-6

_MEASURED: dict[str, Callable[[SurfaceDistances, float], float]] = {
    "hd95": lambda d, _: float(max(np.percentile(d.to_reference, 95), np.percentile(d.to_prediction, 95))),
    "hd95_pooled": lambda d, _: float(np.percentile(_pooled(d), 95)),
    "hd": lambda d, _: float(max(d.to_reference.max(), d.to_prediction.max())),
    # One mean over both borders (Metrics Reloaded, MONAI, medpy 0.5); older medpy averaged the two directed means.
    "assd": lambda d, _: float(_pooled(d).mean()),
    "asd": lambda d, _: float(d.to_reference.mean()),
    "nsd": lambda d, reach: float(np.mean(_pooled(d) <= reach * (1 + _ROUNDING))),
}


def _pooled(distances: SurfaceDistances) -> NDArray:
    return np.concatenate([distances.to_reference, distances.to_prediction])


def metric_value(
    name: str,
    tally: Tally,
    distances: SurfaceDistances | None,
    tolerance: float,
    voxel_ml: float | None,
    rule: Convention,
    diagonal: float,
) -> float:
    """The score of one metric.

    Args:
        name: A name in the catalogue.
        tally: What was counted.
        distances: Between the borders, in the unit `rule` asks for; None where a mask is empty or nothing needs them.
        tolerance: Of NSD, in that unit; included.
        voxel_ml: Volume of a voxel in millilitres; None counts voxels.
        rule: What a structure scores that is missing from a mask.
        diagonal: The image's, in that unit.
    """
    if METRICS[name].kind in ("count", "share"):  # of the whole image: no structure needs to be there
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
