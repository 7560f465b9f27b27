"""Who leads where, and how sure that is: the highest mean of each data set and budget, beside what the tests say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from contrastseg.evaluation.statistics.verdicts import UNTESTED
from contrastseg.report.content.labels import (
    MethodLabel,
    budget_order,
    budget_short,
    decimals,
    higher_is_better,
    interval,
    number,
    p_value,
    split_reference,
)
from contrastseg.report.content.report_data import Material, complete_rows, records
from contrastseg.text import plural

_SAME = 1e-12
_TIED = 3  # methods of a tie that are named


@dataclass(frozen=True)
class Standing:
    """A method's mean as it is printed.

    Attributes:
        label: The method.
        mean: With as many decimals as it takes to see a difference from the next.
        interval: Of the mean, where one is claimed.
        value: The mean.
        patients: How many it is over.
    """

    label: MethodLabel
    mean: str
    interval: str
    value: float
    patients: int


@dataclass(frozen=True)
class Leader:
    """One data set at one budget.

    Attributes:
        place: Data set, and what it is evaluated on.
        budget: The labels in words.
        order: The budget as a number, to sort by.
        metric: What is compared.
        first: The method with the best mean; None where no two have complete scores, and where several share it.
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
            tests = rows_at(material.comparisons, key, labels, metric)
            ranks = rows_at(rankings, key, labels, metric)
            best, after = standings(material, part[part["labels"] == labels], tests, ranks, metric)
            first, second = (best[0], after) if len(best) == 1 else (None, None)
            lines.append(
                Leader(
                    place=material.block_title(*key),
                    budget=_budget(labels, material.labelled(key[0], labels)),
                    order=budget_order(labels)[1],
                    metric=metric,
                    first=first,
                    second=second,
                    certainty=tie(best) if len(best) > 1 else _certainty(material, tests, first),
                    found=_verdict(tests, first) in ("better", "worse"),
                    stability=_stability(ranks, first),
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


def standings(
    material: Material, rows: pd.DataFrame, tests: pd.DataFrame, ranks: pd.DataFrame, metric: str
) -> tuple[list[Standing], Standing | None]:
    """The methods that share the best mean, mostly one, and the next; none where fewer than two can be ranked.

    Means are those of the ranking, where empty references count as the suite says, else those of the tables.

    Args:
        material: Titles.
        rows: Of the summary, of one place, budget and metric.
        tests: The comparisons of that place.
        ranks: The ranking of that place.
        metric: What is compared.
    """
    ranked = ranks[ranks["rank"].notna()] if "rank" in ranks else ranks.iloc[:0]
    if len(ranked) < 2:
        ranked = complete_rows(rows).rename(columns={"n_patients": "n"})
    if len(ranked) < 2:
        return [], None
    ranked = ranked.sort_values("mean", ascending=higher_is_better(metric) is False, kind="stable")
    values = ranked["mean"].to_numpy()
    tied = int((abs(values - values[0]) < _SAME).sum())
    places = decimals(metric)
    while tied == 1 and number(values[0], places) == number(values[1], places):
        places += 1
    found = [
        Standing(
            material.label(str(row.method), str(row.variant)),
            number(row.mean, places),
            _interval(row, tests, rows, places),
            float(row.mean),
            int(row.n),
        )
        for row in records(ranked.head(tied + 1))
    ]
    return found[:tied], (found[tied] if len(found) > tied else None)


def tie(best: list[Standing]) -> str:
    """Such as "a and b share the best mean, 0.812"."""
    names = [one.label.plain for one in best]
    named = names if len(names) <= _TIED else [*names[: _TIED - 1], plural(len(names) - _TIED + 1, "other method")]
    return f"{', '.join(named[:-1])} and {named[-1]} share the best mean, {best[0].mean}"


def _interval(row: Any, tests: pd.DataFrame, rows: pd.DataFrame, places: int) -> str:
    """The interval that goes with this mean: that of the comparison, or that of the table."""
    for frame, ends in ((tests, ("mean_low", "mean_high", "mean_clipped")), (rows, ("low", "high", "clipped"))):
        if len(frame):
            own = frame[(frame["method"] == row.method) & (frame["variant"] == row.variant)]
            for one in records(own[(own["mean"] - row.mean).abs() < _SAME]):
                low, high, clipped = (getattr(one, name) for name in ends)
                return interval(low, high, places, str(clipped))
    return ""


def rows_at(frame: pd.DataFrame | None, key: tuple[str, str, str], labels: str, metric: str) -> pd.DataFrame:
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
    if row is None or pd.isna(row.first):
        return ""
    return f"first in {100 * row.first:.0f} % of resamplings of the patients"


def _verdict(tests: pd.DataFrame, first: Standing | None) -> str:
    row = _row(tests, first)
    return "" if row is None else str(row.verdict)


def _certainty(material: Material, tests: pd.DataFrame, first: Standing | None) -> str:
    if first is None:
        return "no two methods have complete scores on the same structures"
    row = _row(tests, first)
    if row is None:
        return "not tested"
    reference = material.label(*split_reference(str(row.reference))).plain
    verdict, alpha = str(row.verdict), material.facts.alpha
    if verdict == "reference":
        others = tests[~tests["verdict"].isin(UNTESTED)]
        worse = int((others["verdict"] == "worse").sum())
        return f"it is the reference itself: {worse} of {len(others)} others found worse"
    if verdict == "no pairs":
        return f"not tested: no patients in common with {reference}"
    if verdict == "incomplete":
        return f"not tested: {reference} lacks {plural(int(row.reference_missing), 'score')}"
    over = plural(int(row.n), "patient")
    if verdict == "identical":
        return f"identical to {reference} in {over}"
    if verdict == "n too small":
        differing = int(row.n - row.zeros)
        over = over if differing == row.n else f"{differing} of {over} differ"
        least = p_value(row.p_smallest, alpha)
        return f"too few patients to tell it from {reference}: smallest reachable p\u00a0{least}, {over}"
    words = "no difference found from" if verdict == "n.s." else f"{verdict} than"
    told = [f"{words} {reference}: corrected p\u00a0{p_value(row.p_holm, alpha)}, {over}"]
    told += [f"its mean is {row.mean_against.removesuffix(' mean')}"] if row.mean_against else []
    return "; ".join([*told, str(row.disagreement)] if row.disagreement else told)


def _counted(tests: pd.DataFrame) -> str:
    if not len(tests):
        return "none"
    words = {"better": "better", "worse": "worse", "n.s.": "no difference found", "n too small": "n too small"}
    words |= {"identical": "identical", "incomplete": "not tested (predictions missing)"}
    counts = {word: int((tests["verdict"] == verdict).sum()) for verdict, word in words.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"
