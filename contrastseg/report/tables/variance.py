"""The table of variance components: how much scores and differences vary by patient, draw and seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from contrastseg.evaluation.statistics.components import spread_range
from contrastseg.evaluation.statistics.variance_table import COMPONENTS
from contrastseg.report.content.labels import (
    VERDICTS,
    budget_order,
    budget_short,
    number,
    split_baseline,
)
from contrastseg.report.content.report_data import PLACE, ReportData, keep
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.by_metric import by_budget, metric_blocks
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Row

_TITLES = {"patient": "patients", "draw": "draws", "seed": "seeds", "interaction": "patient × run"}
_SCORES, _DIFFERENCES = "SD of scores", "SD of differences from the baseline"
_HEAD = ("labels", "n", "draws", "seeds")


def _blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set and metric: each method at each label budget."""
    return metric_blocks(data, settings, data.variance, _block)


def _block(title: str, rows: pd.DataFrame, data: ReportData, places: int) -> Block:
    ordered = by_budget(data, rows)
    columns = [*map(Column, _HEAD)]
    columns += [Column(_TITLES[name], group) for group in (_SCORES, _DIFFERENCES) for name in COMPONENTS]
    return Block(
        title,
        tuple(columns),
        tuple(Row(data.label(str(row.method), str(row.variant)), _cells(row, places)) for row in ordered),
        tuple(_block_footnotes(data, rows)),
    )


def _cells(row: Any, places: int) -> tuple[Cell, ...]:
    labels = str(row.labels)
    counts = [Cell(str(int(value)), sort=float(value)) for value in (row.n, row.draws, row.seeds)]
    cells = [Cell(budget_short(labels), sort=budget_order(labels)[1]), *counts]
    for prefix, unknown in (("", row.unknown), ("difference_", row.difference_unknown)):
        reasons = dict(part.split(": ", 1) for part in str(unknown).split("; ") if part)
        for name in COMPONENTS:
            cells.append(_deviation(getattr(row, f"{prefix}variance_{name}"), reasons.get(name, ""), places))
    return tuple(cells)


def _deviation(variance: float, reason: str, places: int) -> Cell:
    """A standard deviation; 0 where the estimate of the variance is negative, and the reason where there is none."""
    if math.isnan(variance):
        return Cell("–", f"({reason})" if reason else "", kind="skipped")
    deviation = math.sqrt(max(0.0, variance))
    return Cell(number(deviation, places), sort=deviation)


def _block_footnotes(data: ReportData, rows: pd.DataFrame) -> list[str]:
    lines = []
    if named := str(rows["reference"].iloc[0]):
        lines.append(wording.variance_baseline(data.label(*split_baseline(named)).plain))
    counts = {_TITLES[name]: int(rows[f"{name}s"].max()) for name in ("draw", "seed")}
    ranges = {name: spread_range(count, 1 - data.suite.alpha) for name, count in counts.items() if count > 1}
    if ranges:
        lines.append(wording.few_runs(data.suite.level, counts, ranges))
    first = rows.iloc[0]
    return [*lines, *footnotes.split_footnotes(data, str(first["dataset"]), str(first["evaluated_on"]))]


def alone_cells(row: Any, variance: Mapping[tuple[str, ...], Any]) -> tuple[Cell, Cell]:
    """What one seed alone and one draw alone say of a comparison: such as "2 of 3" with the same verdict.

    Args:
        row: Of the comparisons.
        variance: The rows of `variance.csv` by `alone_key`.
    """
    alone = variance.get(alone_key(row))
    return _alone(str(row.verdict), alone, "seed"), _alone(str(row.verdict), alone, "draw")


def alone_key(row: Any) -> tuple[str, ...]:
    """Place, metric, budget, method and variant of a row."""
    return tuple(str(getattr(row, name)) for name in (*PLACE, "metric", "labels", "method", "variant"))


def _alone(verdict: str, alone: Any, axis: str) -> Cell:
    total = None if alone is None else getattr(alone, f"one_{axis}")
    if total is None or pd.isna(total) or not int(total):
        return Cell("–")
    first = str(getattr(alone, "first_draw_verdict", "")) if axis == "draw" else ""
    small = f"(first draw: {VERDICTS.get(first, first)})" if first else ""
    counts = {word: int(getattr(alone, f"one_{axis}_{word}")) for word in ("better", "worse")}
    if verdict in counts:
        return Cell(f"{counts[verdict]} of {int(total)}", small, sort=counts[verdict] / int(total))
    words = ", ".join(f"{word} {count}" for word, count in counts.items() if count) or "none"
    return Cell(f"{words} of {int(total)}", small, sort=sum(counts.values()) / int(total))


def _tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return keep(data.variance, {"metric": settings.metrics})


def _footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    return [*wording.VARIANCE, wording.policy(data.suite.convention), *footnotes.provenance_legend(blocks)]


VARIANCE = TableKind(wording.VARIANCE_CAPTION, _blocks, _tidy, _footnotes, reads=("variance",), tested=False)
