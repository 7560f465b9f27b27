"""What an empty reference counts in comparisons and rankings; tables of scores keep the scores as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from contrastseg.evaluation.metrics.catalogue import METRICS

if TYPE_CHECKING:
    import pandas as pd

EmptyReference = Literal["best_or_worst", "leave_out"]
EMPTY = ("invented", "absent")
"""The outcomes of a structure that the reference does not have."""


def compared(scores: pd.DataFrame, empty_reference: EmptyReference = "best_or_worst") -> pd.DataFrame:
    """The scores as comparisons and rankings count them.

    `best_or_worst`: on an empty reference an empty prediction scores best (overlaps 1, distances and volume errors 0)
    and any other worst (overlaps 0, the case's longest possible distance). Where a stored table does not have that
    distance, the stored score of an invented structure counts, or the largest distance of its data set where the
    convention gave it none or 0. The error of an invented volume is that volume. Precision and recall leave the
    structure out for every method. `leave_out` does so for every metric. Counts (intersection, union) stay as they are.

    Args:
        scores: The collected table.
        empty_reference: What an empty reference counts.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> counted = compared(scores)
        >>> len(counted) == len(scores)  # every reference of the example has the structure
        True
    """
    empty = scores["outcome"].isin(EMPTY).to_numpy()
    if not empty.any():
        return scores
    kinds = scores["metric"].map(lambda name: METRICS[str(name)].kind).astype(str).to_numpy()
    invented = (scores["outcome"] == "invented").to_numpy()
    values = scores["value"].to_numpy(dtype=float, copy=True)
    out = empty & (kinds != "count") if empty_reference == "leave_out" else empty & (kinds == "rate")
    values[out] = np.nan
    if empty_reference == "best_or_worst":
        overlaps = empty & np.isin(kinds, ("overlap", "surface_overlap"))
        values[overlaps] = np.where(invented[overlaps], 0.0, 1.0)
        values[empty & ~invented & np.isin(kinds, ("distance", "volume"))] = 0.0
        distances = invented & (kinds == "distance")
        values[distances] = _worst_distances(scores)[distances]
    return scores.assign(value=values)


def _worst_distances(scores: pd.DataFrame) -> NDArray:
    """The worst distance of each row's case: its diagonal, else what stands for it in the table."""
    stored = scores["value"].to_numpy(dtype=float)
    largest = scores.groupby(["dataset", "evaluated_on", "metric"], observed=True)["value"].transform("max")
    known = np.where(np.nan_to_num(stored) > 0, stored, largest.to_numpy(dtype=float))
    if "diagonal" not in scores:
        return known
    diagonal = scores["diagonal"].to_numpy(dtype=float)
    return np.where(np.isnan(diagonal), known, diagonal)
