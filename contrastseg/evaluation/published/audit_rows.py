"""What an audit looks at: printed rows, what rounding leaves open in them, and what is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["impossible", "unlikely", "remark"]
AuditRow = Mapping[str, Any]
AVERAGES = ("mean", "avg", "average")
# One line of a table, whatever metrics it prints.
LINE = ("file", "paper", "where", "dataset", "protocol", "method", "labelled", "class")


@dataclass(frozen=True)
class Finding:
    """Numbers that do not go together.

    Attributes:
        check: The check's name in CHECKS.
        severity: `impossible` (contradicts arithmetic), `unlikely` (contradicts what is usual), `remark` (nothing
            is wrong, a reader should know).
        rows: The rows concerned.
        what: What is wrong, with the numbers.
    """

    check: str
    severity: Severity
    rows: tuple[AuditRow, ...]
    what: str

    @property
    def place(self) -> tuple[str, int]:
        """File and first line."""
        return str(self.rows[0]["file"]), int(self.rows[0]["line"])

    @property
    def marks(self) -> list[str]:
        """The marks that the rows carry."""
        return list(dict.fromkeys(str(row["status"]) for row in self.rows))

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        first = self.rows[0]
        named = {name: first[name] for name in ("file", "paper", "where", "dataset", "method", "labelled", "class")}
        lines = [{"file": row["file"], "line": row["line"], "status": row["status"]} for row in self.rows]
        return {"check": self.check, "severity": self.severity, **named, "what": self.what, "rows": lines}


def rows_of(table: pd.DataFrame) -> list[AuditRow]:
    """The rows of `published.load_published`."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def lines_of(rows: Sequence[AuditRow], names: Sequence[str]) -> Iterator[list[AuditRow]]:
    """Rows that agree in all these columns, in the order of the first of each."""

    def key(row: AuditRow) -> tuple[str, ...]:
        return tuple(str(row[name]) for name in names)

    order: dict[tuple[str, ...], int] = {}
    for row in rows:
        order.setdefault(key(row), len(order))
    for _, line in groupby(sorted(rows, key=lambda row: order[key(row)]), key=key):
        yield list(line)


def pairs(line: Sequence[AuditRow], first: str, second: str) -> Iterator[tuple[AuditRow, AuditRow]]:
    """Every row of the first metric with every row of the second."""
    for row in line:
        for other in line:
            if (row["metric"], other["metric"]) == (first, second):
                yield row, other


def is_average(name: str) -> bool:
    """Whether a class is named as an average (`avg`, `mean of 13 organs`)."""
    return name.split(" ")[0].casefold() in AVERAGES


def half(row: AuditRow) -> float:
    """Half a unit of the last printed decimal, in the printed unit, and a hair more against floating point."""
    return 0.5 * (1 + 1e-9) * float(10.0 ** -int(row["decimals"]))


def scale(row: AuditRow) -> float:
    """What one printed unit is as a fraction."""
    return 0.01 if row["unit"] == "%" else 1.0


def lowest(row: AuditRow) -> float:
    """The smallest fraction that is printed like this."""
    return max(0.0, float(row["fraction"]) - half(row) * scale(row))


def highest(row: AuditRow) -> float:
    """The largest fraction that is printed like this."""
    return float(row["fraction"]) + half(row) * scale(row)


def like(row: AuditRow, fraction: float) -> str:
    """A fraction as the row prints its own value."""
    return f"{fraction / scale(row):.{row['decimals']}f}{' %' if row['unit'] == '%' else ''}"


def text(row: AuditRow) -> str:
    """The number as printed, with its unit."""
    unit = {"%": " %", "voxel": " voxels"}.get(str(row["unit"]), "")
    return f"{row['printed']}{unit}"
