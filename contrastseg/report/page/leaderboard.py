"""The leaderboard: the best mean of each data set and label budget, with the test against the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import ORACLE
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
    split_baseline,
)
from contrastseg.report.content.report_data import Place, ReportData, complete_rows, records
from contrastseg.report.page import wording
from contrastseg.text import plural

_SAME = 1e-12
_TIED = 3  # methods of a tie that are named


@dataclass(frozen=True)
class RankedMean:
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
class LeaderboardLine:
    """One data set at one budget.

    Attributes:
        place: Data set, and what it is evaluated on.
        budget: The labels in words.
        order: The budget as a number, to sort by.
        metric: What is compared.
        first: The method with the best mean; None where no two have complete scores, and where several share it.
        second: The next one.
        certainty: The result of the test of the first against the baseline.
        significant: Whether that test found a significant difference.
        stability: How often it stays first when patients are resampled; empty where rankings were not resampled.
        tests: The results of all tests of the place, counted.
    """

    place: str
    budget: str
    order: float
    metric: str
    first: RankedMean | None
    second: RankedMean | None
    certainty: str
    significant: bool
    stability: str
    tests: str


def leaderboard(data: ReportData) -> list[LeaderboardLine]:
    """One line per data set and label budget, of Dice or else of the first metric that was scored.

    The oracle checkpoint has no line, as it is not ranked.

    Args:
        data: Means, tests, rankings where patients were resampled, titles.
    """
    means = comparable_means(data)
    if not len(means):
        return []
    metric = data.metrics(["dice"])[0]
    return [
        _line(data, key, labels, metric, rows[rows["labels"] == labels])
        for key, rows in data.places(means[means["metric"] == metric])
        for labels in sorted(set(rows["labels"].astype(str)), key=budget_order)
    ]


def comparable_means(data: ReportData) -> pd.DataFrame:
    """The means over classes that may be ranked, so none of the oracle."""
    summary = data.summary
    return summary[(summary["class"] == "mean") & (summary["checkpoint"] != ORACLE)] if len(summary) else summary


def _line(data: ReportData, key: Place, labels: str, metric: str, rows: pd.DataFrame) -> LeaderboardLine:
    tests = rows_at(data.comparisons, key, labels, metric)
    ranks = rows_at(data.rankings, key, labels, metric)
    best, second = best_means(data, rows, tests=tests, ranks=ranks, metric=metric)
    first, second = (best[0], second) if len(best) == 1 else (None, None)
    return LeaderboardLine(
        place=data.block_title(*key),
        budget=_budget(labels, data.labelled(key[0], labels)),
        order=budget_order(labels)[1],
        metric=metric,
        first=first,
        second=second,
        certainty=tie(best) if len(best) > 1 else _certainty(data, tests, first),
        significant=_verdict(tests, first) in ("better", "worse"),
        stability=_stability(ranks, first),
        tests=_counted(tests),
    )


def _budget(labels: str, patients: int | None) -> str:
    """Such as "10 % (7 patients)" and "7 patients": the column says that they are labelled."""
    kind, value = budget_order(labels)
    if kind == 0:
        return plural(int(value), "patient")
    people = "" if patients is None else f" ({plural(patients, 'patient')})"
    return f"{budget_short(labels)}{people}"


def best_means(
    data: ReportData, rows: pd.DataFrame, *, tests: pd.DataFrame, ranks: pd.DataFrame, metric: str
) -> tuple[list[RankedMean], RankedMean | None]:
    """The methods that share the best mean, mostly one, and the next; none where fewer than two can be ranked.

    Means are those of the ranking, where empty references count as the suite says, else those of the tables.

    Args:
        data: Titles.
        rows: Of the summary, of one place, budget and metric.
        tests: The comparisons of that place.
        ranks: The ranking of that place.
        metric: The metric of all three.
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
    means = [
        RankedMean(
            data.label(str(row.method), str(row.variant)),
            number(row.mean, places),
            _interval(row, tests, rows, places),
            float(row.mean),
            int(row.n),
        )
        for row in records(ranked.head(tied + 1))
    ]
    return means[:tied], (means[tied] if len(means) > tied else None)


