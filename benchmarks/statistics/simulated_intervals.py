"""Made-up benchmarks whose true mean is known: how often intervals hold it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from contrastseg.evaluation.statistics.intervals import mean_interval
from contrastseg.evaluation.statistics.paired import hodges_lehmann

_MISSED = 0.08
_DIAGONAL_MM = 300.0


class Share(NamedTuple):
    """A simulated share and its Monte-Carlo standard error."""

    share: float
    error: float

    @classmethod
    def of(cls, hits: ArrayLike) -> Share:
        """The share of true values among `hits`."""
        found = np.asarray(hits, dtype=float)
        return cls(float(found.mean()), float(np.sqrt(found.mean() * (1 - found.mean()) / found.size)))


@dataclass(frozen=True)
class Shape:
    """How the scores of patients are spread; runs move them on the scale where the metric has no bounds."""

    draw: Callable[[np.random.Generator, int], NDArray]
    bounds: tuple[float, float]
    missed: float | None = None


@dataclass(frozen=True)
class Design:
    """Repeated training: how often, and how much draws of labelled patients, seeds and single scores vary.

    The standard deviations are on the logit scale of an overlap and the log scale of a distance: 0.1 moves a Dice of
    0.86 by 0.012 and a distance of 8 mm by 0.8 mm.
    """

    draws: int = 1
    seeds: int = 3
    draw_sd: float = 0.0
    seed_sd: float = 0.1
    score_sd: float = 0.25


SHAPES = {
    "overlap": Shape(lambda rng, n: rng.beta(12, 2, n), (0, 1)),
    "overlap, some missed": Shape(lambda rng, n: rng.beta(12, 2, n), (0, 1), missed=0.0),
    "distance": Shape(lambda rng, n: rng.lognormal(np.log(8), 0.8, n), (0, np.inf)),
    "distance, some missed": Shape(lambda rng, n: rng.lognormal(np.log(8), 0.8, n), (0, np.inf), missed=_DIAGONAL_MM),
}


def scores(rng: np.random.Generator, shape: Shape, design: Design, n: int) -> tuple[NDArray, NDArray]:
    """One benchmark of one method: (n, runs) and the draw of each run."""
    draws = np.repeat(np.arange(design.draws), design.seeds)
    shift = rng.normal(0, design.draw_sd, design.draws)[draws] + rng.normal(0, design.seed_sd, draws.size)
    patients = shape.draw(rng, n)
    moved = shift + rng.normal(0, design.score_sd, (n, draws.size))
    bounded = np.isfinite(shape.bounds[1])
    values = expit(logit(patients)[:, None] + moved) if bounded else patients[:, None] * np.exp(moved)
    if shape.missed is not None:
        values[rng.random(n) < _MISSED] = shape.missed
    return values, draws


@lru_cache(maxsize=64)
def truth(name: str, design: Design) -> float:
    """The mean over all patients and runs there could be."""
    rng = np.random.default_rng(1)
    shape, many = SHAPES[name], 4_000_000
    spread = np.sqrt(design.draw_sd**2 + design.seed_sd**2 + design.score_sd**2)
    patients, moved = shape.draw(rng, many), rng.normal(0, spread, many)
    bounded = np.isfinite(shape.bounds[1])
    mean = float((expit(logit(patients) + moved) if bounded else patients * np.exp(moved)).mean())
    return mean if shape.missed is None else (1 - _MISSED) * mean + _MISSED * shape.missed


def coverage(name: str, n: int, design: Design, repetitions: int, seed: int = 0) -> tuple[Share, str]:
    """How often the nominal 95 % interval of a mean holds the truth, and the kind of most of these intervals."""
    rng = np.random.default_rng([seed, n])
    shape, mean = SHAPES[name], truth(name, design)
    held, kinds = [], []
    for _ in range(repetitions):
        values, draws = scores(rng, shape, design, n)
        found = mean_interval(values, draws=draws, bounds=shape.bounds)
        held.append(found.low <= mean <= found.high)
        kinds.append(found.kind)
    return Share.of(held), max(sorted(set(kinds)), key=kinds.count)


@dataclass(frozen=True)
class Nearly:
    """Scores of which most are one and the same, and how the others are spread."""

    common: float
    others: Callable[[np.random.Generator, int], NDArray]
    bounds: tuple[float, float]
    longest: float


NEARLY = {
    "overlap, most 1": Nearly(1.0, lambda rng, n: rng.beta(12, 2, n), (0, 1), np.inf),
    "overlap, most 0": Nearly(0.0, lambda rng, n: rng.beta(12, 2, n), (0, 1), np.inf),
    "distance, most 0": Nearly(
        0.0, lambda rng, n: rng.lognormal(np.log(8), 0.8, n).clip(max=_DIAGONAL_MM), (0, np.inf), _DIAGONAL_MM
    ),
}


class NearCoverage(NamedTuple):
    """What intervals of samples that hardly vary are worth.

    Attributes:
        held: How often an interval held the truth; samples without an interval count as failures.
        degenerate: How often the sample was degenerate, or all scores equal.
        inside: How often an interval of a degenerate sample held the truth.
        outside: How often an end lay outside the range, or the mean outside the interval; 0 is wanted.
    """

    held: Share
    degenerate: Share
    inside: Share
    outside: Share


def near_coverage(name: str, n: int, differing: float, repetitions: int, seed: int = 0) -> NearCoverage:
    """Coverage of nominal 95 % intervals where each of n patients differs from the commonest score by chance.

    Args:
        name: In NEARLY.
        n: Patients.
        differing: The chance of a patient to differ.
        repetitions: Simulated samples.
        seed: Of the simulation.
    """
    rng, shape = np.random.default_rng([seed, n, round(1000 * differing)]), NEARLY[name]
    mean = shape.common + differing * float((shape.others(np.random.default_rng(1), 1_000_000) - shape.common).mean())
    top = min(shape.bounds[1], shape.longest)
    rows = []
    for _ in range(repetitions):
        values = np.where(rng.random(n) < differing, shape.others(rng, n), shape.common)
        found = mean_interval(values[:, None], bounds=shape.bounds, longest=shape.longest)
        there = found.kind != "none"
        wrong = there and not shape.bounds[0] <= found.low <= found.mean <= found.high <= top
        rows.append((there and found.low <= mean <= found.high, found.kind in ("degenerate", "none"), wrong, there))
    held, degenerate, outside, there = np.array(rows).T
    inside = held[degenerate & there] if (degenerate & there).any() else np.array([np.nan])
    return NearCoverage(Share.of(held), Share.of(degenerate), Share.of(inside), Share.of(outside))


def shift_coverage(name: str, n: int, repetitions: int, seed: int = 0) -> Share:
    """How often the Hodges-Lehmann interval of n differences holds their shift.

    Args:
        name: `normal`, or `heavy tails` (Student's t with 3 degrees of freedom): symmetric, as the differences of two
            methods are that differ by a shift alone.
        n: Patients; at least 6, below which there is no interval.
        repetitions: Simulated comparisons.
        seed: Of the simulation.
    """
    rng = np.random.default_rng([seed, n])
    differences = 1 + (
        rng.standard_t(3, (repetitions, n)) if name == "heavy tails" else rng.normal(size=(repetitions, n))
    )
    bounds = np.array([hodges_lehmann(row)[1:] for row in differences])
    return Share.of((bounds[:, 0] <= 1) & (bounds[:, 1] >= 1))
