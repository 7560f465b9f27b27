"""Scores as medpy computes them. It is GPL and optional: called where it is installed, nothing of it is here."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from numpy.typing import NDArray

from contrastseg.errors import ScoringError, unknown_name
from contrastseg.evaluation.metrics.conventions import Convention

_FUNCTIONS = {
    "dice": "dc",
    "iou": "jc",
    "hd95": "hd95",
    "hd95_pooled": "hd95",
    "hd": "hd",
    "assd": "assd",
    "asd": "asd",
    "precision": "precision",
    "recall": "recall",
}
_WITH_SPACING = frozenset({"hd95", "hd", "assd", "asd"})


def medpy_scores(
    prediction: NDArray, reference: NDArray, spacing: NDArray, metrics: Sequence[str], rule: Convention
) -> dict[str, float]:
    """Score two masks with medpy.

    Args:
        prediction: Boolean, (*spatial).
        reference: Boolean, same shape.
        spacing: (ndim,), in array order.
        metrics: Names in the catalogue that medpy has.
        rule: The convention, for its refusal of distances to an empty mask.

    Raises:
        ScoringError: medpy is not installed, has no such metric, or a mask is empty and a distance is asked for.
    """
    try:
        binary = importlib.import_module("medpy.metric.binary")
    except ImportError as error:
        raise ScoringError(
            "medpy is not installed", remedy="run `pip install medpy`, or choose another convention"
        ) from error
    filled = prediction.any(), reference.any()
    outcome = {(True, True): "scored", (False, True): "missed", (True, False): "invented"}.get(
        (bool(filled[0]), bool(filled[1])), "absent"
    )
    values = {}
    for metric in metrics:
        if metric not in _FUNCTIONS:
            raise ScoringError(unknown_name("medpy metric", metric, list(_FUNCTIONS)), remedy="leave this metric out")
        name = _FUNCTIONS[metric]
        if name in _WITH_SPACING and outcome != "scored":
            values[metric] = rule.empty_score(metric, outcome, diagonal=0.0)
        elif name in _WITH_SPACING:
            values[metric] = float(getattr(binary, name)(prediction, reference, voxelspacing=spacing))
        else:
            values[metric] = float(getattr(binary, name)(prediction, reference))
    return values
