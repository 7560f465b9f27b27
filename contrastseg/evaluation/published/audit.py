"""Which published numbers cannot be true together, which hardly can, and what mark that leaves them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from contrastseg.evaluation.published.audit_checks import CHECKS
from contrastseg.evaluation.published.audit_rows import Finding, rows_of
from contrastseg.evaluation.published.published import STATUSES, load_published

if TYPE_CHECKING:
    import pandas as pd

_MARKS = {"impossible": "inconsistent", "unlikely": "suspect", "remark": "printed"}


def audit(table: pd.DataFrame) -> list[Finding]:
    """Every finding of every check in CHECKS, in the order of the files and lines.

    Args:
        table: From `published.load_published`.
    """
    rows = rows_of(table)
    findings = [finding for check in CHECKS.values() for finding in check(rows)]
    return sorted(findings, key=lambda finding: (finding.place, list(CHECKS).index(finding.check)))


def with_marks(table: pd.DataFrame, findings: Iterable[Finding]) -> pd.DataFrame:
    """The table with `mark` and `why`: the carried mark, or a stronger one where the audit gives reason.

    The carried mark stays in `status`. `why` is the carried note, then the findings that bear
    on the mark.
    """
    marks = dict(zip(zip(table["file"], table["line"], strict=True), table["status"], strict=True))
    reasons: dict[tuple[str, int], list[str]] = {}
    for finding in findings:
        for row in finding.rows:
            key = (str(row["file"]), int(row["line"]))
            marks[key] = max(marks[key], _MARKS[finding.severity], key=STATUSES.index)
            if finding.severity != "remark":
                reasons.setdefault(key, []).append(finding.what)
    keys = list(zip(table["file"], table["line"], strict=True))
    notes = zip(keys, table["note"], strict=True)
    return table.assign(
        mark=[marks[key] for key in keys],
        why=["; ".join(filter(None, [note, *reasons.get(key, [])])) for key, note in notes],
    )


def marked_published() -> pd.DataFrame:
    """The numbers this project carries (`load_published`) with `mark` and `why`."""
    table = load_published()
    return with_marks(table, audit(table))
