"""Each method against the suite's reference, paired by patient, corrected over the declared family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from contrastseg.errors import ScoringError, unknown_name
from contrastseg.evaluation import catalogue
from contrastseg.evaluation.aggregation import CONTEST, MEAN, Cell, cells, per_replicate
from contrastseg.evaluation.coverage import detectable_shift
from contrastseg.evaluation.intervals import difference_interval, mean_interval
from contrastseg.evaluation.paired import hodges_lehmann, holm, sign_flip, signed_rank, smallest_p
from contrastseg.evaluation.settings import FamilyName

COMPARISON_COLUMNS = (
    "dataset",
    "evaluated_on",
    "checkpoint",
    "labels",
    "label_ratio",
    "metric",
    "unit",
    "method",
    "variant",
    "reference",
    "n",
    "zeros",
    "ties",
    "mean",
    "mean_low",
    "mean_high",
    "reference_mean",
    "mean_difference",
    "mean_difference_low",
    "mean_difference_high",
    "median_difference",
    "sd_difference",
    "detectable_difference",
    "hl_estimate",
    "hl_low",
    "hl_high",
    "p",
    "p_holm",
    "p_permutation",
    "p_smallest",
    "family",
    "family_size",
    "verdict",
    "direction",
)
VERDICTS = ("better", "worse", "n.s.", "n too small", "reference", "no pairs")


def compare(
    scores: pd.DataFrame,
    reference: str = "supervised",
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    family: FamilyName = "methods_and_ratios",
) -> pd.DataFrame:
    """Test every method against the reference at the same label budget, two-sided.

    Per patient the mean over frames, classes, seeds and draws; Wilcoxon's signed-rank test on the patients both have
    (n says how many), Holm over the family, a sign-flip test of the mean beside it. Where even the clearest result
    could not pass the corrected level (`p_smallest` > α) the verdict is `n too small`, which is not `n.s.`.

    Args:
        scores: The collected table.
        reference: `method` or `method/variant`; a bare method stands for its `default` variant, or its only one.
        metrics: What to test, each a family of its own.
        alpha: Level after correction, and of the intervals.
        family: `methods_and_ratios`: all tests of one data set, evaluation set, checkpoint and metric;
            `methods`: those at one label budget.

    Returns:
        The columns COMPARISON_COLUMNS, one row per data set, checkpoint, budget, metric, method and variant.
        Differences are method minus reference, in the metric's unit; `direction` says which way is better.
        `mean_difference_low` and `_high` bound what training both methods again would show: patients and runs vary,
        while the tests take the trained models as they are. `detectable_difference` is what a comparison of this many
        patients, with differences as spread as these, would have found in 4 of 5 cases.

    Raises:
        ScoringError: An unknown family, mixed units, or a reference that is nowhere in the scores.
    """
    if family not in get_args(FamilyName):
        raise ScoringError(unknown_name("family", family, list(get_args(FamilyName))), remedy="correct the suite")
    wanted = scores[scores["metric"].isin(catalogue.resolve_metrics(metrics))]
    if wanted.empty:
        return pd.DataFrame(columns=list(COMPARISON_COLUMNS))
    base = _reference(wanted, reference)
    replicates = per_replicate(wanted)
    replicates = replicates[replicates["class"] == MEAN]
    values = dict(cells(replicates, [*CONTEST, "method", "variant"]))
    constant = wanted.groupby([*CONTEST, "method", "variant"], sort=True)[["label_ratio", "unit"]].first()
    rows = []
    for key, fixed in zip(constant.index, constant.to_dict("records"), strict=True):
        row = dict(zip((*CONTEST, "method", "variant"), key, strict=True)) | fixed
        row |= {"reference": "/".join(base), "direction": catalogue.direction(str(row["metric"]))}
        mine, theirs = values.get(key), values.get((*key[: len(CONTEST)], *base))
        bounds = catalogue.bounds(str(row["metric"]))
        rows.append(row | _pair(mine, theirs, key[-2:] == base, bounds, alpha))
    table = pd.DataFrame(rows)
    table["family"] = _family_name(table, family)
    return _corrected(table, alpha)


def _reference(scores: pd.DataFrame, reference: str) -> tuple[str, str]:
    method, _, variant = reference.partition("/")
    pairs = scores[["method", "variant"]].drop_duplicates().itertuples(index=False)
    known = sorted((str(m), str(v)) for m, v in pairs)
    mine = [v for m, v in known if m == method]
    if not variant and mine:
        variant = "default" if "default" in mine else mine[0]
        if variant != "default" and len(mine) > 1:
            raise ScoringError(
                f"reference {method!r} has the variants {', '.join(mine)}", remedy="name one: `method/variant`"
            )
    if (method, variant) not in known:
        raise ScoringError(
            unknown_name("reference", reference, ["/".join(pair) for pair in known]),
            remedy="compare with a method that was run",
        )
    return method, variant


def _pair(
    mine: Cell | None, theirs: Cell | None, is_reference: bool, bounds: tuple[float, float], alpha: float
) -> dict[str, Any]:
    """Everything about one pair that does not depend on its family."""
    if is_reference:
        if mine is None:
            return {"n": 0, "verdict": "reference"}
        interval = mean_interval(mine.values, alpha, draws=mine.draws, bounds=bounds)
        return {
            "n": len(mine.patients),
            "mean": interval.mean,
            "mean_low": interval.low,
            "mean_high": interval.high,
            "reference_mean": interval.mean,
            "verdict": "reference",
        }
    if mine is None or theirs is None:
        return {"n": 0, "verdict": "no pairs"}
    shared, ours, others = np.intersect1d(mine.patients, theirs.patients, return_indices=True)
    if not shared.size:
        return {"n": 0, "verdict": "no pairs"}
    values = mine.values[ours]
    there = ~np.isnan(values).all(axis=0)
    interval = mean_interval(values[:, there], alpha, draws=mine.draws[there], bounds=bounds)
    rivals = theirs.values[others]
    known = ~np.isnan(rivals).all(axis=0)
    reference = np.nanmean(rivals, axis=1)
    least, most = difference_interval(values[:, there], mine.draws[there], rivals[:, known], theirs.draws[known], alpha)
    differences = np.nanmean(values, axis=1) - reference
    test = signed_rank(differences)
    estimate, low, high = hodges_lehmann(differences, alpha)
    return {
        "n": test.n,
        "zeros": test.zeros,
        "ties": test.ties,
        "mean": interval.mean,
        "mean_low": interval.low,
        "mean_high": interval.high,
        "reference_mean": float(reference.mean()),
        "mean_difference": float(differences.mean()),
        "mean_difference_low": least,
        "mean_difference_high": most,
        "median_difference": float(np.median(differences)),
        "hl_estimate": estimate,
        "hl_low": low,
        "hl_high": high,
        "sd_difference": float(differences.std(ddof=1)) if test.n > 1 else np.nan,
        "p": test.p,
        "p_permutation": sign_flip(differences),
        "balance": test.balance,
    }


def _family_name(table: pd.DataFrame, family: FamilyName) -> pd.Series:
    columns = ["dataset", "evaluated_on", "checkpoint", "metric"] + (["labels"] if family == "methods" else [])
    return table[columns].astype("str").agg(" · ".join, axis=1)


def _corrected(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    table = table.reindex(columns=[*COMPARISON_COLUMNS, "balance"])
    tested = table["p"].notna()
    table["family_size"] = tested.groupby(table["family"]).transform("sum").astype("int64")
    drawn = table[tested]
    p_holm = drawn.groupby("family", sort=False)["p"].transform(holm)
    reach = (drawn["n"] - drawn["zeros"]).groupby(drawn["family"], sort=False).transform(smallest_p)
    sizes = zip(drawn["n"] - drawn["zeros"], drawn["family_size"], strict=True)
    shifts = [detectable_shift(int(n), int(size), alpha) for n, size in sizes]
    judged = zip(p_holm, reach, drawn["balance"], drawn["direction"], strict=True)
    table.loc[tested, "p_holm"] = p_holm
    table.loc[tested, "p_smallest"] = reach
    table.loc[tested, "detectable_difference"] = shifts * drawn["sd_difference"]
    table.loc[tested, "verdict"] = [verdict_of(*row, alpha) for row in judged]
    ordered = table.sort_values(
        ["dataset", "evaluated_on", "checkpoint", "metric", "label_ratio", "labels", "method", "variant"],
        ignore_index=True,
    )
    types = dict.fromkeys(("n", "zeros", "ties"), "Int64") | {
        name: "float64"
        for name in COMPARISON_COLUMNS
        if name.startswith(("mean", "median", "sd_", "detect", "hl_", "p", "reference_m"))
    }
    return ordered[list(COMPARISON_COLUMNS)].astype(types)


def verdict_of(p: float, reach: float, balance: float, direction: str, alpha: float) -> str:
    """What a test says.

    Args:
        p: Corrected.
        reach: The smallest corrected p that this test could have reached.
        balance: Rank sum of the positive differences minus that of the negative ones.
        direction: `higher` or `lower`: which way is better.
        alpha: Level after correction.
    """
    if reach > alpha:
        return "n too small"
    if p > alpha:
        return "n.s."
    return "better" if (balance > 0) == (direction == "higher") else "worse"
