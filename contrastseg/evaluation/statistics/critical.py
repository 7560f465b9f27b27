"""Methods over several data sets: Friedman's test, and Nemenyi's critical difference of mean ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import scipy  # its parts are imported by their first use
from numpy.typing import NDArray

from contrastseg.evaluation.metrics import catalogue
from contrastseg.evaluation.metrics.empty_references import EmptyReference
from contrastseg.evaluation.statistics.score_matrix import ScoreMatrix, score_matrices

FEWEST = 3
"""Data sets and methods from which a diagram is made."""
_TRIALS = 2000
CRITICAL_COLUMNS = (
    *("checkpoint", "metric", "labels", "method", "variant", "mean_rank", "p_to_best"),
    *("datasets", "methods", "critical_difference", "p_friedman", "power"),
)


@dataclass(frozen=True)
class Critical:
    """Friedman's and Nemenyi's test of k methods on N data sets.

    Attributes:
        ranks: (k,) mean ranks, 1 is best.
        difference: The critical difference: mean ranks closer than this do not differ significantly.
        p: Friedman's, from the chi-square approximation.
        significant: (k, k), whether two methods' mean ranks differ by at least the critical difference.
        datasets: N.
    """

    ranks: NDArray
    difference: float
    p: float
    significant: NDArray
    datasets: int

    @property
    def cannot_reject(self) -> bool:
        """Whether not even the best and the worst method of every data set could differ significantly."""
        return self.difference > len(self.ranks) - 1


def critical_difference(scores: NDArray, higher: bool, alpha: float = 0.05) -> Critical:
    """Friedman's test and Nemenyi's critical difference (J. Demšar, JMLR 7, 2006, section 3.2.2).

    Args:
        scores: (N, k), one score of each method on each data set, no NaN; k ≥ 3.
        higher: Whether higher is better.
        alpha: Level of both tests.

    Example:
        >>> scores = np.array([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.9, 0.7, 0.8], [0.7, 0.6, 0.5]])
        >>> found = critical_difference(scores, higher=True)
        >>> found.ranks.tolist(), round(found.difference, 2)
        ([1.0, 2.25, 2.75], 1.66)
    """
    datasets, methods = scores.shape
    values = np.round(-scores if higher else scores, 12)
    ranks = scipy.stats.rankdata(values, axis=1).mean(axis=0)
    difference = float(_quantile(methods, alpha) * np.sqrt(methods * (methods + 1) / (6 * datasets)))
    equal = bool((values == values[:, :1]).all())
    p = 1.0 if equal else float(scipy.stats.friedmanchisquare(*values.T).pvalue)
    significant = np.abs(ranks[:, None] - ranks) >= difference
    return Critical(ranks, difference, p, significant, datasets)


@lru_cache(maxsize=128)
def _quantile(methods: int, alpha: float) -> float:
    return float(scipy.stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / np.sqrt(2)


def nemenyi(scores: NDArray) -> NDArray:
    """Nemenyi's p of every pair of methods, (k, k), from scikit-posthocs; of the scores of `critical_difference`.

    Example:
        >>> scores = np.array([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.9, 0.7, 0.8], [0.7, 0.6, 0.5]])
        >>> nemenyi(scores).round(3)
        array([[1.   , 0.181, 0.036],
               [0.181, 1.   , 0.759],
               [0.036, 0.759, 1.   ]])
    """
    from scikit_posthocs import posthoc_nemenyi_friedman  # brings seaborn, which nothing else here waits for

    return posthoc_nemenyi_friedman(np.round(scores, 12)).to_numpy()


def groups(critical: Critical) -> list[NDArray]:
    """The bars of a diagram: the largest sets of neighbours in rank that do not differ significantly, best first.

    Example:
        >>> scores = np.array([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6], [0.9, 0.7, 0.8], [0.7, 0.6, 0.5]])
        >>> groups(critical_difference(scores, higher=True))
        [array([0, 1]), array([1, 2])]
    """
    order = np.argsort(critical.ranks, kind="stable")
    bars: list[NDArray] = []
    end = 0
    for start in range(len(order)):
        last = max(other for other in range(start, len(order)) if not critical.significant[order[start], order[other]])
        if last > start and last > end:
            bars.append(order[start : last + 1])
        end = max(end, last)
    return bars


@lru_cache(maxsize=128)
def diagram_power(datasets: int, methods: int, alpha: float = 0.05) -> float:
    """How often a diagram of this size tells a method from another that it beats by one standard deviation.

    By simulation: normal scores, the other methods equal, the standard deviation that of a score around its data set's
    and method's mean. Such a method wins a pair of scores with a chance of 0.76.

    Example:
        >>> diagram_power(datasets=5, methods=3) < diagram_power(datasets=20, methods=3)
        True
    """
    rng = np.random.default_rng([datasets, methods])
    values = rng.normal(size=(_TRIALS, datasets, methods))
    values[..., 0] += 1
    ranks = (np.argsort(np.argsort(-values, axis=-1), axis=-1) + 1.0).mean(axis=1)
    needed = _quantile(methods, alpha) * np.sqrt(methods * (methods + 1) / (6 * datasets))
    return float(np.mean(ranks[:, 1] - ranks[:, 0] >= needed))


@dataclass(frozen=True)
class Diagram:
    """A critical-difference diagram: what is compared on which data sets, and the outcome.

    `left_out` are the methods that were not run on all of these data sets, or lack predictions on one.
    """

    checkpoint: str
    metric: str
    labels: str
    methods: list[tuple[str, str]]
    datasets: list[str]
    scores: NDArray
    critical: Critical
    left_out: list[tuple[str, str]]


def diagrams(
    scores: pd.DataFrame,
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    empty_reference: EmptyReference = "best_or_worst",
) -> list[Diagram]:
    """Every diagram that can be made: three methods that all were run on the same three or more data sets.

    A score is the mean over classes and over the patients of a data set, on the structures that all methods have.
    Methods that were not run on every data set, or lack predictions on one, are left out. A data set counts once:
    evaluated on itself where it was, else on the first of its evaluation sets, because one trained model on two sets is
    not two trials.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> diagrams(example_scores())  # needs three data sets, the example has one
        []
    """
    grouped: dict[tuple[str, str, str], dict[str, ScoreMatrix]] = {}
    for matrix in score_matrices(scores, metrics, empty_reference):
        dataset, evaluated_on, checkpoint, metric, labels = matrix.place
        chosen = grouped.setdefault((checkpoint, metric, labels), {})
        if len(matrix.ranked) > 1 and (dataset not in chosen or evaluated_on == dataset):
            chosen[dataset] = matrix
    drawn = []
    for place, chosen in grouped.items():
        present = [set(matrix.ranked) for matrix in chosen.values()]
        methods = sorted(set.intersection(*present)) if present else []
        if len(chosen) < FEWEST or len(methods) < FEWEST:
            continue
        means = [matrix.patients([matrix.methods.index(pair) for pair in methods]) for matrix in chosen.values()]
        if not all(map(len, means)):
            continue
        table = np.array([scores_of_data_set.mean(axis=0) for scores_of_data_set in means])
        outcome = critical_difference(table, catalogue.direction(place[1]) == "higher", alpha)
        others = {pair for matrix in chosen.values() for pair in matrix.methods} - set(methods)
        drawn.append(Diagram(*place, methods, list(chosen), table, outcome, sorted(others)))
    return drawn


def critical_table(
    scores: pd.DataFrame,
    metrics: Sequence[str] = ("dice",),
    alpha: float = 0.05,
    empty_reference: EmptyReference = "best_or_worst",
) -> pd.DataFrame:
    """`diagrams` as a table, one row per method.

    Returns:
        The columns CRITICAL_COLUMNS; `p_to_best` is Nemenyi's p against the method with the best mean rank, `power` is
        `diagram_power`.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> len(critical_table(example_scores()))  # needs three data sets, the example has one
        0
    """
    rows = []
    for diagram in diagrams(scores, metrics, alpha, empty_reference):
        critical = diagram.critical
        to_best = nemenyi(diagram.scores)[:, int(critical.ranks.argmin())].tolist()
        shape = diagram.scores.shape
        shared = (*shape, critical.difference, critical.p, diagram_power(*shape, alpha))
        place = (diagram.checkpoint, diagram.metric, diagram.labels)
        each = zip(diagram.methods, critical.ranks.tolist(), to_best, strict=True)
        rows += [(*place, *method, rank, p, *shared) for method, rank, p in each]
    return pd.DataFrame(rows, columns=list(CRITICAL_COLUMNS))
