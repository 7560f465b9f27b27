"""The table of ranks of the same predictions under each scoring convention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from contrastseg.evaluation.metrics.conventions import get_convention
from contrastseg.report.content.labels import budget_order, budget_title, decimals, metric_order, metric_title, number
from contrastseg.report.content.report_data import ReportData, keep, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Row
from contrastseg.text import plural


def _blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set, label budget and metric: methods down, conventions across, each a mean and a rank."""
    blocks = []
    for key, at_place in data.places(data.conventions):
        for labels in sorted(set(at_place["labels"].astype(str)), key=budget_order):
            at_budget = at_place[at_place["labels"] == labels]
            for metric in settings.metrics or metric_order(at_budget["metric"].astype(str)):
                rows = at_budget[at_budget["metric"] == metric]
                if len(rows):
                    budget = budget_title(labels, data.labelled(key[0], labels))
                    title = f"{data.block_title(*key)} · {budget} · {metric_title(metric)}"
                    blocks.append(_block(title, rows, data, decimals(metric, settings.decimals)))
    return blocks


def _block(title: str, rows: pd.DataFrame, data: ReportData, places: int) -> Block:
    conventions = list(dict.fromkeys(rows["convention"].astype(str)))
    units = dict(zip(rows["convention"].astype(str), rows["unit"].astype(str), strict=True))
    columns = []
    for name in conventions:
        unit = "" if units[name] == "1" else f" [{units[name]}]"
        columns += [Column(f"mean{unit}", name), Column("rank", name)]
    pairs = {(str(row.method), str(row.variant)) for row in records(rows)}
    row_of = {(str(row.convention), str(row.method), str(row.variant)): row for row in records(rows)}
    lines = []
    for pair in data.pair_order(pairs):
        cells = [cell for name in conventions for cell in _cells(row_of.get((name, *pair)), places)]
        lines.append(Row(data.label(*pair), tuple(cells)))
    return Block(title, tuple(columns), tuple(lines), tuple(_block_footnotes(rows, conventions)))


def _cells(row: Any, places: int) -> tuple[Cell, Cell]:
    if row is None:
        return Cell("–", kind="skipped"), Cell("–", kind="skipped")
    mean = Cell(number(row.mean, places), sort=None if math.isnan(row.mean) else float(row.mean))
    if math.isnan(row.rank):
        return mean, Cell("not ranked", kind="missing")
    shift = "" if math.isnan(row.shift) or not row.shift else f"({'+' if row.shift > 0 else '−'}{abs(row.shift):.0f})"
    return mean, Cell(f"{row.rank:.0f}", shift, sort=float(row.rank))


def _block_footnotes(rows: pd.DataFrame, conventions: list[str]) -> list[str]:
    base, *others = conventions
    taus = [f"{name} {number(rows.loc[rows['convention'] == name, 'tau'].iloc[0], 2)}" for name in others]
    left_out = {name: int(rows.loc[rows["convention"] == name, "left_out"].sum()) for name in conventions}
    counted = [f"{name} {plural(count, 'structure')}" for name, count in left_out.items() if count]
    lines = [wording.kendall(base, taus)] if taus else []
    return [*lines, wording.structures_left_out(counted)] if counted else lines


def _tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return keep(data.conventions, {"metric": settings.metrics})


def _footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    names = dict.fromkeys(column.group for block in blocks for column in block.columns)
    sources = [f"{name}: {get_convention(name).source}." for name in names]
    return [*wording.CONVENTIONS_READING, *sources, *footnotes.provenance_legend(blocks)]


CONVENTIONS = TableKind(wording.CONVENTIONS_CAPTION, _blocks, _tidy, _footnotes, reads=("conventions",), tested=False)
