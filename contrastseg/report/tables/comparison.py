"""The table of paired comparisons: verdict, shift, corrected p, and the smallest p that was reachable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from contrastseg.report.content.labels import (
    VERDICTS,
    budget_order,
    budget_short,
    effect,
    effect_interval,
    number,
    p_value,
)
from contrastseg.report.content.report_data import ReportData, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.by_metric import by_budget, metric_blocks
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Row
from contrastseg.report.tables.variance import alone_cells, alone_key
from contrastseg.text import plural

# The verdict comes first: on a phone the rest lies to the right.
FIRST = ("labels", "verdict")
COUNTS = ("p (Holm)", "smallest p", "n", "zeros", "baseline mean", "mean diff.", "median diff.")
_NON_EMPTY, _EMPTY = "non-empty references alone", "false positives per empty reference"
BESIDE = (
    *(Column(title, _NON_EMPTY) for title in ("verdict", "mean diff.", "p (Holm)", "n")),
    *(Column(title, _EMPTY) for title in ("rate", "baseline", "verdict")),
)
ALONE = tuple(Column(title, "same verdict of one alone") for title in ("one seed", "one draw"))


def _blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set and metric: each method against the baseline at each label budget."""
    frame = data.comparisons
    compared = frame[frame["verdict"] != "reference"] if len(frame) else frame

    def block(title: str, rows: pd.DataFrame, data: ReportData, places: int) -> Block:
        return comparison_block(title, rows, data, places, data.variance)

    return metric_blocks(data, settings, compared, block)


def comparison_block(title: str, rows: pd.DataFrame, data: ReportData, places: int, alone_rows: pd.DataFrame) -> Block:
    """One metric's comparisons, by label budget and then in the suite's order of methods.

    Args:
        title: Of the block.
        rows: The comparisons, without the baseline.
        data: What the table is made from.
        places: Decimals.
        alone_rows: What one seed and one draw alone say of them, in the columns of `variance.csv`.
    """
    ordered = by_budget(data, rows)
    beside = bool((rows["empty_references"] > 0).any())
    variance = {alone_key(row): row for row in records(alone_rows)}
    alone = {at: alone_cells(row, variance) for at, row in enumerate(ordered)}
    several = any(cell.sort is not None for cells in alone.values() for cell in cells)
    columns = [Column(title) for title in (*FIRST, f"HL shift [{data.suite.level}]", *COUNTS)]
    return Block(
        title,
        (*columns, *(BESIDE if beside else ()), *(ALONE if several else ())),
        tuple(_row(row, data, places, beside, alone[at] if several else ()) for at, row in enumerate(ordered)),
        (*footnotes.comparison_footnotes(data, rows), *([wording.ALONE] if several else ())),
    )


def _row(row: Any, data: ReportData, places: int, beside: bool, alone: Sequence[Cell]) -> Row:
    labels, alpha = str(row.labels), data.suite.alpha
    cells = [
        Cell(budget_short(labels), sort=budget_order(labels)[1]),
        _verdict(str(row.verdict), flags(row)),
        Cell(
            effect(row.hl_estimate, places),
            effect_interval(row.hl_low, row.hl_high, places),
            sort=float(row.hl_estimate),
        ),
        Cell(p_value(row.p_holm, alpha), sort=float(row.p_holm)),
        Cell(p_value(row.p_smallest, alpha), sort=float(row.p_smallest)),
        _count(row.n),
        _count(row.zeros),
        Cell(number(row.reference_mean, places), sort=float(row.reference_mean)),
        Cell(effect(row.mean_difference, places), sort=float(row.mean_difference)),
        Cell(effect(row.median_difference, places), sort=float(row.median_difference)),
    ]
    if beside:
        cells += [
            _verdict(str(row.nonempty_verdict)),
            Cell(effect(row.nonempty_mean_difference, places), sort=float(row.nonempty_mean_difference)),
            Cell(p_value(row.nonempty_p_holm, alpha), sort=float(row.nonempty_p_holm)),
            _count(row.nonempty_n),
            Cell(number(row.false_positives, 2), sort=float(row.false_positives)),
            Cell(number(row.reference_false_positives, 2), sort=float(row.reference_false_positives)),
            _verdict(str(row.false_positives_verdict), f"(p {p_value(row.false_positives_p_holm, alpha)})"),
        ]
    return Row(data.label(str(row.method), str(row.variant)), (*cells, *alone))


def flags(row: Any) -> str:
    """The remarks beside the verdict of a comparison, without which it would contradict its numbers."""
    n, zeros, missing, of_baseline, structures, undefined = (
        0 if pd.isna(value) else int(value)
        for value in (row.n, row.zeros, row.missing, row.reference_missing, row.structures, row.undefined)
    )
    remarks = [str(row.mean_against)] if row.mean_against else []
    if row.verdict == "n too small" and zeros:
        remarks.append(f"{n - zeros} of {n} differ")
    if row.verdict == "incomplete":
        remarks += [f"{missing} missing"] if missing else []
        remarks += [f"{of_baseline} missing of the baseline"] if of_baseline else []
        remarks.append(f"described on {plural(structures, 'common structure')}")
    elif undefined:
        remarks.append(f"{plural(undefined, 'structure')} undefined for one method")
    remarks += [str(row.disagreement)] if row.disagreement else []
    return f"({'; '.join(remarks)})" if remarks else ""


def _verdict(verdict: str, small: str = "") -> Cell:
    if not verdict:
        return Cell("–")
    return Cell(VERDICTS.get(verdict, verdict), small, kind=f"verdict-{verdict.replace(' ', '-')}")


def _count(value: Any) -> Cell:
    """A count, empty where nothing could be paired."""
    return Cell("–") if pd.isna(value) else Cell(str(int(value)), sort=float(value))


def _tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return data.comparisons


def _footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    return [
        *wording.TESTS,
        wording.empty_references(data.suite.empty_reference),
        wording.policy(data.suite.convention),
        *footnotes.provenance_legend(blocks),
    ]


COMPARISON = TableKind(wording.COMPARISON_CAPTION, _blocks, _tidy, _footnotes, tested=True)