def tie(best: list[RankedMean]) -> str:
    """Such as "a and b share the best mean, 0.812"."""
    names = [mean.label.plain for mean in best]
    named = names if len(names) <= _TIED else [*names[: _TIED - 1], plural(len(names) - _TIED + 1, "other method")]
    return wording.tie(named, best[0].mean)


def _interval(row: Any, tests: pd.DataFrame, rows: pd.DataFrame, places: int) -> str:
    """The interval that goes with this mean: that of the comparison, or that of the table."""
    for frame, ends in ((tests, ("mean_low", "mean_high", "mean_clipped")), (rows, ("low", "high", "clipped"))):
        if len(frame):
            own = frame[(frame["method"] == row.method) & (frame["variant"] == row.variant)]
            for same in records(own[(own["mean"] - row.mean).abs() < _SAME]):
                low, high, clipped = (getattr(same, name) for name in ends)
                return interval(low, high, places, str(clipped))
    return ""


def rows_at(frame: pd.DataFrame, key: Place, labels: str, metric: str) -> pd.DataFrame:
    """The rows of one place, budget and metric."""
    if not len(frame):
        return pd.DataFrame()
    same = (frame["dataset"] == key[0]) & (frame["evaluated_on"] == key[1]) & (frame["checkpoint"] == key[2])
    return frame[same & (frame["labels"] == labels) & (frame["metric"] == metric)]


def _row(rows: pd.DataFrame, first: RankedMean | None) -> Any:
    if first is None or not len(rows):
        return None
    own = (rows["method"] == first.label.method) & (rows["variant"] == first.label.variant)
    return next(records(rows[own]), None)


def _stability(ranks: pd.DataFrame, first: RankedMean | None) -> str:
    row = _row(ranks, first)
    if row is None or pd.isna(row.first):
        return ""
    return wording.first_in(row.first)


def _verdict(tests: pd.DataFrame, first: RankedMean | None) -> str:
    row = _row(tests, first)
    return "" if row is None else str(row.verdict)


def _certainty(data: ReportData, tests: pd.DataFrame, first: RankedMean | None) -> str:
    """The result of the test of the best method against the baseline."""
    if first is None:
        return wording.NO_RANKING
    row = _row(tests, first)
    if row is None:
        return wording.NOT_TESTED
    baseline = data.label(*split_baseline(str(row.reference))).plain
    verdict, alpha = str(row.verdict), data.suite.alpha
    if verdict == "reference":
        others = tests[~tests["verdict"].isin(UNTESTED)]
        return wording.is_baseline(int((others["verdict"] == "worse").sum()), len(others))
    if verdict == "no pairs":
        return wording.no_common_patients(baseline)
    if verdict == "incomplete":
        return wording.baseline_incomplete(baseline, int(row.reference_missing))
    patients = plural(int(row.n), "patient")
    if verdict == "identical":
        return wording.identical_to(baseline, patients)
    if verdict == "n too small":
        differing = int(row.n - row.zeros)
        patients = patients if differing == row.n else f"{differing} of {patients} differ"
        return wording.cannot_reject(baseline, p_value(row.p_smallest, alpha), patients)
    parts = [wording.test_result(verdict, baseline, p_value(row.p_holm, alpha), patients)]
    parts += [wording.its_mean_is(row.mean_against.removesuffix(" mean"))] if row.mean_against else []
    return "; ".join([*parts, str(row.disagreement)] if row.disagreement else parts)


def _counted(tests: pd.DataFrame) -> str:
    if not len(tests):
        return "none"
    counts = {word: int((tests["verdict"] == verdict).sum()) for verdict, word in wording.COUNTED_VERDICTS.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"
