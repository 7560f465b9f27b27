"""From rows of scores to one number per patient: frames and classes first, then folds, and seeds and draws apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.errors import ScoringError
from contrastseg.evaluation.distinct import distinct_rows
from contrastseg.evaluation.metrics.catalogue import METRICS

GROUP = ("dataset", "evaluated_on", "checkpoint", "labels", "method", "variant")
"""What one cell of a table is about."""
MATRIX_KEYS = ("dataset", "evaluated_on", "checkpoint", "metric", "labels")
"""What methods meet in: they are ranked and tested within one of these."""
MEAN = "mean"
"""The class name of the mean over classes."""
_RUN = ("fold", "draw", "seed")


@dataclass(frozen=True)
class ReplicateMatrix:
    """All values of one cell of a table.

    Attributes:
        patients: (P,), sorted.
        draws: (R,) of each run, a run being a draw and a seed.
        seeds: (R,) of each run.
        values: (P, R), NaN where a patient was not in a run; every row and column has a value.
    """

    patients: NDArray
    draws: NDArray
    seeds: NDArray
    values: NDArray


def replicate_matrices(
    replicates: pd.DataFrame, keys: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], ReplicateMatrix]]:
    """Cut the rows of `per_replicate` into one matrix per distinct value of `keys`, in their order.

    Plain arrays instead of one pivot per cell: a grid has tens of thousands of replicate_matrices.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> rows = per_replicate(example_scores())
        >>> rows = rows[rows["class"] == "mean"]
        >>> [(keys, cell.values.shape) for keys, cell in replicate_matrices(rows, ["method"])]
        [(('mean_teacher',), (8, 1)), (('simclr',), (8, 1)), (('supervised',), (8, 1))]
    """
    if replicates.empty:
        return
    table = replicates.sort_values([*keys, "patient", "draw", "seed"])
    codes = np.stack([pd.factorize(table[key])[0] for key in keys])
    starts = np.flatnonzero(np.append(True, (np.diff(codes) != 0).any(axis=0)))
    patient, names = pd.factorize(table["patient"], sort=True)
    patients = np.asarray(names, dtype=object)
    runs, run = np.unique(table[["draw", "seed"]].to_numpy(), axis=0, return_inverse=True)
    values = table["value"].to_numpy()
    labels = table[list(keys)].iloc[starts].itertuples(index=False, name=None)
    for key, start, stop in zip(labels, starts, np.append(starts[1:], len(table)), strict=True):
        rows, row = np.unique(patient[start:stop], return_inverse=True)
        columns, column = np.unique(run.ravel()[start:stop], return_inverse=True)
        matrix = np.full((len(rows), len(columns)), np.nan)
        matrix[row, column] = values[start:stop]
        yield key, ReplicateMatrix(patients[rows], runs[columns, 0], runs[columns, 1], matrix)


def per_replicate(scores: pd.DataFrame) -> pd.DataFrame:
    """Average frames, then classes, inside each patient of each run; folds that share a patient are averaged too.

    Args:
        scores: The collected table.

    Returns:
        Rows [*GROUP, metric, class, patient, draw, seed, value]: every class, and `mean` over the patient's classes.
        Undefined values (absent structures, missing predictions) are left out; a patient with nothing else has no row.
        Text columns are categories.

    Raises:
        ScoringError: One metric of one data set comes in two units, two rows disagree about a case, or a class has a
            reserved name.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> rows = per_replicate(example_scores())
        >>> list(rows.columns[-4:]), len(rows)
        (['patient', 'draw', 'seed', 'value'], 48)
    """
    check_units(scores)
    check_names(scores)
    scores = distinct_rows(scores)
    keys = [*GROUP, "metric", "class", "patient", *_RUN]
    text = [key for key in keys if not pd.api.types.is_numeric_dtype(scores[key])]
    # Grouping by integers is several times faster than by text, and a grid has millions of rows.
    defined = scores.loc[scores["value"].notna(), [*keys, "value"]].astype(dict.fromkeys(text, "category"))
    defined["class"] = defined["class"].cat.add_categories([MEAN])
    cases = _mean(defined, keys)
    over_classes = _mean(cases, [key for key in keys if key != "class"])
    over_classes["class"] = pd.Series(MEAN, over_classes.index).astype(cases["class"].dtype)
    keys.remove("fold")
    return _mean(pd.concat([cases, over_classes], ignore_index=True), keys)


def per_patient(scores: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """One value per patient: the mean over frames, then classes, then folds, seeds and draws.

    Args:
        scores: The collected table.
        metric: Only this metric; all of them by default.

    Returns:
        Rows [*GROUP, metric, class, patient, value, runs]; `class` is a class or `mean`, `runs` the number of seeds and
        draws behind the value.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> values = per_patient(example_scores(), "dice")
        >>> values[values["class"] == "mean"].groupby("method")["value"].mean().round(3).to_dict()
        {'mean_teacher': 0.778, 'simclr': 0.723, 'supervised': 0.717}
    """
    if metric is not None:
        scores = scores[scores["metric"] == metric]
    replicates = per_replicate(scores)
    keys = [*GROUP, "metric", "class", "patient"]
    grouped = replicates.groupby(keys, sort=True, observed=True)["value"]
    return grouped.agg(value="mean", runs="size").reset_index().astype(dict.fromkeys(keys, "str"))


def check_units(scores: pd.DataFrame) -> None:
    """Refuse to average millimetres with voxels.

    Raises:
        ScoringError: One metric on one evaluation set comes in more than one unit.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> check_units(example_scores())  # one unit: passes
    """
    distinct_units = scores[["dataset", "evaluated_on", "metric", "unit"]].drop_duplicates()
    mixed = distinct_units[distinct_units.duplicated(["dataset", "evaluated_on", "metric"], keep=False)]
    if len(mixed):
        first = mixed.iloc[0]
        units = sorted(mixed[mixed["metric"] == first["metric"]]["unit"].unique())
        raise ScoringError(
            f"{first['metric']} of {first['dataset']} on {first['evaluated_on']} comes in {' and '.join(units)}",
            case=str(first["dataset"]),
            remedy="score all cases of a data set in one unit; different units are never averaged",
        )


def check_names(scores: pd.DataFrame) -> None:
    """Refuse a class that is called like the mean over classes.

    Raises:
        ScoringError: There is one.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> check_names(example_scores())  # no class is called mean: passes
    """
    classes = scores["class"]
    names = classes.cat.categories if isinstance(classes.dtype, pd.CategoricalDtype) else classes.unique()
    if MEAN in set(names):
        raise ScoringError(
            f"a class is called {MEAN!r}, which stands for the mean over classes in every table",
            remedy=f"name the class otherwise (such as {MEAN}_value) where its names are declared, and score again",
        )


def longest_distances(scores: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """The longest possible distance of the largest case, by data set, evaluation set and metric of distances.

    Scores that were stored without the geometry of their cases, or some of whose cases have none, have no entry.

    Args:
        scores: The collected table, with the column `diagonal` where it is known.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> longest_distances(example_scores())  # the example has no distances
        {}
    """
    if "diagonal" not in scores:
        return {}
    kinds = {str(name): METRICS[str(name)].kind for name in scores["metric"].unique()}
    rows = scores[scores["metric"].isin([name for name, kind in kinds.items() if kind == "distance"])]
    grouped = rows[rows["outcome"] != "hole"].groupby(["dataset", "evaluated_on", "metric"], observed=True)["diagonal"]
    longest = grouped.max()[grouped.count() == grouped.size()]
    keys = longest.index.to_frame().astype(str).itertuples(index=False, name=None)
    return dict(zip(keys, longest.tolist(), strict=True))


def _mean(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return table.groupby(keys, sort=True, observed=True)["value"].mean().reset_index()
