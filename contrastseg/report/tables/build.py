"""Tables as files: rounded and marked for reading (Markdown, LaTeX, HTML), unrounded as tidy CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from contrastseg.checkpoint_names import ORACLE, ORACLE_MARK
from contrastseg.files import write_text
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes
from contrastseg.report.tables.formats import to_csv, to_html, to_markdown
from contrastseg.report.tables.kind import table_kind
from contrastseg.report.tables.latex import to_latex
from contrastseg.report.tables.model import Table
from contrastseg.report.tables.tuning import with_tuning

# Words of outcomes in the CSV: files that were read before read the same.
CSV_VERDICTS = {"n.s.": "no difference found", "incomplete": "not tested: predictions missing"}
WRITERS = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex, ".html": to_html}


def make_tables(data: ReportData, settings: Sequence[TableSettings], folder: str | Path) -> list[Path]:
    """Write `<name>.csv`, `<name>.md`, `<name>.tex` and `<name>.html` of every table into `folder`.

    Args:
        data: The results of a suite, such as `ReportData.load` gives them.
        settings: The tables wanted.
        folder: Where the files go.

    Returns:
        The files written.
    """
    written = []
    for table in build_tables(data, settings):
        for suffix, writer in WRITERS.items():
            path = Path(folder) / f"{table.name}{suffix}"
            write_text(path, writer(table))
            written.append(path)
    return written


def build_tables(data: ReportData, settings: Sequence[TableSettings]) -> list[Table]:
    """The tables as objects, for the writers here and for the page."""
    return [_build(data.chosen(wanted), wanted) for wanted in settings]


def _build(data: ReportData, settings: TableSettings) -> Table:
    kind = table_kind(settings.kind)
    blocks = kind.blocks(data, settings)
    return Table(
        name=settings.name,
        caption=with_tuning(settings.caption or kind.caption, data),
        blocks=tuple(blocks),
        footnotes=(*kind.footnotes(data, blocks), *footnotes.family_footnotes(data, kind.tested)),
        tidy=_with_provenance(kind.tidy(data, settings), data),
    )


def _with_provenance(frame: pd.DataFrame, data: ReportData) -> pd.DataFrame:
    """The rows with what a reader of the CSV alone must know: provenance, splits, subset, convention."""
    frame = frame.copy()
    if not len(frame):
        return frame
    if "holes_named" in frame:
        frame["holes_named"] = frame["holes_named"].map(lambda value: "; ".join(footnotes.prediction_names(value)))
    if "verdict" in frame:
        frame["verdict"] = frame["verdict"].map(lambda verdict: CSV_VERDICTS.get(verdict, verdict))
    frame["provenance"] = [
        data.label(str(method), str(variant)).meaning.partition(":")[0] if method else ""
        for method, variant in zip(frame["method"], frame["variant"], strict=True)
    ]
    trained_on = [data.suite.entry(str(name)) for name in frame["dataset"]]
    frame["split_name"] = [entry.split_name for entry in trained_on]
    frame["split_hash"] = [entry.split_hash for entry in trained_on]
    evaluated_on = [data.suite.entry(str(name)) for name in frame["evaluated_on"]]
    frame["evaluated_split_name"] = [entry.split_name for entry in evaluated_on]
    frame["evaluated_split_hash"] = [entry.split_hash for entry in evaluated_on]
    frame["subset"] = [entry.subset_note() or "" for entry in trained_on]
    if "convention" not in frame:
        frame["convention"] = data.suite.convention
    if ORACLE in set(frame["checkpoint"]):
        frame["note"] = [ORACLE_MARK if checkpoint == ORACLE else "" for checkpoint in frame["checkpoint"]]
    return frame
