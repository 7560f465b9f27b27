"""The scores of the methods on the structures of one place: a data set, metric and label budget.

A structure is a class of a case.
Two methods meet on the structures alone that every run of both has a value for, and a method with missing predictions
is neither tested nor ranked: who leaves out hard cases must not gain by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.checkpoint_names import ORACLE
from contrastseg.errors import ScoringError
from contrastseg.evaluation.distinct import distinct_rows
from contrastseg.evaluation.metrics import catalogue
from contrastseg.evaluation.metrics.empty_references import EMPTY, EmptyReference, compared
from contrastseg.evaluation.statistics.aggregation import MATRIX_KEYS, MEAN, check_names, check_units

_PAIR = ["method", "variant"]
_STRUCTURE = ["patient", "case", "class"]


@dataclass(frozen=True)
class ScoreMatrix:
    """The methods of one place on its structures.

    Attributes:
        place: The values of the columns MATRIX_KEYS.
        methods: (method, variant) of each column, sorted.
        structures: Columns patient, case and class, one row per structure.
        values: (structures, methods), means over seeds, draws and folds; NaN where not every run has a value (of a
            method with missing predictions: where not as many runs as anywhere have one).
        lacking: (structures, methods), how many runs have no prediction.
        partial: (methods,), whether some runs have a value for a structure for which others have none.
        empty: (structures,) whether the reference is empty.
        false_positive_shares: (structures, methods), runs that found something in an empty reference; else NaN.
    """

    place: tuple[str, ...]
    methods: list[tuple[str, str]]
    structures: pd.DataFrame
    values: NDArray
    lacking: NDArray
    partial: NDArray
    empty: NDArray
    false_positive_shares: NDArray

    @property
    def direction(self) -> catalogue.Direction:
        """Which way is better."""
        return catalogue.direction(self.place[MATRIX_KEYS.index("metric")])

    @cached_property
    def missing(self) -> NDArray:
        """(methods,) scores without a prediction, over all runs; such a method is neither tested nor ranked."""
        return self.lacking.sum(axis=0)

    @property
    def complete(self) -> NDArray:
        """The indices of the methods without missing predictions: those that are tested and ranked."""
        return np.flatnonzero(self.missing == 0)

    @property
    def ranked(self) -> list[tuple[str, str]]:
        """The methods without missing predictions."""
        return [self.methods[at] for at in self.complete]

    @property
    def unranked(self) -> list[tuple[str, str]]:
        """The methods with missing predictions."""
        return [pair for pair in self.methods if pair not in self.ranked]

    def common(self, columns: NDArray | list[int], where: NDArray | None = None) -> NDArray:
        """(structures,) whether each of these methods has a value in every run, and `where` holds."""
        there = ~np.isnan(self.values[:, columns]).any(axis=1)
        return there if where is None else there & where

    def patients(self, columns: NDArray | list[int], where: NDArray | None = None) -> NDArray:
        """(patients, columns) the means over frames, then classes, of the structures that all these methods have.

        Patients without such a structure have no row; the others are sorted by name.
        """
        rows = self.common(columns, where)
        return self.averaged(self.values[np.ix_(rows, np.asarray(columns))], rows)

    def averaged(self, values: NDArray, rows: NDArray) -> NDArray:
        """(patients, columns) means over frames, then classes, of some structures' values, (rows, columns)."""
        patient, label = self._codes[0][rows], self._codes[1][rows]
        inside = _means(values, patient * (label.max(initial=0) + 1) + label)
        return _means(inside[0], inside[1] // (label.max(initial=0) + 1))[0]

    @cached_property
    def _codes(self) -> tuple[NDArray, NDArray]:
        patient, label = (pd.factorize(self.structures[name], sort=True)[0] for name in ("patient", "class"))
        return patient, label

    def false_positives(self, columns: NDArray | list[int]) -> tuple[NDArray, NDArray]:
        """What these methods find in empty references that all of them have predictions for.

        Returns:
            (structures, columns) the share of runs that found something, and (patients, columns) the means of these
            over a patient's structures.
        """
        shares = self.false_positive_shares[:, columns]
        rows = self.empty & ~np.isnan(shares).any(axis=1)
        return shares[rows], _means(shares[rows], self._codes[0][rows])[0]


def comparable(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores that methods may be compared, tested and ranked by: all but those of the oracle.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> len(comparable(scores)), len(comparable(scores.assign(checkpoint="best_test")))
        (24, 0)
    """
    return scores[scores["checkpoint"] != ORACLE]


def score_matrices(
    scores: pd.DataFrame, metrics: Sequence[str] = ("dice",), empty_reference: EmptyReference = "best_or_worst"
) -> Iterator[ScoreMatrix]:
    """Every place where at least two methods were scored, the oracle's left out.

    Args:
        scores: The collected table.
        metrics: Which metrics; derived ones stand for what they are made from.
        empty_reference: What an empty reference counts.

    Raises:
        ScoringError: An unknown metric, one metric of one data set in two units, or a class of a reserved name.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> (matrix,) = score_matrices(example_scores())
        >>> matrix.place, matrix.values.shape
        (('phantoms', 'phantoms', 'last', 'dice', 'n3'), (8, 3))
    """
    wanted = comparable(scores[scores["metric"].isin(catalogue.resolve_metrics(metrics))])
    for matrix in score_matrices_of(compared(wanted, empty_reference)):
        if len(matrix.methods) > 1:
            yield matrix


def score_matrices_of(scores: pd.DataFrame) -> Iterator[ScoreMatrix]:
    """Every place of these scores, whose values are used as they are; places of a single method too.

    Raises:
        ScoringError: One metric of one data set comes in two units, two rows disagree about a case, a class has a
            reserved name, or runs were scored against different references.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> (matrix,) = score_matrices_of(example_scores())
        >>> matrix.methods[0], matrix.values.shape
        (('mean_teacher', 'default'), (8, 3))
    """
    check_units(scores)
    check_names(scores)
    scores = distinct_rows(scores)
    keys = [*MATRIX_KEYS, *_PAIR, *_STRUCTURE]
    text = [key for key in keys if not pd.api.types.is_numeric_dtype(scores[key])]
    rows = scores[[*keys, "value", "outcome"]].astype(dict.fromkeys(text, "category"))
    rows["hole"] = (rows["outcome"] == "hole").to_numpy()
    rows["void"] = rows["outcome"].isin(EMPTY).to_numpy()
    rows["found"] = (rows["outcome"] == "invented").to_numpy()
    rows["there"] = rows["outcome"].isin(("scored", "missed")).to_numpy()
    grouped = rows.groupby(keys, sort=True, observed=True)
    table = grouped[["hole", "void", "found", "there"]].sum()
    table["mean"], table["defined"] = grouped["value"].mean(), grouped["value"].count()
    table["runs"] = grouped.size()
    for place, outcome_counts in table.groupby(list(MATRIX_KEYS), sort=True, observed=True):
        yield _score_matrix(tuple(map(str, place)), outcome_counts.droplevel(list(MATRIX_KEYS)))


def _score_matrix(place: tuple[str, ...], outcome_counts: pd.DataFrame) -> ScoreMatrix:
    level = outcome_counts.index.to_frame(index=False).astype(str)
    pairs = sorted(set(zip(level["method"], level["variant"], strict=True)))
    which = {pair: at for at, pair in enumerate(pairs)}
    column = np.array([which[pair] for pair in zip(level["method"], level["variant"], strict=True)])
    structures = level[_STRUCTURE].drop_duplicates().sort_values(_STRUCTURE, ignore_index=True)
    row = pd.MultiIndex.from_frame(structures).get_indexer(pd.MultiIndex.from_frame(level[_STRUCTURE]))
    runs = np.zeros(len(pairs), dtype=int)
    np.maximum.at(runs, column, outcome_counts["runs"].to_numpy())
    lacking = np.tile(runs, (len(structures), 1))
    lacking[row, column] -= (outcome_counts["runs"] - outcome_counts["hole"]).to_numpy()
    known = np.zeros(len(pairs), dtype=int)
    np.maximum.at(known, column, outcome_counts["defined"].to_numpy())
    wanted = np.where(lacking.any(axis=0), known, runs)[column]
    defined = ((outcome_counts["defined"] == wanted) & (outcome_counts["defined"] > 0)).to_numpy()
    partial = np.zeros(len(pairs), dtype=bool)
    partial[column[((outcome_counts["defined"] > 0) & ~defined).to_numpy()]] = True
    values = np.full(lacking.shape, np.nan)
    values[row[defined], column[defined]] = outcome_counts["mean"].to_numpy()[defined]
    empty = np.zeros(len(structures), dtype=bool)
    empty[row[(outcome_counts["void"] > 0).to_numpy()]] = True
    there = row[(outcome_counts["there"] > 0).to_numpy()]
    if empty[there].any():
        raise _two_references(place, level, structures.iloc[there[empty[there]][0]], outcome_counts)
    false_positive_shares = np.full(lacking.shape, np.nan)
    false_positive_shares[row, column] = (outcome_counts["found"] / outcome_counts["runs"]).to_numpy()
    false_positive_shares[(lacking > 0) | ~empty[:, None]] = np.nan
    return ScoreMatrix(place, pairs, structures, values, lacking, partial, empty, false_positive_shares)


def _two_references(
    place: tuple[str, ...], level: pd.DataFrame, at: pd.Series, outcome_counts: pd.DataFrame
) -> ScoringError:
    """Why one reference cannot be empty for one run and not for another."""
    here = (level[_STRUCTURE] == at).all(axis=1).to_numpy()
    names = level["method"] + "/" + level["variant"]
    one, other = (names[here & (outcome_counts[kind] > 0).to_numpy()].iloc[0] for kind in ("void", "there"))
    where = ", ".join(f"{name} {value}" for name, value in zip(MATRIX_KEYS, place, strict=True))
    return ScoringError(
        f"the reference of class {at['class']} is empty where {one} was scored, and not where {other} was ({where})",
        case=str(at["case"]),
        remedy="score all runs against the same references, and collect again",
    )


def _means(values: NDArray, groups: NDArray) -> tuple[NDArray, NDArray]:
    """The means of each column over the rows of each group, and the groups, sorted."""
    names, codes = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, codes.ravel(), values)
    return sums / np.bincount(codes.ravel(), minlength=len(names))[:, None], names


def missing_scores(scores: pd.DataFrame) -> dict[tuple[str, ...], int]:
    """How many scores each method lacks, by (*MATRIX_KEYS, method, variant, class), `mean` standing for all classes.

    Expected in every run of a method are the structures that any method of its place has rows for.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> counts = missing_scores(example_scores().iloc[1:])  # one score of supervised was removed
        >>> {key[5]: count for key, count in counts.items() if key[-1] == "mean"}
        {'mean_teacher': 0, 'simclr': 0, 'supervised': 1}
    """
    missing: dict[tuple[str, ...], int] = {}
    for matrix in score_matrices_of(scores):
        labels = matrix.structures["class"].to_numpy()
        for name in (*dict.fromkeys(labels), MEAN):
            lacking = matrix.lacking if name == MEAN else matrix.lacking[labels == name]
            for pair, count in zip(matrix.methods, lacking.sum(axis=0).tolist(), strict=True):
                missing[*matrix.place, *pair, name] = count
    return missing
