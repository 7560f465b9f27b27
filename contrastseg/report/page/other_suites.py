"""Tables of other suites that stand on a suite's page, apart from its own: nothing is compared across suites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contrastseg.report.content.report_data import ReportData
from contrastseg.report.content.results_folder import ResultsFolder
from contrastseg.report.settings import default_tables
from contrastseg.report.tables.build import build_tables
from contrastseg.report.tables.model import Table

_SHOWN = ("main", "tuning")


@dataclass(frozen=True)
class OtherSuite:
    """What a page shows of another suite.

    Attributes:
        name: Of the suite.
        title: Its title.
        tables: Its main table, and its choices if it is tuned; empty where it has no results yet.
    """

    name: str
    title: str
    tables: tuple[Table, ...] = ()


def other_suites(names: Sequence[str], results: Path, resources: Path) -> list[OtherSuite]:
    """The main tables of other suites, from their stored results.

    Args:
        names: Of the suites.
        results: The folder of all results, such as `results`.
        resources: The project's resources.

    Raises:
        ContrastsegError: Stored results are damaged.
    """
    shown = []
    for name in names:
        folder = ResultsFolder(results / name, resources, strict=False)
        if not all(map(folder.has, ("summary", "comparisons"))):
            shown.append(OtherSuite(name, name))
            continue
        data = ReportData.of(folder)
        scored = set(data.summary["metric"].astype(str))
        tables = [
            table.model_copy(update={"metrics": [metric for metric in table.metrics or () if metric in scored] or None})
            for table in default_tables(tuned=folder.has("tuned"))
            if table.kind in _SHOWN
        ]
        shown.append(OtherSuite(name, data.suite.title or name, tuple(build_tables(data, tables))))
    return shown
