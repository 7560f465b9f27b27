"""The table of checkpoint selection: last, best on validation, the oracle and the optimism of selecting on test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from contrastseg.report.content.labels import (
    budget_order,
    budget_title,
    decimals,
    interval,
    metric_title,
    number,
)
from contrastseg.report.content.report_data import Place, ReportData, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Row

MEANS = ("last", "best_val", "oracle", "cross_fitted")


def _blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set and label budget: methods down, checkpoints across. Nothing is ranked or tested."""
    return [
        _block(data, settings, key, labels, rows[rows["labels"] == labels])
        for key, rows in data.places(data.selection)
        for labels in sorted(set(rows["labels"].astype(str)), key=budget_order)
    ]


def _block(data: ReportData, settings: TableSettings, key: Place, labels: str, rows: pd.DataFrame) -> Block:
    metric = str(rows["metric"].iloc[0])
    places = decimals(metric, settings.decimals)
    validated = bool(rows["best_val"].notna().any())
    shown = [name for name in MEANS if name != "best_val" or validated]
    row_of = {(str(row.method), str(row.variant)): row for row in records(rows)}
    lines = [
        Row(data.label(*pair), tuple(_cells(row_of[pair], shown, places, settings.intervals)))
        for pair in data.pair_order(set(row_of))
    ]
    budget = budget_title(labels, data.labelled(key[0], labels))
    title = metric_title(metric, str(rows["unit"].iloc[0]))
    columns = [*(Column(wording.SELECTION_COLUMNS[name], title) for name in shown), Column(wording.OPTIMISM)]
    return Block(
        f"{data.block_title(*key)} · {budget} · {wording.candidates(_span(rows['candidates']))}",
        tuple(columns),
        tuple(lines),
        tuple(_block_footnotes(data, key, rows)),
    )


def _cells(row: Any, shown: Sequence[str], places: int, intervals: bool) -> list[Cell]:
    """The means and the optimism of a method, or that predictions are missing."""
    if row.missing:
        return [Cell("missing", kind="missing")] * (len(shown) + 1)
    values = [float(getattr(row, name)) for name in shown]
    cells = [Cell(number(value, places), sort=None if math.isnan(value) else value) for value in values]
    small = interval(row.optimism_low, row.optimism_high, places) if intervals else ""
    return [*cells, Cell(number(row.optimism, places), small, sort=float(row.optimism))]


def _span(values: pd.Series) -> str:
    least, most = int(values.min()), int(values.max())
    return str(least) if least == most else f"{least} to {most}"


def _block_footnotes(data: ReportData, key: Place, rows: pd.DataFrame) -> list[str]:
    """Patients and runs, missing predictions, split."""
    lines = [wording.selection_sample(_span(rows["n_patients"]), _span(rows["n_runs"]))]
    claimed = rows["optimism_low"].notna().any()
    lines.append(wording.optimism_interval(data.suite.level) if claimed else wording.NO_OPTIMISM_INTERVAL)
    missing = int(rows["missing"].sum())
    lines += [wording.selection_missing(missing)] if missing else []
    return [*lines, *footnotes.split_footnotes(data, key[0], key[1])]


def _tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return data.selection


def _footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    policy = wording.policy(data.suite.convention)
    return [*wording.SELECTION_READING, policy, *footnotes.provenance_legend(blocks)]


SELECTION = TableKind(wording.SELECTION_CAPTION, _blocks, _tidy, _footnotes, reads=("selection",), tested=False)
