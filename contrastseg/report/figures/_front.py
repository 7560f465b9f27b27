"""The Pareto front of cost and score, and how certain it is over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from contrastseg.report.content.labels import Pair

FEWEST = 6  # patients: resampling fewer says next to nothing
_DRAWS, _SEED = 1000, 0


@dataclass(frozen=True)
class Resampled:
    """The front when patients are drawn again, with replacement.

    Attributes:
        shares: How often each method is on it, 0 to 1.
        costs: The methods' costs, ascending.
        low, high: Where 95 % of the fronts run at each of these costs.
    """

    shares: Mapping[Pair, float]
    costs: np.ndarray
    low: np.ndarray
    high: np.ndarray


def pareto_front(points: Mapping[Pair, tuple[float, float]], higher: bool = True) -> list[Pair]:
    """The methods that no other beats by being better at no higher cost, or as good and cheaper; sorted by cost."""
    sign = 1 if higher else -1
    front: list[Pair] = []
    best = -np.inf
    for pair, (_, score) in sorted(points.items(), key=lambda item: (item[1][0], -sign * item[1][1])):
        if sign * score > best:
            front.append(pair)
            best = sign * score
    return front


def resampled_front(patients: pd.DataFrame, costs: Mapping[Pair, float], higher: bool = True) -> Resampled | None:
    """How the front changes when the patients are drawn again; the runs and their costs stay as they are.

    Args:
        patients: One row per method, variant and patient with its `value`.
        costs: The methods that may be on the front.
        higher: Whether a higher score is better.

    Returns:
        None where the methods have fewer than six patients in common.
    """
    table = patients.pivot_table(index="patient", columns=["method", "variant"], values="value", observed=True)
    pairs = sorted((pair for pair in costs if pair in table.columns), key=lambda pair: costs[pair])
    values = table[pairs].dropna().to_numpy() if len(pairs) == len(costs) else np.empty((0, 0))
    if len(values) < FEWEST:
        return None
    drawn = np.random.default_rng(_SEED).integers(0, len(values), (_DRAWS, len(values)))
    counts = np.stack([np.bincount(replicate, minlength=len(values)) for replicate in drawn])
    means = counts @ values / len(values) * (1 if higher else -1)  # draws x methods, higher is better
    cost = np.array([costs[pair] for pair in pairs])
    beaten = np.stack([_beaten(means, cost, at) for at in range(len(pairs))], axis=1)
    # At a cost that several share, the best of them counts.
    last = np.searchsorted(cost, cost, side="right") - 1
    heights = np.maximum.accumulate(means, axis=1)[:, last] * (1 if higher else -1)
    low, high = np.quantile(heights, [0.025, 0.975], axis=0)
    return Resampled(dict(zip(pairs, (1 - beaten.mean(axis=0)).tolist(), strict=True)), cost, low, high)


def _beaten(means: np.ndarray, cost: np.ndarray, at: int) -> np.ndarray:
    """Draws in which another method is at most as costly and better, or cheaper and as good."""
    mine = means[:, [at]]
    better = (means > mine) & (cost <= cost[at])
    cheaper = (means == mine) & (cost < cost[at])
    beaten: np.ndarray = (better | cheaper).any(axis=1)
    return beaten


def steps_of(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a front: at a cost between two methods the cheaper one's score is what can be had."""
    corners: list[tuple[float, float]] = []
    for x, y in points:
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    return corners
