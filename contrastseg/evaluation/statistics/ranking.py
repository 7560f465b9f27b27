"""How far a ranking of methods depends on which patients happened to be tested."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy  # its parts are imported by their first use
from numpy.typing import NDArray

from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.evaluation.statistics.aggregation import MATRIX_KEYS
from contrastseg.evaluation.statistics.score_matrix import ScoreMatrix, score_matrices

_RESAMPLES = 2000
RANKING_COLUMNS = (
    *(*MATRIX_KEYS, "method", "variant", "n", "mean", "rank", "rank_low", "rank_high", "first", "kendall_tau"),
    *("kendall_tau_low", "missing", "empty_reference"),
)


@dataclass(frozen=True)
class Ranking:
    """Methods ranked by their mean over patients, and again over resampled patients.

    Attributes:
        means: (k,) over the patients.
        ranks: (k,) of these means, 1 is best, equal means share their mean rank.
        resampled: (resamples, k), ranks of the means over resampled patients.
        tau: (resamples,), Kendall's τ between each of these rankings and the full one.
        patients: How many patients all methods share.
    """

    means: NDArray
    ranks: NDArray
    resampled: NDArray
    tau: NDArray
    patients: int

    @property
    def first(self) -> NDArray:
        """(k,) how often each method is first; methods that are first together share it."""
        best = self.resampled == self.resampled.min(axis=1, keepdims=True)
        return (best / best.sum(axis=1, keepdims=True)).mean(axis=0)

    @property
    def shares(self) -> NDArray:
        """(k, k): how often each method (row) has each rank (column); a shared rank counts for the better place."""
        places = np.floor(self.resampled).astype(int) - 1
        k = len(self.ranks)
        return np.stack([np.bincount(places[:, method], minlength=k) for method in range(k)]) / len(places)


def rank(values: NDArray, higher: bool, seed: int = 0, resamples: int = _RESAMPLES) -> Ranking:
    """Rank methods by their means, with a bootstrap over patients.

    All methods keep the same resampled patients, as they were compared on the same ones. Trained models are not
    resampled: this says what other patients, not other seeds, would change.

    Args:
        values: (patients, k), no NaN.
        higher: Whether higher is better.
        seed: Of the resampling.
        resamples: How many.

    Example:
        >>> values = np.array([[0.9, 0.7], [0.8, 0.75], [0.85, 0.7]])  # three patients, two methods
        >>> rank(values, higher=True).ranks
        array([1., 2.])
    """
    n = len(values)
    rng = np.random.default_rng([seed, n])
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    sign = -1 if higher else 1
    # Rounded, because averages of equal scores must come out equal.
    full = np.round(sign * values.mean(axis=0), 12)
    drawn = np.round(sign * (weights @ values), 12)
    return Ranking(
        values.mean(axis=0), scipy.stats.rankdata(full), scipy.stats.rankdata(drawn, axis=1), _kendall(drawn, full), n
    )


def _kendall(rankings: NDArray, full: NDArray) -> NDArray:
    """Kendall's τ-b of every row against `full`; NaN where one of them ranks nothing."""
    first, second = np.triu_indices(len(full), 1)
    ours, theirs = np.sign(rankings[:, first] - rankings[:, second]), np.sign(full[first] - full[second])
    size = np.sqrt(np.count_nonzero(ours, axis=1) * np.count_nonzero(theirs))
    return np.divide(ours @ theirs, size, out=np.full(len(ours), np.nan), where=size > 0)


def rankings(
    scores: pd.DataFrame, metrics: Sequence[str] = ("dice",), empty_reference: EmptyReference = "best_or_worst"
) -> Iterator[tuple[ScoreMatrix, Ranking]]:
    """Rank the methods of every data set, evaluation set, checkpoint, metric and label budget: those of `ranked`.

    Methods with missing predictions are not ranked. Of the others the structures count that all of them have a value
    for; places with fewer than two methods or patients are left out.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> ((place, ranking),) = rankings(example_scores())
        >>> ranking.ranks
        array([1., 2., 3.])
    """
    for matrix in score_matrices(scores, metrics, empty_reference):
        values = matrix.patients(matrix.complete)
        if len(values) > 1 and values.shape[1] > 1:
            yield matrix, rank(values, matrix.direction == "higher")


def ranking_table(
    scores: pd.DataFrame,
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    empty_reference: EmptyReference = "best_or_worst",
) -> pd.DataFrame:
    """`rankings` as a table, one row per method.

    Returns:
        The columns RANKING_COLUMNS: `rank_low` to `rank_high` hold 1-α of the resampled ranks, `first` is how often the
        method was first, `kendall_tau` the mean agreement of the resampled rankings with the full one and
        `kendall_tau_low` its α quantile. A method that lacks predictions (`missing` counts them) has no rank.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> ranking_table(example_scores())[["method", "rank"]].values.tolist()
        [['mean_teacher', 1.0], ['simclr', 2.0], ['supervised', 3.0]]
    """
    rows = []
    for matrix, ranking in rankings(scores, metrics, empty_reference):
        low, high = np.quantile(ranking.resampled, [alpha / 2, 1 - alpha / 2], axis=0, method="nearest")
        known = ranking.tau[~np.isnan(ranking.tau)]
        agreement = (known.mean(), np.quantile(known, alpha)) if known.size else (np.nan, np.nan)
        each = zip(matrix.ranked, ranking.means, ranking.ranks, low, high, ranking.first, strict=True)
        ranked = {pair: (ranking.patients, *numbers, *agreement) for pair, *numbers in each}
        nothing = (pd.NA, *[np.nan] * 7)
        rows += [
            (*matrix.place, *pair, *ranked.get(pair, nothing), int(missing), empty_reference)
            for pair, missing in zip(matrix.methods, matrix.missing, strict=True)
        ]
    return pd.DataFrame(rows, columns=list(RANKING_COLUMNS)).astype({"n": "Int64"})
