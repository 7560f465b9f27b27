"""What the scoring convention alone does to a ranking: the same predictions, ranked under each convention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import scipy  # its parts are imported by their first use

from contrastseg.evaluation.distinct import distinct_rows
from contrastseg.evaluation.metrics.catalogue import direction
from contrastseg.evaluation.statistics.aggregation import GROUP, MEAN, per_patient
from contrastseg.evaluation.statistics.score_matrix import missing_scores

PLACE = ("dataset", "evaluated_on", "checkpoint", "labels", "metric")
"""What one ranking is about."""
RANK_COLUMNS = (
    *PLACE,
    *("convention", "unit", "method", "variant", "mean", "n_patients", "left_out", "holes", "rank", "base_rank"),
    *("shift", "tau"),
)
_METHOD = ["method", "variant"]


def convention_ranks(scores: pd.DataFrame, base: str) -> pd.DataFrame:
    """The mean and rank of each method under each convention.

    Means are those of the tables: over patients, each the mean of its frames, then classes, then seeds and draws. What
    a convention gives no value (absent structures, what MONAI drops, what medpy raises on) is left out of its mean and
    counted. A method with missing predictions has no rank, nor has one without a value; equal means share the better
    rank.

    Args:
        scores: The collected table with its column `convention`.
        base: The convention that ranks shift from.

    Returns:
        The columns RANK_COLUMNS, conventions in the order they were scored, the base first. `left_out` counts
        structures (cases times classes times runs). `shift` is the rank minus that under the base: 2 is two places
        worse. `tau` is Kendall's τ-b between the two orders of the methods, NaN where one of them has no order.

    Raises:
        ScoringError: One metric of one data set comes in two units under one convention, or two rows disagree about
            a case.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> both = pd.concat([scores.assign(convention=name) for name in ("default", "medpy")])
        >>> ranks = convention_ranks(both, "default")
        >>> ranks[ranks["convention"] == "medpy"][["method", "rank"]].values.tolist()
        [['mean_teacher', 1.0], ['simclr', 2.0], ['supervised', 3.0]]
    """
    scores = distinct_rows(scores)
    parts = []
    for convention in sorted(dict.fromkeys(scores["convention"]), key=lambda name: name != base):
        of_convention = scores[scores["convention"] == convention]
        parts.append(_ranked(of_convention.drop(columns="convention")).assign(convention=convention))
    if not parts:
        return pd.DataFrame(columns=list(RANK_COLUMNS))
    table = pd.concat(parts, ignore_index=True)
    key = [*PLACE, *_METHOD]
    of_base = table[table["convention"] == base].set_index(key)["rank"].rename("base_rank")
    table = table.join(of_base, on=key)
    table["shift"] = table["rank"] - table["base_rank"]
    table["tau"] = np.nan
    orders = table[table["convention"] == base].set_index(key)["mean"].rename("base_mean")
    for _, rows in table.join(orders, on=key).groupby([*PLACE, "convention"], sort=False):
        table.loc[rows.index, "tau"] = _tau(rows)
    return table[list(RANK_COLUMNS)]


def _ranked(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per place and method with its mean, counts and rank."""
    key = [*PLACE, *_METHOD]
    grouped = scores.groupby(key, sort=True)
    table = grouped["unit"].first().to_frame()
    table["holes"] = (scores["outcome"] == "hole").groupby([scores[name] for name in key]).sum()
    lacking = missing_scores(scores)
    table["missing"] = [lacking[*key[:3], key[4], key[3], *key[5:], MEAN] for key in table.index]
    undefined = scores["value"].isna() & (scores["outcome"] != "hole")
    table["left_out"] = undefined.groupby([scores[name] for name in key]).sum()
    patients = per_patient(scores)
    means = patients[patients["class"] == MEAN].groupby([*GROUP, "metric"])["value"].agg(mean="mean", n_patients="size")
    table = table.join(means.reset_index().set_index(key)).reset_index()
    table["n_patients"] = table["n_patients"].fillna(0).astype(int)
    table["rank"] = np.nan
    for place, rows in table.groupby(list(PLACE), sort=False):
        complete = rows[(rows["missing"] == 0) & rows["mean"].notna()]
        ascending = direction(str(place[-1])) == "lower"
        table.loc[complete.index, "rank"] = complete["mean"].rank(method="min", ascending=ascending)
    return table


def _tau(rows: pd.DataFrame) -> float:
    both = rows[rows["rank"].notna() & rows["base_rank"].notna()]
    if len(both) < 2:
        return float("nan")
    tau: Any = scipy.stats.kendalltau(both["base_mean"], both["mean"])
    return float(tau.statistic)
