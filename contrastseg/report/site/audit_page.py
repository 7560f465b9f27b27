"""The page docs/published.md: what numbers are carried, what the marks mean, and what the audit finds."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from contrastseg.evaluation.published.audit_checks import CHECKS
from contrastseg.evaluation.published.audit_rows import AuditRow, Finding, Severity, rows_of
from contrastseg.evaluation.published.published import STATUSES
from contrastseg.report.site.markdown import table

if TYPE_CHECKING:
    import pandas as pd

_INTRODUCTION = """\
# Published numbers

This page is made by `contrastseg published --markdown`; a test keeps the two equal.

`benchmarks/published/*.csv` holds numbers of papers and repositories, each with its place in the source and a mark:

- `printed`: as in the source, without a known objection.
- `suspect`: probably a mistake, or hardly possible; the note gives the reason.
- `inconsistent`: one set of predictions cannot give this number and the numbers beside it. Arithmetic cannot say which
  of them is wrong, so all of them carry the mark.

The column `status` is the mark in the file. The column `mark`, which the tables print, is that mark or a stronger one
from the audit. The audit never removes a mark. `contrastseg published --dataset ACDC --metric dice` finds numbers, and
`contrastseg published --audit` prints the findings below.
"""
_HEADINGS: dict[Severity, tuple[str, str]] = {
    "impossible": ("Impossible", "These contradict arithmetic and are marked `inconsistent`."),
    "unlikely": ("Unlikely", "These contradict what is usual and are marked `suspect`."),
    "remark": ("Remarks", "These are not mistakes and get no mark, but a reader should know them."),
}


def page(numbers: pd.DataFrame, findings: Sequence[Finding]) -> str:
    """The page, in Markdown.

    Args:
        numbers: With `mark` and `why` (`audit.with_marks`).
        findings: From `audit.audit`.
    """
    parts = [_INTRODUCTION, "## Files\n", _counts(numbers), "## Checks\n", *_checks()]
    for severity, (title, lead) in _HEADINGS.items():
        found = [finding for finding in findings if finding.severity == severity]
        parts += [f"## {title}: {len(found)}\n", f"{lead}\n"]
        parts += [_table(("file and lines", "what", "carried mark", "finding"), [_finding(one) for one in found])]
    noted = numbers[(numbers["status"] != "printed") & (numbers["why"] == numbers["note"])]
    parts += [
        f"## Marks from reading the sources: {len(noted)}\n",
        "These marks are in the files; arithmetic alone does not give them.\n",
        _table(
            ("file and line", "what", "mark", "note"),
            [
                (f"{row['file']}:{row['line']}", _name(row), str(row["status"]), str(row["note"]))
                for row in rows_of(noted)
            ],
        ),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _counts(numbers: pd.DataFrame) -> str:
    rows = []
    for file, part in numbers.groupby("file", sort=True):
        marks = [str(int((part["mark"] == mark).sum())) for mark in STATUSES]
        rows.append((f"{file}.csv", ", ".join(dict.fromkeys(part["dataset"])), *marks))
    return _table(("file", "data sets, as the sources name them", *STATUSES), rows)


def _checks() -> list[str]:
    lines = []
    for name, check in CHECKS.items():
        text = re.sub(r"\s+", " ", inspect.getdoc(check) or "")
        lines.append(f"- **{name}**: {text}")
    return ["\n".join(lines) + "\n"]


def _finding(finding: Finding) -> tuple[str, str, str, str]:
    files: dict[str, list[int]] = {}
    for row in finding.rows:
        files.setdefault(str(row["file"]), []).append(int(row["line"]))
    where = "; ".join(f"{file}:{','.join(map(str, sorted(set(lines))))}" for file, lines in files.items())
    return where, _name(finding.rows[0]), ", ".join(finding.marks), finding.what


def _name(row: AuditRow) -> str:
    """Data set, method and labels."""
    values = [str(row[key]) for key in ("dataset", "method", "labelled")]
    return " · ".join(filter(None, values))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "0 findings.\n"
    return "\n".join(table(heads, rows)) + "\n"
