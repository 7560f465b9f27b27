"""Selection of a checkpoint on the test cases (the oracle), and the optimism of such a selection.

The oracle measures what selection on the test set is worth. It is compared with no method.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.checkpoint_names import BEST_VAL, LAST, ORACLE, ORACLE_MARK, SELECTED_BY, is_snapshot, snapshot_number
from contrastseg.errors import ScoringError
from contrastseg.evaluation.statistics.aggregation import MEAN, per_replicate
from contrastseg.evaluation.statistics.intervals import BOOTSTRAP_FROM

SELECTION_COLUMNS = (
    *("dataset", "evaluated_on", "checkpoint", "labels", "label_ratio", "method", "variant", "metric", "unit"),
    *("n_patients", "n_runs", "candidates", "last", "best_val", "oracle", "cross_fitted"),
    *("optimism", "optimism_low", "optimism_high", "missing", "note"),
)
_CELL = ["dataset", "evaluated_on", "labels", "method", "variant"]
_RUN = ["draw", "fold", "seed"]
_RESAMPLES = 2000
_LARGEST = 2_000_000  # numbers held at once
_DECIMALS = 12  # means of equal scores must come out equal


@dataclass(frozen=True)
class OracleChoice:
    """The selected checkpoint of one run.

    Attributes:
        checkpoint: Its name.
        means: Of the selecting metric, over classes, then patients, by checkpoint; NaN where nothing has a value.
        incomplete: The candidates with missing predictions; they are not selected while another is complete.
    """

    checkpoint: str
    means: dict[str, float]
    incomplete: tuple[str, ...]


def oracle_choice(scores: pd.DataFrame) -> OracleChoice:
    """Select the checkpoint of one run that has the highest mean Dice on the test cases.

    A tie goes to the later checkpoint. Where every candidate lacks predictions, the last checkpoint is selected, so
    that the tables report what is missing.

    Args:
        scores: Rows of the collected table, of one run on one evaluation set; candidates by the column `checkpoint`.

    Raises:
        ScoringError: Dice was not scored.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> run = scores[scores["method"] == "supervised"]
        >>> oracle_choice(pd.concat([run.assign(checkpoint="step100", value=run["value"] - 0.1), run])).checkpoint
        'last'
    """
    rows = scores[scores["metric"] == SELECTED_BY]
    if rows.empty:
        raise ScoringError(
            f"no {SELECTED_BY} to select a checkpoint by", remedy=f"add {SELECTED_BY} to evaluation.metrics"
        )
    names = ordered(rows["checkpoint"].unique())
    lacking = set(rows.loc[rows["outcome"] == "hole", "checkpoint"])
    matrix = _matrix(rows, names, sorted(rows["patient"].unique()))
    means = dict(zip(names, _means(matrix, np.ones((1, len(matrix))))[0].tolist(), strict=True))
    complete = [name for name in names if name not in lacking and means[name] > -np.inf]
    chosen = complete[_latest_best(np.array([means[name] for name in complete]))] if complete else names[-1]
    known = {name: mean if mean > -np.inf else float("nan") for name, mean in means.items()}
    return OracleChoice(chosen, known, tuple(name for name in names if name in lacking))


def selection_table(scores: pd.DataFrame, alpha: float = 0.05, resamples: int = _RESAMPLES) -> pd.DataFrame:
    """Compare, per method and label budget, the last checkpoint, the best on validation, and the oracle.

    `oracle` is the mean with the checkpoint of each run selected on all test patients. `cross_fitted` is the mean in
    which each patient is scored at the checkpoint selected on the other patients. `optimism` is the first minus the
    second: by how much selection on the test set flatters itself. It cannot be negative where every patient has a
    value at every candidate, so it is not tested against 0. Its interval is the percentile bootstrap over patients,
    the selection repeated in each resample; the copies of a patient are left out together. No interval is given for
    fewer than 20 patients (`intervals.BOOTSTRAP_FROM`).

    Args:
        scores: Collected scores of the candidates (snapshots and last), and of best_val where there is one.
        alpha: One minus the nominal coverage of the interval.
        resamples: Number of bootstrap resamples.

    Returns:
        The columns SELECTION_COLUMNS, a row per data set, evaluation set, label budget, method and variant. `missing`
        counts predictions that candidates lack, and candidates that a run has no scores of; such a row has no means.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> last = scores[scores["method"] == "supervised"]
        >>> snapshot = scores[scores["method"] == "simclr"].assign(method="supervised", checkpoint="step100")
        >>> selection_table(pd.concat([snapshot, last]))[["last", "oracle", "optimism"]].round(4).values.tolist()
        [[0.717, 0.7232, 0.0]]
    """
    scores = scores[scores["metric"] == SELECTED_BY]
    rows = [
        {**dict(zip(_CELL, key, strict=True)), **_row(cell, alpha, resamples)}
        for key, cell in scores.groupby(_CELL, sort=True)
    ]
    return pd.DataFrame(rows, columns=list(SELECTION_COLUMNS))


def ordered(checkpoints: Iterable[str]) -> list[str]:
    """Candidates in the order of training: snapshots by their steps or epochs, then `last`.

    Example:
        >>> ordered(["last", "step100", "step20"])
        ['step20', 'step100', 'last']
    """
    return sorted(checkpoints, key=lambda name: (not is_snapshot(name), snapshot_number(name) or 0))


def _row(cell: pd.DataFrame, alpha: float, resamples: int) -> dict[str, Any]:
    candidates = cell[[is_snapshot(str(name)) or name == LAST for name in cell["checkpoint"]]]
    row: dict[str, Any] = {
        "checkpoint": ORACLE,
        "label_ratio": cell["label_ratio"].iloc[0],
        "metric": SELECTED_BY,
        "unit": cell["unit"].iloc[0],
        "n_patients": candidates["patient"].nunique(),
        "n_runs": len(candidates[_RUN].drop_duplicates()),
        "candidates": candidates["checkpoint"].nunique(),
        "note": ORACLE_MARK,
    }
    # A run that was not scored at every candidate has another choice than the others: it is no sample of theirs.
    unscored = row["n_runs"] * row["candidates"] - len(candidates[[*_RUN, "checkpoint"]].drop_duplicates())
    row["missing"] = int((cell["outcome"] == "hole").sum()) + unscored
    if row["missing"] or not candidates["value"].notna().any():
        return row
    patients = sorted(candidates["patient"].unique())
    runs = list(_runs(candidates, patients))
    everyone = np.ones((1, len(patients)))
    last = [matrix[:, -1:] for matrix in runs]
    row["last"] = float(_over_patients(_over_runs([each.T for each in last]), everyone)[0])
    best_val = cell[cell["checkpoint"] == BEST_VAL]
    if len(best_val):
        values = [_matrix(rows, [BEST_VAL], patients).T for _, rows in best_val.groupby(_RUN, sort=True)]
        row["best_val"] = float(_over_patients(_over_runs(values), everyone)[0])
    oracle, fitted = _oracle_and_cross_fitted(runs, everyone)
    row |= {"oracle": float(oracle[0]), "cross_fitted": float(fitted[0]), "optimism": float(oracle[0] - fitted[0])}
    if len(patients) >= BOOTSTRAP_FROM:
        row["optimism_low"], row["optimism_high"] = _interval(runs, len(patients), alpha, resamples)
    return row


def _runs(candidates: pd.DataFrame, patients: Sequence[str]) -> Iterator[NDArray]:
    """(patients, candidates) of each run and fold; NaN where a patient has no value in it."""
    for _, rows in candidates.groupby(_RUN, sort=True):
        yield _matrix(rows, ordered(rows["checkpoint"].unique()), patients)


def _matrix(rows: pd.DataFrame, checkpoints: Sequence[str], patients: Sequence[str]) -> NDArray:
    """(patients, checkpoints) means over classes of one run."""
    replicates = per_replicate(rows)
    values = replicates[replicates["class"] == MEAN].astype({"patient": "str", "checkpoint": "str"})
    table = values.pivot(index="patient", columns="checkpoint", values="value")
    return table.reindex(index=list(patients), columns=list(checkpoints)).to_numpy(dtype=float)


def _means(matrix: NDArray, weights: NDArray) -> NDArray:
    """(resamples, candidates) weighted means over the patients that have a value; -inf where none has."""
    there = ~np.isnan(matrix)
    return _ratio(weights @ np.where(there, matrix, 0.0), weights @ there)


def _ratio(sums: NDArray, counts: NDArray) -> NDArray:
    known = counts > 0.5  # counts are whole numbers
    return np.round(np.divide(sums, counts, out=np.full(sums.shape, -np.inf), where=known), _DECIMALS)


def _latest_best(means: NDArray) -> NDArray:
    """The index of the highest mean along the last axis; of equal ones the last."""
    latest: NDArray = means.shape[-1] - 1 - np.argmax(means[..., ::-1], axis=-1)
    return latest


def _oracle_and_cross_fitted(runs: Sequence[NDArray], weights: NDArray) -> tuple[NDArray, NDArray]:
    """(resamples,) means of the oracle, and cross-fitted.

    Args:
        runs: (patients, candidates) of each run.
        weights: (resamples, patients), how often each patient is drawn.
    """
    selected = [_selected(matrix, weights) for matrix in runs]
    return (
        _over_patients(_over_runs([oracle for oracle, _ in selected]), weights),
        _over_patients(_over_runs([fitted for _, fitted in selected]), weights),
    )


def _selected(matrix: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """(resamples, patients) values at the checkpoint selected on all patients, and on the other patients."""
    there = ~np.isnan(matrix)
    filled = np.where(there, matrix, 0.0)
    sums, counts = weights @ filled, weights @ there
    oracle = matrix[:, _latest_best(_ratio(sums, counts))].T
    others = _ratio(
        sums[:, None] - weights[:, :, None] * filled[None], counts[:, None] - weights[:, :, None] * there[None]
    )
    chosen = _latest_best(others)
    fitted = matrix[np.arange(len(matrix))[None], chosen]
    fitted = np.where((others > -np.inf).any(axis=-1), fitted, np.nan)  # a single patient has no others
    return oracle, fitted


def _over_runs(values: Sequence[NDArray]) -> NDArray:
    """(resamples, patients) means over the runs that have a value of the patient; NaN where none has."""
    counts = reduce(np.add, [~np.isnan(each) for each in values], np.zeros(values[0].shape, dtype=int))
    sums = reduce(np.add, [np.nan_to_num(each) for each in values])
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)


def _over_patients(values: NDArray, weights: NDArray) -> NDArray:
    """(resamples,) weighted means over the patients that have a value."""
    there = ~np.isnan(values)
    counts = (weights * there).sum(axis=1)
    sums = (weights * np.where(there, values, 0.0)).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def _interval(runs: Sequence[NDArray], patients: int, alpha: float, resamples: int) -> tuple[float, float]:
    """The percentile interval of the optimism over resampled patients. Deterministic."""
    weights = np.random.default_rng([0, patients]).multinomial(
        patients, np.full(patients, 1 / patients), size=resamples
    )
    at_once = max(1, _LARGEST // (patients * max(matrix.shape[1] for matrix in runs)))
    optimism = []
    for first in range(0, resamples, at_once):
        oracle, fitted = _oracle_and_cross_fitted(runs, weights[first : first + at_once].astype(float))
        optimism.append(oracle - fitted)
    low, high = np.nanquantile(np.concatenate(optimism), [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)
