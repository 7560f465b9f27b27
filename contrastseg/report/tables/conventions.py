"""The table of what the scoring convention alone does to the ranking of the same predictions."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from contrastseg.report.content.labels import budget_order, budget_title, decimals, metric_order, metric_title, number
from contrastseg.report.content.report_data import Material, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables.model import Block, Cell, Column, Row
from contrastseg.text import plural


def convention_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """One block per data set, label budget and metric: methods down, conventions across, each a mean and a rank."""
    blocks = []
    for key, everything in material.places(material.conventions):
        for labels in sorted(set(everything["labels"].astype(str)), key=budget_order):
            part = everything[everything["labels"] == labels]
            for metric in settings.metrics or metric_order(part["metric"].astype(str)):
                rows = part[part["metric"] == metric]
                if len(rows):
                    budget = budget_title(labels, material.labelled(key[0], labels))
                    title = f"{material.block_title(*key)} · {budget} · {metric_title(metric)}"
                    blocks.append(_block(title, rows, material, decimals(metric, settings.decimals)))
    return blocks


def _block(title: str, rows: pd.DataFrame, material: Material, places: int) -> Block:
    conventions = list(dict.fromkeys(rows["convention"].astype(str)))
    units = dict(zip(rows["convention"].astype(str), rows["unit"].astype(str), strict=True))
    columns = []
    for name in conventions:
        unit = "" if units[name] == "1" else f" [{units[name]}]"
        columns += [Column(f"mean{unit}", name), Column("rank", name)]
    pairs = {(str(row.method), str(row.variant)) for row in records(rows)}
    found = {(str(row.convention), str(row.method), str(row.variant)): row for row in records(rows)}
    lines = []
    for pair in material.pair_order(pairs):
        cells = [cell for name in conventions for cell in _cells(found.get((name, *pair)), places)]
        lines.append(Row(material.label(*pair), tuple(cells)))
    return Block(title, tuple(columns), tuple(lines), tuple(_notes(rows, conventions)))


def _cells(row: Any, places: int) -> tuple[Cell, Cell]:
    if row is None:
        return Cell("–", kind="skipped"), Cell("–", kind="skipped")
    mean = Cell(number(row.mean, places), sort=None if math.isnan(row.mean) else float(row.mean))
    if math.isnan(row.rank):
        return mean, Cell("not ranked", kind="missing")
    shift = "" if math.isnan(row.shift) or not row.shift else f"({'+' if row.shift > 0 else '−'}{abs(row.shift):.0f})"
    return mean, Cell(f"{row.rank:.0f}", shift, sort=float(row.rank))


def _notes(rows: pd.DataFrame, conventions: list[str]) -> list[str]:
    base, *others = conventions
    taus = [f"{name} {number(rows.loc[rows['convention'] == name, 'tau'].iloc[0], 2)}" for name in others]
    left_out = {name: int(rows.loc[rows["convention"] == name, "left_out"].sum()) for name in conventions}
    counted = [f"{name} {plural(count, 'structure')}" for name, count in left_out.items() if count]
    lines = [f"Kendall's τ with the order under {base}: {', '.join(taus)}."] if taus else []
    if counted:
        lines.append(f"Without a value, so left out of the mean: {', '.join(counted)}.")
    return lines
