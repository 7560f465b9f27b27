"""The words and cells that the parts of the page of findings share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from contrastseg.report.content.labels import effect, effect_interval, interval, number, p_value
from contrastseg.report.site.markdown import table
from contrastseg.report.site.reference_runs import ReferenceRuns

WORDS = {
    "better": "**better**",
    "worse": "**worse**",
    "n.s.": "not significant",
    "n too small": "n too small",
    "identical": "identical",
    "incomplete": "predictions missing, not tested",
    "no pairs": "no patients in common",
}
MARKS = {"better": "\\*", "worse": "†"}


def name_of(run: ReferenceRuns, row: Any) -> str:
    """A method and its variant, with its mark."""
    return run.named(row.method, row.variant)


def names_of(run: ReferenceRuns, rows: Sequence[Any]) -> str:
    """Methods with their differences from the baseline."""
    return ", ".join(f"{name_of(run, row)} ({signed(row.mean_difference)})" for row in rows)


def mean_of(row: Any) -> str:
    """A mean with its mark and its interval."""
    ends = interval(row.mean_low, row.mean_high, 2, str(row.mean_clipped))
    star = MARKS.get(row.verdict, "") + ("!" if row.mean_against else "")
    return f"{number(row.mean, 3)}{star} {ends}".strip()


def difference_of(row: Any) -> str:
    """A difference with its interval."""
    return f"{signed(row.mean_difference)} {effect_interval(row.mean_difference_low, row.mean_difference_high, 2)}"


def verdict_of(row: Any) -> str:
    """What the corrected test says."""
    told = WORDS[row.verdict] + (f" ({row.mean_against})" if row.mean_against else "")
    return f"{told}, p {p_value(row.p_holm)}" if row.p_holm == row.p_holm else told


def beside(row: Any) -> str:
    """A difference and what the corrected test says, in two lines of a cell."""
    return f"{difference_of(row)}<br>{verdict_of(row)}"


def signed(value: float, places: int = 3) -> str:
    """A number with its sign."""
    text = effect(float(value), places)
    return text if text[0] in "+−–" else f"+{text}"


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int | None = None) -> Iterator[str]:
    """A table in Markdown and the empty line behind it."""
    yield from table(heads, rows, left)
    yield ""
