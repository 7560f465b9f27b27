"""What tables with one block per data set and metric share: the comparison, the variance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from contrastseg.report.content.labels import budget_order, decimals, metric_order, metric_title
from contrastseg.report.content.report_data import ReportData, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables.model import Block


def metric_blocks(
    data: ReportData,
    settings: TableSettings,
    frame: pd.DataFrame,
    make: Callable[[str, pd.DataFrame, ReportData, int], Block],
) -> list[Block]:
    """Make one block per data set and metric, in the order of the settings or the usual one.

    Args:
        data: What the table is made from.
        settings: Of the table.
        frame: Rows with the columns of a place, `metric` and `unit`.
        make: From the title, the rows, the data and the decimals to the block.
    """
    if not len(frame):
        return []
    wanted = settings.metrics or metric_order(frame["metric"].astype(str))
    blocks = []
    for key, at_place in data.places(frame):
        for metric in wanted:
            rows = at_place[at_place["metric"] == metric]
            if len(rows):
                title = f"{data.block_title(*key)} · {metric_title(metric, str(rows['unit'].iloc[0]))}"
                blocks.append(make(title, rows, data, decimals(metric, settings.decimals)))
    return blocks


def by_budget(data: ReportData, rows: pd.DataFrame) -> list[Any]:
    """List the rows of a block by label budget, and then in the suite's order of methods."""
    order = data.pair_order({(str(row.method), str(row.variant)) for row in records(rows)})
    return sorted(
        records(rows),
        key=lambda row: (budget_order(str(row.labels)), order.index((str(row.method), str(row.variant)))),
    )
