"""Whether benchmarks' CSV files reach bounds: `targets.py` has the bounds, here is how they are applied."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

FILE = re.compile(r"(?P<benchmark>[a-z]+)-(?P<machine>(?P<device>cpu|cuda)-.+)\.csv")
HEADINGS = ("benchmark", "target", "of", "measured", "bound", "verdict")
Row = dict[str, str]
Verdict = Literal["pass", "FAIL", "not judged", "not measured"]
JUDGED = ("pass", "FAIL")


class NoValue(Exception):
    """A file has not what a target asks for; the message says what."""


@dataclass(frozen=True)
class Target:
    """A bound on one column of some rows.

    Attributes:
        name: What is bounded, in words.
        file: The benchmark whose file has the rows.
        column: The column with the value.
        rows: What a row must have in these columns.
        at_most: The bound, or
        at_least: the bound.
        by: A column of the same row to divide the value by; rows where it is empty have no such value.
        over: The value is divided by that of the row which differs from this one in these columns.
        total: The values of all rows are one sum.
        each: Columns that tell the rows apart, for the table and to find the row `over` asks for.
        beside: The other program of the comparison, by its name in the column `contender` or in that of `by`.
        device: How the names of the machines begin that the target is about: `cpu`, `cuda`, or a certain GPU by
            `cuda-nvidia-h200`. Every machine where left out.
        tolerance: A share of the bound by which a value may miss it, for which `because` gives the reason.
    """

    name: str
    file: str
    column: str
    rows: Mapping[str, str] = field(default_factory=dict)
    at_most: float | None = None
    at_least: float | None = None
    by: str = ""
    over: Mapping[str, str] = field(default_factory=dict)
    total: bool = False
    each: tuple[str, ...] = ()
    beside: str = ""
    device: str = ""
    tolerance: float = 0.0
    because: str = ""

    @property
    def bound(self) -> str:
        """As the table shows it."""
        shown = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"
        return f"{shown} ({self.tolerance:.0%} more allowed: {self.because})" if self.tolerance else shown

    def reached(self, value: float) -> bool:
        """Whether a value is within the bound; what is no number is not."""
        if self.at_most is not None:
            return value <= self.at_most * (1 + self.tolerance)
        return self.at_least is not None and value >= self.at_least * (1 - self.tolerance)


@dataclass(frozen=True)
class Line:
    """One line of the table: a target on one row."""

    target: Target
    which: str
    verdict: Verdict
    value: float | None = None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """What stands under `HEADINGS`."""
        value = "" if self.value is None else f"{self.value:.3g}"
        verdict = f"{self.verdict}: {self.note}" if self.note else self.verdict
        return self.target.file, self.target.name, self.which, value, self.target.bound, verdict


def machines(folder: Path) -> dict[str, dict[str, list[Row]]]:
    """The rows of every benchmark, by machine: `cpu-amd-epyc-2cores`."""
    found: dict[str, dict[str, list[Row]]] = {}
    for file in sorted(folder.glob("*.csv")):
        if named := FILE.fullmatch(file.name):
            with open(file, newline="", encoding="utf-8") as opened:
                found.setdefault(named["machine"], {})[named["benchmark"]] = list(csv.DictReader(opened))
    return found


def judge(targets: Sequence[Target], machine: str, files: Mapping[str, list[Row]]) -> list[Line]:
    """A line for each target and row of it.

    Args:
        targets: The bounds.
        machine: Begins with its device.
        files: The rows of every benchmark measured there.
    """
    lines: list[Line] = []
    for target in targets:
        if target.device and not machine.startswith(target.device):
            whose = {"cpu": "a CPU's", "cuda": "a GPU's"}.get(target.device, f"{target.device}'s")
            lines.append(Line(target, "", "not judged", note=f"{whose} target"))
        elif target.file not in files:
            lines.append(Line(target, "", "not measured"))
        elif not files[target.file]:
            lines.append(Line(target, "", "FAIL", note="no row in the file"))
        elif target.beside and not _has(files[target.file], target):
            lines.append(Line(target, "", "not judged", note=f"{target.beside} was not installed"))
        else:
            lines.extend(_lines(target, files[target.file]))
    return lines


def _has(rows: list[Row], target: Target) -> bool:
    """Whether the other program was there at all."""
    if target.by:
        return any(row.get(target.by) for row in rows) or target.by not in rows[0]
    return any(row.get("contender") == target.beside for row in rows)


def _lines(target: Target, rows: list[Row]) -> Iterator[Line]:
    try:
        chosen = _chosen(rows, target.rows)
        if target.by:
            chosen = [row for row in chosen if _cell(row, target.by)]
        if not chosen:
            raise NoValue(f"no row with {dict(target.rows)}")
    except NoValue as missing:
        yield Line(target, "", "FAIL", note=str(missing))
        return
    for group in [chosen] if target.total else [[row] for row in chosen]:
        which = ", ".join(row_part for row_part in (group[0].get(column, "") for column in target.each) if row_part)
        try:
            value = sum(_value(target, row, rows) for row in group)
        except NoValue as missing:
            yield Line(target, which, "FAIL", note=str(missing))
        else:
            yield Line(target, which, "pass" if target.reached(value) else "FAIL", value)


def _value(target: Target, row: Row, rows: list[Row]) -> float:
    value = _number(row, target.column)
    if target.by:
        return value / _number(row, target.by)
    if target.over:
        wanted = {**target.rows, **{column: _cell(row, column) for column in target.each}, **target.over}
        others = _chosen(rows, wanted)
        if len(others) != 1:
            raise NoValue(f"{len(others)} rows with {wanted}")
        return value / _number(others[0], target.column)
    return value


def _chosen(rows: list[Row], wanted: Mapping[str, str]) -> list[Row]:
    return [row for row in rows if all(_cell(row, column) == value for column, value in wanted.items())]


def _cell(row: Row, column: str) -> str:
    if column not in row:
        raise NoValue(f"no column {column}")
    return row[column]


def _number(row: Row, column: str) -> float:
    try:
        return float(_cell(row, column))
    except ValueError as error:
        raise NoValue(f"{column} is {row[column]!r}; {row.get('error', '')}".rstrip("; ")) from error


def table(lines: Sequence[Line], markdown: bool = False) -> str:
    """All lines under their headings, for a terminal or for a page."""
    cells = [HEADINGS, *(line.cells() for line in lines)]
    if markdown:
        rows = [f"| {' | '.join(row)} |" for row in cells]
        return "\n".join([rows[0], "|" + " --- |" * len(HEADINGS), *rows[1:]])
    widths = [max(len(row[place]) for row in cells) for place in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
