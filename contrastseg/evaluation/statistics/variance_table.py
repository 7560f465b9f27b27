"""One row per method and place: variance by patient, draw and seed, and what one seed or one draw alone would say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from contrastseg.errors import ScoringError
from contrastseg.evaluation.metrics import catalogue
from contrastseg.evaluation.metrics.empty_references import EmptyReference, compared
from contrastseg.evaluation.settings import FamilyName
from contrastseg.evaluation.statistics.aggregation import (
    MATRIX_KEYS,
    MEAN,
    ReplicateMatrix,
    per_replicate,
    replicate_matrices,
)
from contrastseg.evaluation.statistics.comparison import baseline_of, compare
from contrastseg.evaluation.statistics.components import Components, variance_components
from contrastseg.evaluation.statistics.score_matrix import comparable
from contrastseg.evaluation.statistics.verdicts import UNTESTED

COMPONENTS = ("patient", "draw", "seed", "interaction")
ALONE = ("seed", "draw")
ALONE_COUNTS = tuple(f"one_{axis}{what}" for axis in ALONE for what in ("", "_better", "_worse"))
_OF_SCORES = tuple(f"variance_{name}" for name in COMPONENTS)
_OF_DIFFERENCES = tuple(f"difference_variance_{name}" for name in COMPONENTS)
VARIANCE_COLUMNS = (
    *("dataset", "evaluated_on", "checkpoint", "labels", "label_ratio", "metric", "unit", "method", "variant"),
    *("reference", "n", "draws", "seeds"),
    *(*_OF_SCORES, "unknown", *_OF_DIFFERENCES, "difference_unknown"),
    *ALONE_COUNTS,
    "first_draw_verdict",
)
_WORDS = ("unknown", "difference_unknown", "first_draw_verdict")
_PAIR = ("method", "variant")
_KEYS = (*MATRIX_KEYS, *_PAIR)
_ORDER = ["dataset", "evaluated_on", "checkpoint", "metric", "label_ratio", "labels", *_PAIR]


def variance_table(
    scores: pd.DataFrame,
    baseline: str | None = "supervised",
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    family: FamilyName = "methods_and_ratios",
    empty_reference: EmptyReference = "best_or_worst",
    draws: Collection[int] | None = None,
) -> pd.DataFrame:
    """Estimate the variance components of every method, and repeat the tests on each seed and on each draw alone.

    The oracle checkpoint is left out.

    Args:
        scores: The collected table.
        baseline: As `compare` takes it; None estimates the components of the methods and tests nothing.
        metrics: Which metrics.
        alpha: Level of the tests.
        family: What Holm corrects together, in each repetition as in the whole.
        empty_reference: What an empty reference counts.
        draws: Draws that all methods have: the repeated tests are of these, and components of all draws there are. All
            by default.

    Returns:
        The columns VARIANCE_COLUMNS. `variance_*` are of the patients' scores, the mean over classes, in the metric's
        unit squared; `difference_variance_*` of the differences from the baseline in the runs that both have. Estimates
        are unbiased and can be negative; `unknown` says why one is NaN, such as `draw: one draw`. `one_seed` counts
        seeds whose scores alone can be tested, `one_seed_better` and `one_seed_worse` those with this verdict;
        `one_draw` likewise, and `first_draw_verdict` is that of the draw with the smallest number. They are empty where
        there is one seed or one draw.

    Raises:
        ScoringError: As `compare`.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> first, second = example_scores(seed=0), example_scores(seed=1).assign(seed=1)
        >>> table = variance_table(pd.concat([first, second]))
        >>> row = table.set_index("method").loc["mean_teacher"]
        >>> int(row["one_seed"]), int(row["one_seed_better"]), row["unknown"]
        (2, 2, 'draw: one draw')
    """
    wanted = comparable(scores[scores["metric"].isin(catalogue.resolve_metrics(metrics))])
    if wanted.empty:
        return pd.DataFrame(columns=list(VARIANCE_COLUMNS))
    base = None if baseline is None else baseline_of(wanted, baseline)
    replicates = per_replicate(compared(wanted, empty_reference))
    cells = dict(replicate_matrices(replicates[replicates["class"] == MEAN], list(_KEYS)))
    constant = wanted.groupby(list(_KEYS), sort=True)[["label_ratio", "unit"]].first().to_dict("index")
    common = wanted["draw"].unique() if draws is None else list(draws)
    tested = wanted[wanted["draw"].isin(common)]
    alone = {} if baseline is None else _alone(tested, (baseline, metrics, alpha, family, empty_reference))
    rows = []
    for key, cell in cells.items():
        row: dict[str, Any] = dict(zip(_KEYS, key, strict=True)) | {str(k): v for k, v in constant[key].items()}
        row |= {"reference": "/".join(base or ()), "n": len(cell.patients)}
        row |= {"draws": len(np.unique(cell.draws)), "seeds": len(np.unique(cell.seeds))}
        row |= _columns("", variance_components(cell.values, cell.draws))
        other = cells.get((*key[: len(MATRIX_KEYS)], *base)) if base is not None and key[-2:] != base else None
        difference = None if other is None else differences(cell, other)
        row |= {} if difference is None else _columns("difference_", variance_components(*difference))
        there = np.isin(cell.draws, common)
        several = [axis for axis in ALONE if len(np.unique(getattr(cell, f"{axis}s")[there])) > 1]
        said = alone.get(key, {})
        rows.append(row | {name: said[name] for name in said if name.split("_")[1] in several})
    table = pd.DataFrame(rows).reindex(columns=list(VARIANCE_COLUMNS)).sort_values(_ORDER, ignore_index=True)
    words = {name: table[name].astype(object).fillna("").astype("str") for name in _WORDS}
    return table.assign(**words).astype(dict.fromkeys((*ALONE_COUNTS, "n", "draws", "seeds"), "Int64"))


def differences(mine: ReplicateMatrix, theirs: ReplicateMatrix) -> tuple[np.ndarray, np.ndarray] | None:
    """Differences of two methods by patient and run, in the runs (draw and seed) that both have.

    Returns:
        (patients, runs) and the draw of each run; None where they share no patient or no run.

    Example:
        >>> patients, run = np.array(["p0", "p1"]), np.array([0])
        >>> mine, theirs = (ReplicateMatrix(patients, run, run, np.array(v)) for v in ([[0.8], [0.7]], [[0.5], [0.7]]))
        >>> differences(mine, theirs)[0].round(1).tolist()
        [[0.3], [0.0]]
    """
    runs = [list(zip(cell.draws.tolist(), cell.seeds.tolist(), strict=True)) for cell in (mine, theirs)]
    shared = sorted(set(runs[0]) & set(runs[1]))
    patients = sorted(set(mine.patients.tolist()) & set(theirs.patients.tolist()))
    if not shared or not patients:
        return None
    parts = []
    for cell, own in zip((mine, theirs), runs, strict=True):
        rows = np.searchsorted(cell.patients.astype(str), np.array(patients, dtype=str))
        parts.append(cell.values[rows][:, [own.index(run) for run in shared]])
    values = parts[0] - parts[1]
    there = ~np.isnan(values)
    return values[there.any(axis=1)][:, there.any(axis=0)], np.array([draw for draw, _ in shared])[there.any(axis=0)]


def _columns(prefix: str, found: Components) -> dict[str, Any]:
    said = "; ".join(f"{name}: {reason}" for name, reason in found.unknown.items())
    return {f"{prefix}variance_{name}": getattr(found, name) for name in COMPONENTS} | {f"{prefix}unknown": said}


def _alone(scores: pd.DataFrame, settings: tuple[Any, ...]) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """What the same tests say of each seed and of each draw alone, by place, method and variant."""
    counts: dict[tuple[str, ...], Counter[str]] = {}
    first: dict[tuple[str, ...], str] = {}
    for axis in ALONE:
        values = sorted(scores[axis].unique().tolist())
        for value in values if len(values) > 1 else ():
            try:
                table = compare(scores[scores[axis] == value], *settings)
            except ScoringError:  # the baseline was not run with it: there is no test
                continue
            for row in table[~table["verdict"].isin(UNTESTED)][[*_KEYS, "verdict"]].itertuples(index=False, name=None):
                count = counts.setdefault(row[:-1], Counter(dict.fromkeys(ALONE_COUNTS, 0)))
                count.update([f"one_{axis}", f"one_{axis}_{row[-1]}"])
                if axis == "draw" and value == values[0]:
                    first[row[:-1]] = row[-1]
    said = {key: {name: count[name] for name in ALONE_COUNTS} for key, count in counts.items()}
    return {key: counted | {"first_draw_verdict": first.get(key, "")} for key, counted in said.items()}
