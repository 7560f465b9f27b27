"""Each method against the suite's baseline, paired by patient, corrected over the declared family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.errors import ScoringError, unknown_name
from contrastseg.evaluation.metrics import catalogue
from contrastseg.evaluation.metrics.empty_references import EmptyReference, compared
from contrastseg.evaluation.settings import FamilyName
from contrastseg.evaluation.statistics.aggregation import (
    MATRIX_KEYS,
    MEAN,
    ReplicateMatrix,
    longest_distances,
    per_replicate,
    replicate_matrices,
)
from contrastseg.evaluation.statistics.beside import (
    BESIDE_COLUMNS,
    BESIDE_COUNTS,
    BESIDE_TESTS,
    BESIDE_WORDS,
    beside,
    disagreement,
)
from contrastseg.evaluation.statistics.coverage import detectable_shift
from contrastseg.evaluation.statistics.intervals import clipped, difference_interval, mean_interval
from contrastseg.evaluation.statistics.paired import clean, hodges_lehmann, holm, sign_flip, signed_rank, smallest_p
from contrastseg.evaluation.statistics.score_matrix import ScoreMatrix, comparable, score_matrices_of
from contrastseg.evaluation.statistics.verdicts import mean_against, verdict_of

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
    "empty_reference",
    "structures",
    "undefined",
    "missing",
    "reference_missing",
    "mean_kind",
    "mean_clipped",
    "equal_scores",
    "mean_difference_clipped",
    "mean_against",
    *BESIDE_COLUMNS,
)
_WORDS = {"verdict", "mean_kind", "mean_clipped", "mean_difference_clipped", "mean_against", *BESIDE_WORDS}
_COUNTS = {
    "n",
    "zeros",
    "ties",
    "structures",
    "undefined",
    "missing",
    "reference_missing",
    "equal_scores",
} | BESIDE_COUNTS
_NUMBERS = ("mean", "median", "sd_", "detect", "hl_", "p", "reference_", "nonempty_", "false_positives")
_PAIR = ["method", "variant"]
_ORDER = ["dataset", "evaluated_on", "checkpoint", "metric", "label_ratio", "labels", *_PAIR]


def compare(
    scores: pd.DataFrame,
    baseline: str = "supervised",
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    family: FamilyName = "methods_and_ratios",
    empty_reference: EmptyReference = "best_or_worst",
) -> pd.DataFrame:
    """Test every method against the baseline at the same label budget, two-sided.

    Per patient the mean over frames, classes, seeds and draws; Wilcoxon's signed-rank test on the patients both have
    (n says how many), Holm over the family, a sign-flip test of the mean beside it. Where even the clearest result
    could not pass the corrected level (`p_smallest` > α) the verdict is `n too small`, which is not `n.s.`.

    Two methods meet on the structures (a class of a case) that every run of both has a value for. Where one of them
    lacks predictions the verdict is `incomplete`: the difference on their common structures describes, and nothing is
    tested, because who leaves out hard cases must not gain. The oracle checkpoint is compared with nothing.

    Args:
        scores: The collected table.
        baseline: `method` or `method/variant`; a bare method stands for its `default` variant, or its only one.
        metrics: What to test, each a family of its own.
        alpha: Level after correction, and of the intervals.
        family: `methods_and_ratios`: all tests of one data set, evaluation set, checkpoint and metric;
            `methods`: those at one label budget.
        empty_reference: What an empty reference counts, in every column (`empty_references.compared`).

    Returns:
        The columns COMPARISON_COLUMNS, one row per data set, checkpoint, budget, metric, method and variant.
        Differences are method minus baseline, in the metric's unit; `direction` says which way is better.
        `mean_difference_low` and `_high` bound what training both methods again would show: patients and runs vary,
        while the tests take the trained models as they are. `detectable_difference` is what a comparison of this many
        patients, with differences as spread as these, would have found in 4 of 5 cases. `structures` were compared,
        `undefined` more have a value for one of the two alone, `missing` and `reference_missing` (of the baseline)
        count scores without a prediction. `mean_against` says where the means contradict the test of ranks. Where
        references are empty, the columns of `beside.BESIDE_COLUMNS` hold the same comparison without them, and the
        false positives in them.

    Raises:
        ScoringError: An unknown family, mixed units, or a baseline that is nowhere in the scores.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> table = compare(example_scores())
        >>> dict(zip(table["method"], table["verdict"], strict=True))
        {'mean_teacher': 'better', 'simclr': 'n.s.', 'supervised': 'reference'}
    """
    if family not in get_args(FamilyName):
        raise ScoringError(unknown_name("family", family, list(get_args(FamilyName))), remedy="correct the suite")
    wanted = comparable(scores[scores["metric"].isin(catalogue.resolve_metrics(metrics))])
    if wanted.empty:
        return pd.DataFrame(columns=list(COMPARISON_COLUMNS))
    base = baseline_of(wanted, baseline)
    counted = compared(wanted, empty_reference)
    replicates = per_replicate(counted)
    values = dict(replicate_matrices(replicates[replicates["class"] == MEAN], [*MATRIX_KEYS, *_PAIR]))
    longest = longest_distances(wanted)
    constant = wanted.groupby([*MATRIX_KEYS, *_PAIR], sort=True)[["label_ratio", "unit"]].first().to_dict("index")
    rows = []
    for matrix in score_matrices_of(counted):
        dataset, evaluated_on, _, metric, _ = matrix.place
        bounds = catalogue.bounds(metric)
        limits = bounds, longest.get((dataset, evaluated_on, metric), np.inf)
        for pair in matrix.methods:
            row: dict[str, Any] = dict(zip((*MATRIX_KEYS, *_PAIR), (*matrix.place, *pair), strict=True))
            row |= {str(name): value for name, value in constant[*matrix.place, *pair].items()}
            row |= {"reference": "/".join(base), "direction": matrix.direction, "empty_reference": empty_reference}
            rows.append(row | _row(matrix, pair, base, values, counted, limits, alpha))
    table = pd.DataFrame(rows)
    table["family"] = _family_name(table, family)
    return _corrected(table, alpha)


def baseline_of(scores: pd.DataFrame, baseline: str) -> tuple[str, str]:
    """Method and variant that a baseline names.

    Raises:
        ScoringError: It is nowhere in the scores, or has several variants and none is named.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> baseline_of(example_scores(), "supervised")
        ('supervised', 'default')
    """
    method, _, variant = baseline.partition("/")
    pairs = scores[["method", "variant"]].drop_duplicates().itertuples(index=False)
    known = sorted((str(m), str(v)) for m, v in pairs)
    mine = [v for m, v in known if m == method]
    if not variant and mine:
        variant = "default" if "default" in mine else mine[0]
        if variant != "default" and len(mine) > 1:
            raise ScoringError(
                f"baseline {method!r} has the variants {', '.join(mine)}", remedy="name one: `method/variant`"
            )
    if (method, variant) not in known:
        raise ScoringError(
            unknown_name("baseline", baseline, ["/".join(pair) for pair in known]),
            remedy="compare with a method that was run",
        )
    return method, variant


Limits = tuple[tuple[float, float], float]


def _row(
    matrix: ScoreMatrix,
    pair: tuple[str, str],
    base: tuple[str, str],
    values: dict[tuple[str, ...], ReplicateMatrix],
    counted: pd.DataFrame,
    limits: Limits,
    alpha: float,
) -> dict[str, Any]:
    """Everything about one method beside the baseline that does not depend on its family."""
    own = matrix.methods.index(pair)
    missing = {"missing": int(matrix.missing[own])}
    if pair == base:
        structures = int(matrix.common([own]).sum())
        cell = values.get((*matrix.place, *pair))
        described = {} if cell is None else _described(cell, limits, alpha)
        return missing | {"n": 0, "structures": structures, "verdict": "reference"} | described
    if base not in matrix.methods:
        return missing | {"n": 0, "verdict": "no pairs"}
    other = matrix.methods.index(base)
    missing["reference_missing"] = int(matrix.missing[other])
    common = matrix.common([own, other])
    missing["structures"] = int(common.sum())
    untested = bool(matrix.missing[[own, other]].any())
    if not common.any():
        return missing | {"n": 0, "verdict": "incomplete" if untested else "no pairs"}
    missing["undefined"] = int((~np.isnan(matrix.values[:, [own, other]])).any(axis=1).sum()) - int(common.sum())
    besides = beside(matrix, own, other, tested=not untested)
    if untested:
        return missing | besides | _difference(matrix.patients([own, other])) | {"verdict": "incomplete"}
    whole = not matrix.partial[[own, other]].any() and not missing["undefined"]
    mine, theirs = (
        (values[*matrix.place, *pair], values[*matrix.place, *base])
        if whole
        else _on_common(matrix, common, (pair, base), counted)
    )
    return missing | besides | _described(mine, limits, alpha) | _tested(mine, theirs, limits, alpha)


def _on_common(
    matrix: ScoreMatrix, common: NDArray, pairs: Sequence[tuple[str, str]], counted: pd.DataFrame
) -> tuple[ReplicateMatrix, ReplicateMatrix]:
    """The values of two methods on their common structures alone."""
    here = np.logical_and.reduce(
        [counted[name] == value for name, value in zip(MATRIX_KEYS, matrix.place, strict=True)]
    )
    rows = counted[here].merge(matrix.structures[common].astype(str), on=["patient", "case", "class"])
    matrices = []
    for method, variant in pairs:
        replicates = per_replicate(rows[(rows["method"] == method) & (rows["variant"] == variant)])
        (named_matrix,) = replicate_matrices(replicates[replicates["class"] == MEAN], [*MATRIX_KEYS, *_PAIR])
        matrices.append(named_matrix[1])
    return matrices[0], matrices[1]


def _described(scores: ReplicateMatrix, limits: Limits, alpha: float) -> dict[str, Any]:
    """The mean of one method with its interval."""
    interval = mean_interval(scores.values, alpha, draws=scores.draws, bounds=limits[0], longest=limits[1])
    return {
        "n": len(scores.patients),
        "mean": interval.mean,
        "mean_low": interval.low,
        "mean_high": interval.high,
        "mean_kind": interval.kind,
        "mean_clipped": interval.clipped,
        "equal_scores": interval.equal,
        "reference_mean": interval.mean,
    }


def _difference(patients: NDArray) -> dict[str, Any]:
    """What describes the difference of two methods on some patients, (n, 2): the method's and the baseline's means."""
    differences = patients[:, 0] - patients[:, 1]
    return {
        "n": len(patients),
        "mean": float(patients[:, 0].mean()),
        "reference_mean": float(patients[:, 1].mean()),
        "mean_difference": float(differences.mean()),
        "median_difference": float(np.median(differences)),
    }


def _tested(mine: ReplicateMatrix, theirs: ReplicateMatrix, limits: Limits, alpha: float) -> dict[str, Any]:
    """The tests and intervals of one pair, whose patients are the same."""
    means = np.stack([np.nanmean(mine.values, axis=1), np.nanmean(theirs.values, axis=1)], axis=1)
    differences = means[:, 0] - means[:, 1]
    width = min(limits[0][1], limits[1]) - limits[0][0]
    ends = difference_interval(mine.values, mine.draws, theirs.values, theirs.draws, alpha)
    least, most, moved = clipped(*ends, -width, width) if np.isfinite(ends).all() else (*ends, "")
    test = signed_rank(differences)
    estimate, low, high = hodges_lehmann(differences, alpha)
    return {
        **_difference(means),
        "zeros": test.zeros,
        "ties": test.ties,
        "mean_difference_low": least,
        "mean_difference_high": most,
        "mean_difference_clipped": moved,
        "hl_estimate": estimate,
        "hl_low": low,
        "hl_high": high,
        "sd_difference": float(clean(differences.std(ddof=1))) if test.n > 1 else np.nan,
        "p": test.p,
        "p_permutation": sign_flip(differences),
        "balance": test.balance,
    }


def _family_name(table: pd.DataFrame, family: FamilyName) -> pd.Series:
    columns = ["dataset", "evaluated_on", "checkpoint", "metric"] + (["labels"] if family == "methods" else [])
    return table[columns].astype("str").agg(" · ".join, axis=1)


def _corrected(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """The table with what depends on the family: corrected p values and verdicts, of what stands beside them too."""
    tests = {"": ("n", "zeros", "balance", ""), **BESIDE_TESTS}
    table = table.reindex(columns=list(dict.fromkeys([*COMPARISON_COLUMNS, *(test[2] for test in tests.values())])))
    for prefix, (n, zeros, balance, direction) in tests.items():
        tested = table[f"{prefix}p"].notna()
        drawn = table[tested]
        differing = (drawn[n] - drawn[zeros]).astype(int)
        p_holm = drawn.groupby("family", sort=False)[f"{prefix}p"].transform(holm)
        smallest = differing.groupby(drawn["family"], sort=False).transform(smallest_p)
        ways = [direction or way for way in drawn["direction"]]
        judged = zip(p_holm, smallest, drawn[balance], ways, [alpha] * len(drawn), differing, strict=True)
        table.loc[tested, f"{prefix}p_holm"] = p_holm
        table.loc[tested, f"{prefix}p_smallest"] = smallest
        table[f"{prefix}verdict"] = table[f"{prefix}verdict"].astype(object)
        table.loc[tested, f"{prefix}verdict"] = [verdict_of(*test) for test in judged]
        if not prefix:
            table["family_size"] = tested.groupby(table["family"]).transform("sum").astype("int64")
            sizes = zip(differing, table.loc[tested, "family_size"], strict=True)
            shifts = [detectable_shift(int(size), int(tests), alpha) for size, tests in sizes]
            table.loc[tested, "detectable_difference"] = shifts * drawn["sd_difference"]
    said = zip(table["verdict"], table["mean_difference"], table["direction"], strict=True)
    table["mean_against"] = [mean_against(str(verdict), float(difference), way) for verdict, difference, way in said]
    verdicts = zip(*(table[f"{prefix}verdict"] for prefix in tests), strict=True)
    table["disagreement"] = [disagreement(*("" if v != v else str(v) for v in row)) for row in verdicts]
    ordered = table.sort_values(_ORDER, ignore_index=True)[list(COMPARISON_COLUMNS)]
    words = {name: ordered[name].astype(object).fillna("").astype("str") for name in _WORDS}
    types = dict.fromkeys(_COUNTS, "Int64")
    types |= dict.fromkeys(
        (name for name in COMPARISON_COLUMNS if name.startswith(_NUMBERS) and name not in _COUNTS | _WORDS), "float64"
    )
    return ordered.assign(**words).astype(types)
