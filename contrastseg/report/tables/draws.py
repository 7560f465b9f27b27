"""The table of comparisons averaged over draws: the methods that have all draws, beside the suite's own verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from contrastseg.report.content.labels import VERDICTS
from contrastseg.report.content.report_data import ReportData, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.by_metric import by_budget, metric_blocks
from contrastseg.report.tables.comparison import FIRST, comparison_block
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column
from contrastseg.report.tables.variance import alone_key


def _blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set and metric: each method with all draws against the baseline at each label budget."""
    frame = data.draws
    compared = frame[frame["verdict"] != "reference"] if len(frame) else frame
    return metric_blocks(data, settings, compared, _block)


def _block(title: str, rows: pd.DataFrame, data: ReportData, places: int) -> Block:
    """A block of the comparison table, with the verdict that stands there in a column of its own."""
    block = comparison_block(title, rows, data, places, rows)
    verdicts = {alone_key(row): str(row.verdict) for row in records(data.comparisons)}
    there = [verdicts.get(alone_key(row), "") for row in by_budget(data, rows)]
    at = len(FIRST)
    lines = [
        replace(line, cells=(*line.cells[:at], Cell(VERDICTS.get(verdict, verdict) or "–"), *line.cells[at:]))
        for line, verdict in zip(block.rows, there, strict=True)
    ]
    columns = (*block.columns[:at], Column(wording.ON_SHARED_DRAWS), *block.columns[at:])
    averaged = wording.draws_averaged(data.suite.draws, data.suite.further_draws)
    return replace(block, columns=columns, rows=tuple(lines), footnotes=(averaged, *block.footnotes))


def _tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return data.draws


def _footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    return [
        *wording.TESTS,
        *wording.DRAWS_READING,
        wording.empty_references(data.suite.empty_reference),
        wording.policy(data.suite.convention),
        *footnotes.provenance_legend(blocks),
        *footnotes.family_footnotes(data, True, data.draws),
    ]


DRAWS = TableKind(wording.DRAWS_CAPTION, _blocks, _tidy, _footnotes, reads=("draws",))
