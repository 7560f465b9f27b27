"""The table of paired comparisons: what was tested, on how many patients, and what could have been found at all."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contrastseg.report import notes
from contrastseg.report.naming import (
    VERDICTS,
    budget_order,
    budget_short,
    decimals,
    interval,
    metric_order,
    metric_title,
    number,
    p_value,
)
from contrastseg.report.settings import TableSettings
from contrastseg.report.table_model import Block, Cell, Column, Material, Row, records

# What was found first: on a phone the rest lies to the right.
COLUMNS = ("labels", "verdict", "p (Holm)", "smallest p", "n", "zeros", "ref. mean", "mean diff.", "median diff.")


def comparison_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """One block per data set and metric: each method against the reference at each label budget."""
    frame = material.comparisons
    if not len(frame):
        return []
    frame = frame[frame["verdict"] != "reference"]
    wanted = settings.metrics or metric_order(frame["metric"].astype(str))
    blocks = []
    for key, part in material.places(frame):
        order = material.pair_order([(str(row.method), str(row.variant)) for row in records(part)])
        for metric in wanted:
            rows = part[part["metric"] == metric]
            if not len(rows):
                continue
            places = decimals(metric, settings.decimals)
            ordered = sorted(
                records(rows),
                key=lambda row: (budget_order(str(row.labels)), order.index((str(row.method), str(row.variant)))),
            )
            blocks.append(
                Block(
                    f"{material.block_title(*key)} · {metric_title(metric, str(rows['unit'].iloc[0]))}",
                    tuple(Column(title) for title in (*COLUMNS, f"HL shift [{material.facts.level}]")),
                    tuple(_row(row, material, places) for row in ordered),
                    tuple(notes.comparison_notes(material, rows)),
                )
            )
    return blocks


def _row(row: Any, material: Material, places: int) -> Row:
    labels = str(row.labels)
    cells = (
        Cell(budget_short(labels), sort=budget_order(labels)[1]),
        Cell(VERDICTS.get(str(row.verdict), str(row.verdict)), kind=f"verdict-{str(row.verdict).replace(' ', '-')}"),
        Cell(p_value(row.p_holm), sort=float(row.p_holm)),
        Cell(p_value(row.p_smallest), sort=float(row.p_smallest)),
        _count(row.n),
        _count(row.zeros),
        Cell(number(row.reference_mean, places), sort=float(row.reference_mean)),
        Cell(_signed(row.mean_difference, places), sort=float(row.mean_difference)),
        Cell(_signed(row.median_difference, places), sort=float(row.median_difference)),
        Cell(
            _signed(row.hl_estimate, places),
            interval(row.hl_low, row.hl_high, places),
            sort=float(row.hl_estimate),
        ),
    )
    return Row(material.label(str(row.method), str(row.variant)), cells)


def _count(value: Any) -> Cell:
    """A count, empty where nothing could be paired."""
    return Cell("–") if pd.isna(value) else Cell(str(int(value)), sort=float(value))


def _signed(value: float, places: int) -> str:
    text = number(value, places)
    return f"+{text}" if value > 0 and float(f"{value:.{places}f}") != 0 else text
