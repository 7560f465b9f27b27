"""Every method against every other: the family behind a significance map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.evaluation.statistics.aggregation import MATRIX_KEYS
from contrastseg.evaluation.statistics.paired import holm, signed_rank_rows, smallest_p
from contrastseg.evaluation.statistics.score_matrix import ScoreMatrix, score_matrices
from contrastseg.evaluation.statistics.verdicts import mean_against, verdict_of

PAIR_COLUMNS = (
    *(
        *MATRIX_KEYS,
        "method",
        "variant",
        "other",
        "other_variant",
        "n",
        "zeros",
        "mean_difference",
        "median_difference",
    ),
    *("p", "p_holm", "p_smallest", "family_size", "verdict", "missing", "other_missing", "mean_against"),
)


def pairwise(
    scores: pd.DataFrame,
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    empty_reference: EmptyReference = "best_or_worst",
) -> pd.DataFrame:
    """Test every pair of methods of one data set, evaluation set, checkpoint, metric and label budget, two-sided.

    The tests are `compare`'s (Wilcoxon's signed-rank on patients both have, averaged over frames, classes, seeds and
    draws, on the structures both have). The family that Holm corrects is all pairs of one map, another one than
    `compare` declares: a method can differ from the baseline there and not here.

    Returns:
        The columns PAIR_COLUMNS, each pair once; differences are `method` minus `other`, the verdict is `method`'s:
        `better`, `worse`, `n.s.`, `n too small`, `identical`, `no pairs`, or `incomplete` where either lacks
        predictions, whose difference describes the structures that both have.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> pairs = pairwise(example_scores())
        >>> pairs["verdict"].tolist()  # three pairs of three methods
        ['better', 'better', 'n.s.']
    """
    parts = [_family(matrix, alpha) for matrix in score_matrices(scores, metrics, empty_reference)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(PAIR_COLUMNS))


def _family(matrix: ScoreMatrix, alpha: float) -> pd.DataFrame:
    first, second = np.triu_indices(len(matrix.methods), 1)
    differences = _differences(matrix, first, second)
    names = [(*matrix.place, *matrix.methods[a], *matrix.methods[b]) for a, b in zip(first, second, strict=True)]
    table = pd.DataFrame(names, columns=list(PAIR_COLUMNS[:9]))
    table["n"] = (~np.isnan(differences)).sum(axis=1)
    table["mean_difference"] = pd.DataFrame(differences).mean(axis=1)
    table["median_difference"] = pd.DataFrame(differences).median(axis=1)
    table["missing"], table["other_missing"] = matrix.missing[first], matrix.missing[second]
    incomplete = (matrix.missing[first] > 0) | (matrix.missing[second] > 0)
    paired = (table["n"].to_numpy() > 0) & ~incomplete
    tests = signed_rank_rows(differences[paired])
    table["zeros"] = pd.Series([test.zeros for test in tests], table.index[paired], dtype="Int64")
    for name in ("p", "p_holm", "p_smallest"):
        table[name] = np.nan
    table["verdict"] = np.where(incomplete, "incomplete", "no pairs").astype(object)
    table["family_size"] = int(paired.sum())
    if tests:
        p, differing = np.array([test.p for test in tests]), np.array([test.n - test.zeros for test in tests])
        corrected, smallest = holm(p), smallest_p(differing)
        table.loc[paired, "p"], table.loc[paired, "p_holm"], table.loc[paired, "p_smallest"] = p, corrected, smallest
        judged = zip(corrected, smallest, tests, differing, strict=True)
        table.loc[paired, "verdict"] = [
            verdict_of(one, least, test.balance, matrix.direction, alpha, int(n)) for one, least, test, n in judged
        ]
    said = zip(table["verdict"], table["mean_difference"], strict=True)
    table["mean_against"] = [mean_against(verdict, difference, matrix.direction) for verdict, difference in said]
    return table[list(PAIR_COLUMNS)]


def _differences(matrix: ScoreMatrix, first: NDArray, second: NDArray) -> NDArray:
    """(pairs, patients) on the structures that both methods of each pair have, NaN behind the last patient."""
    everyone = list(range(len(matrix.methods)))
    if not matrix.common(everyone).all():
        differences = [np.subtract(*matrix.patients([a, b]).T) for a, b in zip(first, second, strict=True)]
        width = max(map(len, differences))
        return np.stack([np.pad(one, (0, width - len(one)), constant_values=np.nan) for one in differences])
    values = matrix.patients(everyone).T
    return values[first] - values[second]
