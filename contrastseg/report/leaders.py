"""Who leads where, and how sure that is: the highest mean of each data set and budget, beside what the tests say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from contrastseg.report.naming import (
    MethodLabel,
    budget_order,
    budget_short,
    decimals,
    higher_is_better,
    interval,
    number,
    p_value,
    plural,
    split_reference,
)
from contrastseg.report.table_model import Material, records

UNTESTED = ("reference", "no pairs")


@dataclass(frozen=True)
class Standing:
    """A method's mean as it is printed."""

    label: MethodLabel
    mean: str
    interval: str
    value: float


@dataclass(frozen=True)
class Leader:
    """One data set at one budget.

    Attributes:
        place: Data set, and what it is evaluated on.
        budget: The labels in words.
        order: The budget as a number, to sort by.
        metric: What is compared.
        first: The method with the best mean; None where no two methods have complete scores.
        second: The next one.
        certainty: What the test of the first against the reference says.
        found: Whether that test found a difference.
        stability: How often it stays first when patients are drawn again; empty where rankings were not resampled.
        tests: What all tests of the place say, counted.
    """

    place: str
    budget: str
    order: float
    metric: str
    first: Standing | None
    second: Standing | None
    certainty: str
    found: bool
    stability: str
    tests: str


def leaders(material: Material, rankings: pd.DataFrame | None = None) -> list[Leader]:
    """One line per data set and label budget, of Dice or else of the first metric that was scored.

    Args:
        material: Means, tests, titles.
        rankings: One row per method and place with `first`, the share of resamplings in which it was first.
    """
    frame = material.summary
    means = frame[frame["class"] == "mean"] if len(frame) else frame
    if not len(means):
        return []
    metric = material.metrics(["dice"])[0]
    lines = []
    for key, part in material.places(means[means["metric"] == metric]):
        for labels in sorted(set(part["labels"].astype(str)), key=budget_order):
            tests = _of(material.comparisons, key, labels, metric)
            first, second = _standings(material, part[part["labels"] == labels], metric)
            lines.append(
                Leader(
                    place=material.block_title(*key),
                    budget=_budget(labels, material.labelled(key[0], labels)),
                    order=budget_order(labels)[1],
                    metric=metric,
                    first=first,
                    second=second,
                    certainty=_certainty(material, tests, first),
                    found=_verdict(tests, first) in ("better", "worse"),
                    stability=_stability(_of(rankings, key, labels, metric), first),
                    tests=_counted(tests),
                )
            )
    return lines


def _budget(labels: str, patients: int | None) -> str:
    """Such as "10 % (7 patients)" and "7 patients": the column says that they are labelled."""
    kind, value = budget_order(labels)
    if kind == 0:
        return plural(int(value), "patient")
    people = "" if patients is None else f" ({plural(patients, 'patient')})"
    return f"{budget_short(labels)}{people}"


def complete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that may be ranked: a mean without holes, over as many patients as any."""
    rows = rows[rows["mean"].notna()]
    return rows[(rows["holes"] == 0) & (rows["n_patients"] == rows["n_patients"].max())]


def _standings(material: Material, rows: pd.DataFrame, metric: str) -> tuple[Standing | None, Standing | None]:
    complete = complete_rows(rows)
    if len(complete) < 2:
        return None, None
    places, lowest = decimals(metric), higher_is_better(metric) is False
    best = list(records(complete.sort_values("mean", ascending=lowest, kind="stable").head(2)))
    first, second = (
        Standing(
            material.label(str(row.method), str(row.variant)),
            number(row.mean, places),
            interval(row.low, row.high, places),
            float(row.mean),
        )
        for row in best
    )
    return first, second


def _of(frame: pd.DataFrame | None, key: tuple[str, str, str], labels: str, metric: str) -> pd.DataFrame:
    """The rows of one place, budget and metric."""
    if frame is None or not len(frame):
        return pd.DataFrame()
    same = (frame["dataset"] == key[0]) & (frame["evaluated_on"] == key[1]) & (frame["checkpoint"] == key[2])
    return frame[same & (frame["labels"] == labels) & (frame["metric"] == metric)]


def _row(rows: pd.DataFrame, first: Standing | None) -> Any:
    if first is None or not len(rows):
        return None
    own = (rows["method"] == first.label.method) & (rows["variant"] == first.label.variant)
    return next(records(rows[own]), None)


def _stability(ranks: pd.DataFrame, first: Standing | None) -> str:
    row = _row(ranks, first)
    return "" if row is None else f"first in {100 * row.first:.0f} % of resamplings of the patients"


def _verdict(tests: pd.DataFrame, first: Standing | None) -> str:
    row = _row(tests, first)
    return "" if row is None else str(row.verdict)


def _certainty(material: Material, tests: pd.DataFrame, first: Standing | None) -> str:
    if first is None:
        return "no two methods have complete scores"
    row = _row(tests, first)
    if row is None:
        return "not tested"
    reference = material.label(*split_reference(str(row.reference))).plain
    verdict = str(row.verdict)
    if verdict == "reference":
        others = tests[~tests["verdict"].isin(UNTESTED)]
        worse = int((others["verdict"] == "worse").sum())
        return f"it is the reference itself: {worse} of {len(others)} others found worse"
    if verdict == "no pairs":
        return f"not tested: no patients in common with {reference}"
    over = plural(int(row.n), "patient")
    if verdict == "n too small":
        return (
            f"too few patients to tell it from {reference}: smallest reachable p\u00a0{p_value(row.p_smallest)}, {over}"
        )
    words = "no difference found from" if verdict == "n.s." else f"{verdict} than"
    return f"{words} {reference}: corrected p\u00a0{p_value(row.p_holm)}, {over}"


def _counted(tests: pd.DataFrame) -> str:
    tests = tests[~tests["verdict"].isin(UNTESTED)] if len(tests) else tests
    if not len(tests):
        return "none"
    words = {"better": "better", "worse": "worse", "n.s.": "no difference found", "n too small": "n too small"}
    counts = {word: int((tests["verdict"] == verdict).sum()) for verdict, word in words.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
