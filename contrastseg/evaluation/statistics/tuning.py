"""Choice of a trial by the validation Dice of its last checkpoint, over the patients that validated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contrastseg.checkpoint_names import SELECTED_BY
from contrastseg.errors import ScoringError

DEFAULTS = 0
"""The trial with the defaults."""
CLOSE = 1e-4
"""The defaults are chosen if their mean is this close to the highest one."""
_DECIMALS = 12  # means of equal scores must come out equal


@dataclass(frozen=True)
class TrialChoice:
    """The chosen trial of one method at one label budget.

    Attributes:
        trial: Its number.
        means: Mean Dice over the patients, by trial; NaN for a diverged one.
        patients: The patients in these means: those with a value in every trial that did not diverge.
        rival: The trial it is compared with: the defaults, or the best other trial where the defaults are chosen. None
            where every other trial diverged, or the defaults did.
        difference: Its mean minus the rival's.
        standard_error: Of the difference, over pairs of one patient: s / √n. NaN for a single patient.
    """

    trial: int
    means: Mapping[int, float]
    patients: tuple[str, ...]
    rival: int | None
    difference: float
    standard_error: float


def validation_dice_of(scores: pd.DataFrame) -> dict[str, float]:
    """Dice of each patient from the rows of `score`: the mean over frames, then classes.

    A patient without any structure, in the reference or predicted, has no value.

    Args:
        scores: Rows with patient, class, metric, value and outcome.

    Raises:
        ScoringError: Predictions are missing.

    Example:
        >>> from contrastseg.evaluation.statistics.example import example_scores
        >>> scores = example_scores()
        >>> dice = validation_dice_of(scores[scores["method"] == "supervised"])
        >>> round(sum(dice.values()) / len(dice), 3)
        0.717
    """
    rows = scores[scores["metric"] == SELECTED_BY]
    if missing := sorted(set(rows["case"][rows["outcome"] == "hole"])):
        raise ScoringError(
            f"validation lacks predictions of {', '.join(missing)}",
            remedy="delete the folder of predictions, and run the trial again",
        )
    values = rows.dropna(subset=["value"]).groupby(["patient", "class"], sort=True)["value"].mean()
    return {str(patient): float(value) for patient, value in values.groupby("patient", sort=True).mean().items()}


def choose_trial(values: Mapping[int, Mapping[str, float] | None]) -> TrialChoice:
    """Choose the trial with the highest mean over patients; the defaults where they come within 10⁻⁴ of it.

    Args:
        values: Dice of each patient by trial, None for a trial that diverged. Each patient validated in one fold.

    Raises:
        ScoringError: Every trial diverged, or no patient has a value in all others.

    Example:
        >>> choice = choose_trial({0: {"a": 0.5, "b": 0.7}, 1: {"a": 0.6, "b": 0.9}, 2: None})
        >>> choice.trial, choice.rival, round(choice.difference, 3), round(choice.standard_error, 3)
        (1, 0, 0.15, 0.05)
    """
    finished = {trial: dict(each) for trial, each in sorted(values.items()) if each is not None}
    if not finished:
        raise ScoringError("every trial diverged", remedy="lower optimiser.learning_rate in the suite")
    patients = sorted(set.intersection(*(set(each) for each in finished.values())))
    if not patients:
        raise ScoringError(
            "no patient has a validation Dice in every trial",
            remedy="give more labelled patients: the validating ones have no structure in the reference",
        )
    matrix = {trial: np.array([each[patient] for patient in patients]) for trial, each in finished.items()}
    means = {trial: round(float(each.mean()), _DECIMALS) for trial, each in matrix.items()}
    best = max(means, key=means.__getitem__)  # of equal ones the first
    close = DEFAULTS in means and means[best] - means[DEFAULTS] <= CLOSE
    trial = DEFAULTS if close else best
    rival = _rival(trial, means)
    difference, error = (math.nan, math.nan) if rival is None else _paired(matrix[trial] - matrix[rival])
    known = {number: means.get(number, math.nan) for number in sorted(values)}
    return TrialChoice(trial, known, tuple(patients), rival, difference, error)


def _rival(trial: int, means: Mapping[int, float]) -> int | None:
    if trial != DEFAULTS:
        return DEFAULTS if DEFAULTS in means else None
    others = [number for number in means if number != DEFAULTS]
    return max(others, key=means.__getitem__) if others else None


def _paired(differences: NDArray) -> tuple[float, float]:
    count = len(differences)
    error = float(differences.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return float(differences.mean()), error
