"""How much of the spread of scores is of patients, of draws of labelled patients, of seeds, and of none of them alone.

The model of a score is x = μ + patient + draw + seed + patient × run, all random and independent. Seeds are nested in
draws, because a seed of another draw trains on other patients. Part of the last term may be the same for all seeds of a
draw. It is estimated apart, so that draws do not get it, and printed in one sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

# Why a component is unknown.
ONE_DRAW, ONE_SEED, ONE_PATIENT = "one draw", "one seed", "one patient"
IN_DRAWS, IN_PATIENTS = "part of the draws", "part of the patients"
CONFOUNDED = "not separable in these runs"
_NAMES = ("patient", "draw", "seed", "interaction")
_SINGULAR = 1e12


@dataclass(frozen=True)
class Components:
    """Variance components of one method's scores, or of its differences from the baseline.

    Estimates are unbiased, so that one of a component near 0 may be negative. NaN is unknown; `unknown` has the reason
    by the component's name.

    Attributes:
        patient: Variance between patients.
        draw: Variance between draws of the labelled patients.
        seed: Variance between seeds of one draw.
        interaction: Variance that a run has on one patient and not on another, and noise.
        unknown: Component -> why the design cannot tell it.
    """

    patient: float
    draw: float
    seed: float
    interaction: float
    unknown: Mapping[str, str]


def variance_components(values: NDArray, draws: NDArray) -> Components:
    """Estimate the components from patients × runs, with patients missing from runs and unequal numbers of seeds.

    MINQUE(0): the squared sums of each group of centred values, and their expectations solved for the components. It
    is unbiased for any design, and the analysis of variance where the design is balanced. S. Searle, G. Casella,
    C. McCulloch, Variance Components, 1992, ch. 11.3.

    Args:
        values: (patients, runs), NaN where a patient was not in a run.
        draws: (runs,), the draw that each run belongs to.

    Example:
        >>> values = np.array([[0.8, 0.9], [0.7, 0.81], [0.9, 0.98]])  # the second seed is better by 0.1
        >>> found = variance_components(values, np.zeros(2))
        >>> round(found.patient, 4), round(found.seed, 4), found.unknown["draw"]
        (0.0085, 0.0046, 'one draw')
    """
    patient, run = np.nonzero(~np.isnan(values))
    scores, draw = values[patient, run], draws[run]
    unknown = _unknown(patient, run, draw)
    if "patient" in unknown:
        return Components(np.nan, np.nan, np.nan, np.nan, unknown)
    if "interaction" in unknown:
        return Components(float(scores.var(ddof=1)), np.nan, np.nan, np.nan, unknown)
    groups = {"patient": patient}
    if "draw" not in unknown:
        groups["draw"] = draw
    if "seed" not in unknown:
        groups["seed"] = run
    if len(groups) == 3:
        groups["patient of a draw"] = patient * (run.max() + 1) + np.unique(draw, return_inverse=True)[1]
    try:
        estimates = minque(scores, list(groups.values()))
    except np.linalg.LinAlgError:
        return Components(np.nan, np.nan, np.nan, np.nan, dict.fromkeys(_NAMES, CONFOUNDED))
    found = dict(zip(groups, estimates, strict=False))
    interaction = estimates[-1] + found.get("patient of a draw", 0.0)
    return Components(found["patient"], found.get("draw", np.nan), found.get("seed", np.nan), interaction, unknown)


def _unknown(patient: NDArray, run: NDArray, draw: NDArray) -> dict[str, str]:
    """Component -> why it cannot be told, of a design given by its scores."""
    runs = len(np.unique(run))
    pairs = np.unique(np.stack([draw, run]), axis=1)[0]
    several_draws, several_seeds = len(np.unique(draw)) > 1, len(pairs) > len(np.unique(pairs))
    if len(np.unique(patient)) < 2:
        return dict.fromkeys(_NAMES, ONE_PATIENT)
    if runs < 2:
        return {"draw": ONE_DRAW, "seed": ONE_SEED, "interaction": IN_PATIENTS}
    unknown = {} if several_draws else {"draw": ONE_DRAW}
    return unknown if several_seeds else unknown | {"seed": IN_DRAWS}


def minque(scores: NDArray, groups: list[NDArray]) -> list[float]:
    """Variance components of scores by MINQUE(0).

    With M = I - 11'/N and Z of a grouping, E|Z'My|² = Σ_j σ_j² |Z'MZ_j|², for every grouping and for single scores.

    Args:
        scores: (N,).
        groups: The group of each score, (N,) integers, one array per random effect.

    Returns:
        One variance per effect, and that of the rest.

    Raises:
        numpy.linalg.LinAlgError: The design cannot tell two effects apart.

    Example:
        >>> patients, seeds = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 0, 1, 0, 1])
        >>> [round(value, 4) for value in minque(np.array([0.8, 0.9, 0.7, 0.81, 0.9, 0.98]), [patients, seeds])]
        [0.0085, 0.0046, 0.0001]
    """
    centred = scores - scores.mean()
    codes = [np.unique(group, return_inverse=True)[1].ravel() for group in groups]
    sizes = [np.bincount(code).astype(float) for code in codes]
    n, last = len(scores), len(codes)
    expected = np.empty((last + 1, last + 1))
    for i in range(last):
        expected[i, last] = expected[last, i] = n - np.sum(sizes[i] ** 2) / n
        for j in range(i, last):
            shape = len(sizes[i]), len(sizes[j])
            together = np.bincount(codes[i] * shape[1] + codes[j], minlength=shape[0] * shape[1]).reshape(shape)
            expected[i, j] = expected[j, i] = np.sum((together - np.outer(sizes[i], sizes[j]) / n) ** 2)
    expected[last, last] = n - 1
    if np.linalg.cond(expected) > _SINGULAR:
        raise np.linalg.LinAlgError("two effects of the design are one")
    squares = [*(np.sum(np.bincount(code, centred) ** 2) for code in codes), np.sum(centred**2)]
    return [float(value) for value in np.linalg.solve(expected, np.array(squares))]


def spread_range(groups: int, level: float = 0.95) -> tuple[float, float]:
    """Ends of the interval of a standard deviation between few groups, as multiples of the estimate.

    √(f / χ²) with f = groups - 1 degrees of freedom: exact for normal effects that are all that varies.

    Example:
        >>> [round(end, 2) for end in spread_range(3)]
        [0.52, 6.28]
    """
    freedom = groups - 1
    most, least = (float(stats.chi2.ppf(share, freedom)) for share in ((1 + level) / 2, (1 - level) / 2))
    return float(np.sqrt(freedom / most)), float(np.sqrt(freedom / least))
