"""The checks of an audit: each a rule of arithmetic, with the reason why it holds.

Every bound leaves room for rounding: a number printed with two decimals stands for anything within half a unit of its
last one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

from contrastseg.evaluation.published.audit_rows import (
    LINE,
    AuditRow,
    Finding,
    Severity,
    half,
    highest,
    is_average,
    like,
    lines_of,
    lowest,
    pairs,
    text,
)

_OUTLIER = 2.0  # a share of the image this many times smaller or larger than the other rows' is asked about


def _outside_their_range(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """A score below zero, or a share above 100 % or 1 (impossible); a percentage below 1 (unlikely)."""
    for row in rows:
        if str(row["metric"]).endswith("gain"):
            continue
        shown = f"{row['metric']} {text(row)}"
        share = not math.isnan(row["fraction"])
        if row["value"] < 0:
            yield Finding("range", "impossible", (row,), f"{shown} is negative")
        elif share and row["fraction"] > 1:
            yield Finding("range", "impossible", (row,), f"{shown} is more than all")
        elif share and row["unit"] == "%" and 0 < row["value"] < 1:
            yield Finding("range", "unlikely", (row,), f"{shown} looks like a fraction")


def _dice_and_jaccard(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """Mean Jaccard below Dice/(2 − Dice), or above Dice, of the mean Dice over the same cases.

    In each case J = D/(2 − D), a convex function. By Jensen's inequality, the mean of J is at least D/(2 − D) of the
    mean D. They are equal when all cases are equal, or when both come from areas summed over the data set. J ≤ D holds
    in every case, and so in the mean.
    """
    for line in lines_of(rows, LINE):
        for dice, jaccard in pairs(line, "dice", "jaccard"):
            low, high = lowest(dice) / (2 - lowest(dice)), highest(dice)
            shown = f"Dice {text(dice)}, Jaccard {text(jaccard)}"
            least = dice["fraction"] / (2 - dice["fraction"])
            if highest(jaccard) < low:
                reason = f"{shown}: one set of predictions has a mean Jaccard of at least {like(jaccard, least)}"
                yield Finding("dice_jaccard", "impossible", (dice, jaccard), reason)
            elif lowest(jaccard) > high:
                reason = f"{shown}: Jaccard is never above Dice"
                yield Finding("dice_jaccard", "impossible", (dice, jaccard), reason)


def _accuracy_and_jaccard(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """Pixel accuracy below Jaccard; or an implied size of the structure that differs from all other rows'.

    In each case 1 − accuracy = (1 − J)·u, where u is the share of the image that reference and prediction cover
    together. So accuracy ≥ J, also in the mean. (1 − accuracy)/(1 − J) estimates u, which depends on the data set, not
    on the method.
    """
    shares: dict[tuple[Any, ...], list[tuple[float, tuple[AuditRow, AuditRow]]]] = {}
    for line in lines_of(rows, LINE):
        for accuracy, jaccard in pairs(line, "pixel_accuracy", "jaccard"):
            shown = f"pixel accuracy {text(accuracy)}, Jaccard {text(jaccard)}"
            if highest(accuracy) < lowest(jaccard):
                reason = f"{shown}: accuracy is never below Jaccard"
                yield Finding("accuracy_jaccard", "impossible", (accuracy, jaccard), reason)
            elif jaccard["fraction"] < 1:
                share = (1 - accuracy["fraction"]) / (1 - jaccard["fraction"])
                key = tuple(accuracy[name] for name in ("file", "paper", "where", "dataset", "class"))
                shares.setdefault(key, []).append((share, (accuracy, jaccard)))
    for values in shares.values():
        if len(values) < 4:
            continue
        for place, (share, pair) in enumerate(values):
            usual = median(other for index, (other, _) in enumerate(values) if index != place)
            if not usual / _OUTLIER <= share <= usual * _OUTLIER:
                reason = (
                    f"pixel accuracy {text(pair[0])}, Jaccard {text(pair[1])}: the structure would cover about"
                    f" {100 * share:.0f} % of the image; by the other rows of this table it covers {100 * usual:.0f} %"
                )
                yield Finding("accuracy_jaccard", "unlikely", pair, reason)


def _averages(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """An average that differs from the mean of its columns (only where every case has every class)."""
    for line in lines_of(rows, (*LINE[:-1], "metric", "unit")):
        columns = [row for row in line if row["class"] and not is_average(row["class"])]
        for row in line:
            if not is_average(row["class"]) or len(columns) < 2:
                continue
            mean = sum(column["value"] for column in columns) / len(columns)
            slack = half(row) + sum(half(column) for column in columns) / len(columns)
            if abs(mean - row["value"]) > slack:
                shown = ", ".join(f"{column['class']} {text(column)}" for column in columns)
                reason = f"{row['metric']} {row['class']} {text(row)}, but the mean of {shown} is {mean:.4g}"
                yield Finding("average", "impossible", (row, *columns), reason)


def _distances(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """A maximum below a percentile or a mean of the same distances (impossible); an HD95 below a mean (unlikely)."""
    means = ("asd", "assd")
    orders: tuple[tuple[str, tuple[str, ...], Severity], ...] = (
        ("hd", ("hd95", *means), "impossible"),
        ("hd95", means, "unlikely"),
    )
    for line in lines_of(rows, (*LINE, "unit")):
        for larger, smaller, severity in orders:
            for other in smaller:
                for high, low in pairs(line, larger, other):
                    if high["value"] + half(high) < low["value"] - half(low):
                        reason = f"{larger} {text(high)} is below {other} {text(low)}"
                        yield Finding("distances", severity, (high, low), reason)


def _deviations(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """A standard deviation too large for values between 0 and 1 with this mean.

    The variance is at most mean·(1 − mean) (Bhatia and Davis, 2000), times n/(n − 1) ≤ 2 for that of the sample.
    """
    for line in lines_of(rows, LINE):
        for row in line:
            name = str(row["metric"])
            if not name.endswith(" std") or math.isnan(row["fraction"]):
                continue
            for mean, deviation in pairs(line, name.removesuffix(" std"), name):
                most = max(
                    math.sqrt(2 * max(0.0, value * (1 - value)))
                    for value in (lowest(mean), mean["fraction"], highest(mean))
                )
                if lowest(deviation) > most:
                    reason = f"{mean['metric']} {text(mean)} ± {text(deviation)}: at most ± {like(deviation, most)}"
                    yield Finding("deviation", "impossible", (mean, deviation), reason)


def _twins(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """Equal numbers in two or more metrics under several names: unlikely in one table, a remark across tables.

    Papers repeat their final setting in each ablation. Across a paper's tables it is one run with several names.
    """
    lines_of_numbers: dict[tuple[Any, ...], list[list[AuditRow]]] = {}
    for line in lines_of(rows, LINE):
        numbers = tuple(sorted((str(row["metric"]), str(row["printed"])) for row in line))
        if len({metric for metric, _ in numbers}) > 1:
            source = str(line[0]["paper"]), str(line[0]["dataset"]).removesuffix(" (inferred)")
            lines_of_numbers.setdefault((*source, numbers), []).append(line)
    for (*_, numbers), lines in lines_of_numbers.items():
        names = list(dict.fromkeys(f"{line[0]['method']} at {line[0]['labelled']}" for line in lines))
        if len(names) > 1:
            shown = ", ".join(f"{metric} {text}" for metric, text in numbers)
            reason = f"one line of numbers ({shown}) under {len(names)} names: {'; '.join(names)}"
            tables = [(line[0]["file"], line[0]["where"]) for line in lines]
            severity: Severity = "remark" if len(set(tables)) == len(tables) else "unlikely"
            yield Finding("twins", severity, tuple(row for line in lines for row in line), reason)


def _sources(rows: Sequence[AuditRow]) -> Iterator[Finding]:
    """Two sources with different numbers for one method, protocol and label budget."""
    for line in lines_of(rows, ("file", "dataset", "protocol", "method", "labelled", "class", "metric", "unit")):
        values = {row["value"]: row for row in line}
        if len({row["paper"] for row in line}) > 1 and max(values) - min(values) > 2 * max(map(half, line)):
            shown = ", ".join(f"{text(row)} ({row['paper']})" for row in line)
            yield Finding("sources", "remark", tuple(line), f"{line[0]['metric']}: {shown}")


CHECKS: dict[str, Callable[[Sequence[AuditRow]], Iterator[Finding]]] = {
    "range": _outside_their_range,
    "dice_jaccard": _dice_and_jaccard,
    "accuracy_jaccard": _accuracy_and_jaccard,
    "average": _averages,
    "distances": _distances,
    "deviation": _deviations,
    "twins": _twins,
    "sources": _sources,
}
