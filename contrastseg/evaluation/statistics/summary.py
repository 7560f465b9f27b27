"""Summaries of collected scores, the patient being the unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.checkpoint_names import ORACLE
from contrastseg.evaluation.distinct import distinct_rows
from contrastseg.evaluation.metrics.catalogue import DERIVED, METRICS, OUTCOMES, bounds
from contrastseg.evaluation.statistics.aggregation import (
    GROUP,
    MATRIX_KEYS,
    MEAN,
    ReplicateMatrix,
    longest_distances,
    per_replicate,
    replicate_matrices,
)
from contrastseg.evaluation.statistics.coverage import simulated_coverage
from contrastseg.evaluation.statistics.derived import derived_metrics
from contrastseg.evaluation.statistics.intervals import mean_interval
from contrastseg.evaluation.statistics.score_matrix import missing_scores

SUMMARY_COLUMNS = (
    *GROUP[:4],
    "label_ratio",
    "labelled_patients",
    *GROUP[4:],
    "class",
    "metric",
    "unit",
    "n_patients",
    "n_seeds",
    "n_draws",
    "mean",
    "low",
    "high",
    "interval_kind",
    "clipped",
    "longest",
    "equal_scores",
    "coverage",
    "coverage_missed",
    "sd_patients",
    "sd_seeds",
    "scored",
    "missed",
    "invented",
    "absent",
    "holes",
    "holes_named",
    "missing",
)
_CELL = [*GROUP, "metric", "class"]
_ORDER = ["dataset", "evaluated_on", "checkpoint", "label_ratio", "labels", "method", "variant", "metric", "class"]
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("mean", "low", "high", "coverage", "coverage_missed", "sd_patients", "sd_seeds"), np.nan),
    **dict.fromkeys(("n_patients", "n_seeds", "n_draws", "equal_scores"), 0),
    "interval_kind": "none",
    "clipped": "",
}
# An interval over patients knows nothing of the selection on these patients.
_OF_THE_ORACLE = {
    name: _NOTHING[name] for name in ("low", "high", "interval_kind", "clipped", "coverage", "coverage_missed")
}


def summarise(scores: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """One row per data set, checkpoint, budget, method, variant, class (and `mean` over classes) and metric.

    `mean`, `low`, `high` are over patients (each the mean of its frames, then classes, then seeds and draws) with the
    interval `interval_kind` names; `coverage` is how often such intervals held the truth in simulation at this number
    of patients, `coverage_missed` the same where one patient in twelve is missed (docs/statistics.md). `sd_patients` is
    the spread of the patients' means, `sd_seeds` that of the seeds' means within a draw; both are named because they
    answer different questions. The counts are of structures (cases times runs; times classes in the rows `mean`),
    `holes_named` says which predictions are missing, `missing` counts them, those too that have no row at all: means
    over unlike structures are not ranked. Intervals end where the metric does, those of distances at `longest`, the
    longest possible distance of the largest case; `clipped` says which ends were moved there. `longest` is empty where
    the scores were stored without it, and nothing is clipped above. A sample that hardly varies is `degenerate`, with
    `equal_scores` patients of one score, and claims no coverage. `miou` and `miou_pooled` are added where their
    ingredients were scored; they are sums over a data set and have no interval. The oracle checkpoint has none either:
    it was selected on these patients.

    Args:
        scores: The collected table.
        alpha: One minus the nominal coverage of the intervals.

    Returns:
        The columns SUMMARY_COLUMNS, sorted by them.

    Raises:
        ScoringError: One metric of one data set comes in two units, or two rows disagree about a case.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> table = summarise(example_scores())
        >>> table[table["class"] == "mean"][["method", "mean", "n_patients"]].round(3).values.tolist()
        [['mean_teacher', 0.778, 8], ['simclr', 0.723, 8], ['supervised', 0.717, 8]]
    """
    if scores.empty:
        return pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    scores = distinct_rows(scores)
    longest = longest_distances(scores)
    measured = {
        key: _describe(replicate_matrix, bounds(key[-2]), longest.get((key[0], key[1], key[-2]), np.nan), alpha)
        for key, replicate_matrix in replicate_matrices(per_replicate(scores), _CELL)
    }
    measured |= {
        key: said | _OF_THE_ORACLE for key, said in measured.items() if key[_CELL.index("checkpoint")] == ORACLE
    }
    counts = _counts(scores)
    # A cell all of whose structures are absent or lack a prediction has counts but no mean: it is shown, not dropped.
    rows = [
        dict(zip(_CELL, key, strict=True)) | entry | measured.get(key, _NOTHING)
        for key, entry in counts.items()
        if METRICS[key[-2]].kind != "count"
    ]
    for labels, runs in derived_metrics(scores).groupby(_CELL, sort=True):
        key = tuple(map(str, labels))
        entry = counts[(*key[:-2], DERIVED[key[-2]][0], key[-1])]
        rows.append(dict(zip(_CELL, key, strict=True)) | entry | _describe_runs(runs) | {"unit": "1"})
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)).sort_values(_ORDER, ignore_index=True)


def _describe(scores: ReplicateMatrix, limits: tuple[float, float], longest: float, alpha: float) -> dict[str, Any]:
    most = np.inf if np.isnan(longest) else longest
    interval = mean_interval(scores.values, alpha, draws=scores.draws, bounds=limits, longest=most)
    patients = np.nanmean(scores.values, axis=1)
    measured = simulated_coverage(len(patients), np.isfinite(limits[1]), len(scores.seeds), alpha)
    plain, missed = measured if interval.kind in ("t", "bootstrap") else (np.nan, np.nan)
    return {
        "n_patients": len(patients),
        "n_seeds": len(np.unique(scores.seeds)),
        "n_draws": len(np.unique(scores.draws)),
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "interval_kind": interval.kind,
        "clipped": interval.clipped,
        "longest": longest,
        "equal_scores": interval.equal,
        "coverage": plain,
        "coverage_missed": missed,
        "sd_patients": float(patients.std(ddof=1)) if len(patients) > 1 else np.nan,
        "sd_seeds": _spread(np.nanmean(scores.values, axis=0), scores.draws),
    }


def _describe_runs(runs: pd.DataFrame) -> dict[str, Any]:
    return {
        **{name: value for name, value in _NOTHING.items() if name != "n_patients"},
        "n_seeds": runs["seed"].nunique(),
        "n_draws": runs["draw"].nunique(),
        "mean": runs["value"].mean(),
        "sd_seeds": _spread(runs["value"].to_numpy(), runs["draw"].to_numpy()),
    }


def _spread(means: NDArray, draws: NDArray) -> float:
    """Standard deviation over seeds, pooled over draws: whom was labelled must not pass for the luck of the seed."""
    variances = [means[draws == draw].var(ddof=1) for draw in np.unique(draws) if np.sum(draws == draw) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else np.nan


def _counts(scores: pd.DataFrame) -> dict[tuple[str, ...], dict[str, Any]]:
    """Per cell what is constant in it, how many structures had which outcome, and which predictions are missing."""
    rows = pd.concat([scores, scores.assign(**{"class": MEAN})], ignore_index=True)
    rows = rows.astype(dict.fromkeys(_CELL, "category"))
    grouped = rows.groupby(_CELL, sort=True, observed=True)
    table = grouped[["label_ratio", "labelled_patients", "unit"]].first()
    table["n_patients"] = grouped["patient"].nunique()
    for outcome in OUTCOMES:
        name = "holes" if outcome == "hole" else outcome
        table[name] = (rows["outcome"] == outcome).groupby([rows[key] for key in _CELL], observed=True).sum()
    missing = rows[rows["outcome"] == "hole"]
    named = missing.assign(name=_missing_name(missing)).groupby(_CELL, observed=True)["name"]
    names = {key: "; ".join(sorted(set(cases))) for key, cases in named}
    table["holes_named"] = [names.get(key, "") for key in table.index]
    lacking = missing_scores(scores)
    where = [_CELL.index(name) for name in (*MATRIX_KEYS, "method", "variant", "class")]
    table["missing"] = [lacking[tuple(key[place] for place in where)] for key in table.index]
    columns = [str(name) for name in table]
    return {
        row[: len(_CELL)]: dict(zip(columns, row[len(_CELL) :], strict=True))
        for row in table.reset_index().itertuples(index=False, name=None)
    }


def _missing_name(rows: pd.DataFrame) -> pd.Series:
    draw, fold, seed = (rows[axis].astype(str) for axis in ("draw", "fold", "seed"))
    return rows["case"] + " (draw " + draw + ", fold " + fold + ", seed " + seed + ")"
