"""Where methods meet: one matrix of patients × methods per data set, metric and label budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.evaluation import catalogue
from contrastseg.evaluation.aggregation import CONTEST, MEAN, per_replicate


@dataclass(frozen=True)
class Contest:
    """The methods of one place on its patients.

    Attributes:
        place: The values of the columns CONTEST.
        methods: (method, variant) of each column, sorted.
        values: (patients, methods), each the mean over frames, classes, seeds and draws; NaN where one is missing.
    """

    place: tuple[str, ...]
    methods: list[tuple[str, str]]
    values: NDArray

    @property
    def direction(self) -> catalogue.Direction:
        """Which way is better."""
        return catalogue.direction(self.place[CONTEST.index("metric")])

    @property
    def shared(self) -> NDArray:
        """The rows of `values` that every method has."""
        return self.values[~np.isnan(self.values).any(axis=1)]


def contests(scores: pd.DataFrame, metrics: Sequence[str] = ("dice",)) -> Iterator[Contest]:
    """Every place where at least two methods were scored.

    Args:
        scores: The collected table.
        metrics: Which metrics; derived ones stand for what they are made from.

    Raises:
        ScoringError: An unknown metric, or one metric of one data set in two units.
    """
    replicates = per_replicate(scores[scores["metric"].isin(catalogue.resolve_metrics(metrics))])
    keys = [*CONTEST, "method", "variant", "patient"]
    means = replicates[replicates["class"] == MEAN].groupby(keys, sort=True, observed=True)["value"].mean()
    for place, part in means.groupby(list(CONTEST), sort=True, observed=True):
        matrix = part.droplevel(list(CONTEST)).unstack(["method", "variant"])
        matrix = matrix[sorted(matrix.columns)]
        if matrix.shape[1] > 1:
            names = matrix.columns.to_frame().astype(str).itertuples(index=False, name=None)
            yield Contest(tuple(map(str, place)), list(names), matrix.to_numpy())
