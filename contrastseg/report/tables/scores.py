"""Tables of our own scores: methods down, label budgets, metrics or classes across."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from contrastseg.report.content.labels import (
    budget_order,
    budget_title,
    decimals,
    higher_is_better,
    interval,
    metric_title,
    number,
)
from contrastseg.report.content.pending import NOT_RUN
from contrastseg.report.content.report_data import PLACE, Material, Place, complete_rows, keep, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes
from contrastseg.report.tables.model import Block, Cell, Column, Emphasis, Row

STARS = {"better": "*", "worse": "†"}


def star_of(row: Any) -> str:
    """The mark of a comparison in tables of scores."""
    star = STARS.get(str(row.verdict), "")
    return star + footnotes.AGAINST if star and row.mean_against else star


def main_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """One block per data set: methods down, label budgets and metrics across."""
    means = rows_of_class(material.summary, "mean")
    blocks = []
    for key, part in material.places(means):
        dataset = key[0]
        budgets = settings.labels or sorted(set(part["labels"]), key=budget_order)
        columns: list[Column] = []
        series: list[list[Cell]] = []
        pairs = _pairs(part, material, dataset)
        for labels in [budget for budget in budgets if budget in set(part["labels"])]:
            budget = part[part["labels"] == labels]
            group = budget_title(labels, material.labelled(dataset, labels))
            for metric, unit in _metrics(budget, material.metrics(settings.metrics)):
                rows = budget[(budget["metric"] == metric) & (budget["unit"] == unit)]
                stars = _stars(material.comparisons, key, labels, metric, unit)
                columns.append(Column(metric_title(metric, unit), group))
                series.append(_column(rows, pairs, metric, settings, material, dataset, labels, stars))
            columns.append(Column("miss / inv / holes", group))
            series.append(_counts_column(budget, pairs, material, dataset, labels))
        shown = part[part["metric"].isin(material.metrics(settings.metrics))]
        blocks.append(_block(material, key, columns, series, pairs, shown))
    return blocks


def class_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """One block per data set and label budget: methods down, metrics and classes across."""
    blocks = []
    for key, everything in material.places(material.summary):
        dataset = key[0]
        classes = [name for name in material.class_order(everything, dataset) if name != "mean"]
        for labels in sorted(set(everything["labels"]), key=budget_order):
            part = everything[everything["labels"] == labels]
            pairs = _pairs(part, material, dataset, labels)
            columns, series = [], []
            for metric, unit in _metrics(part, material.metrics(settings.metrics)):
                for name in [*classes, "mean"] if len(classes) > 1 else classes:
                    of_class = rows_of_class(part, name)
                    rows = of_class[(of_class["metric"] == metric) & (of_class["unit"] == unit)]
                    columns.append(Column(name, metric_title(metric, unit)))
                    series.append(_column(rows, pairs, metric, settings, material, dataset, labels, {}))
            shown = part[part["metric"].isin(material.metrics(settings.metrics))]
            block = _block(material, key, columns, series, pairs, rows_of_class(shown, "mean"))
            title = f"{block.title} · {budget_title(labels, material.labelled(dataset, labels))}"
            blocks.append(replace(block, title=title))
    return blocks


def _block(
    material: Material,
    key: Place,
    columns: list[Column],
    series: list[list[Cell]],
    pairs: list[tuple[str, str]],
    part: pd.DataFrame,
) -> Block:
    rows = [Row(material.label(*pair), tuple(cells[i] for cells in series)) for i, pair in enumerate(pairs)]
    return Block(
        material.block_title(*key),
        tuple(columns),
        tuple(rows),
        tuple(footnotes.block_notes(material, key, part, pairs)),
    )


def _column(
    rows: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    metric: str,
    settings: TableSettings,
    material: Material,
    dataset: str,
    labels: str,
    stars: Mapping[tuple[str, str], str],
) -> list[Cell]:
    """One column of means, the best and the second marked."""
    places = decimals(metric, settings.decimals)
    by_pair = {(str(row.method), str(row.variant)): row for row in records(rows)}
    cells, ranked = [], []
    complete = {(str(row.method), str(row.variant)) for row in records(complete_rows(rows))} if len(rows) else set()
    for pair in pairs:
        row = by_pair.get(pair)
        if row is None or math.isnan(row.mean):
            cells.append(empty_cell(row, footnotes.skipped_item(material, dataset, pair, labels)))
            continue
        small = interval(row.low, row.high, places, str(row.clipped)) if settings.intervals else ""
        if settings.kind == "classes":
            small = " ".join(filter(None, [small, _counts(row)]))
        if pair in complete:  # means over other structures or fewer patients are other means
            ranked.append(len(cells))
        cells.append(Cell(number(row.mean, places), small, stars.get(pair, ""), sort=float(row.mean)))
    return mark_best(cells, ranked, places, higher_is_better(metric))


def mark_best(cells: list[Cell], ranked: Sequence[int], places: int, higher: bool | None) -> list[Cell]:
    """The best and the second of the ranked cells marked, as printed: two equal printed numbers share a mark."""
    if higher is None or len(ranked) < 2:
        return cells
    printed = {i: round(float(cells[i].sort or 0.0), places) for i in ranked}
    best = sorted(set(printed.values()), reverse=higher)[:2]
    if len(best) < 2:
        return cells
    emphasis: dict[float, Emphasis] = {best[0]: "best", best[1]: "second"}
    return [
        replace(cell, emphasis=emphasis[printed[i]]) if printed.get(i) in emphasis else cell
        for i, cell in enumerate(cells)
    ]


def _counts(row: Any) -> str:
    """Such as "2 missed, 1 invented"; empty when there is nothing to say."""
    counts = ((int(row.missed), "missed"), (int(row.invented), "invented"), (int(row.absent), "absent"))
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def empty_cell(row: Any, skipped: Mapping[str, Any] | None) -> Cell:
    """A cell without a mean says which of five things it is."""
    if skipped is not None:
        return Cell("not run" if skipped.get("state") == NOT_RUN else "n/a", kind="skipped")
    if row is not None and row.holes == 0 and row.missing == 0:
        # Scored, but no patient has the structure; or all were missed, and the metric is undefined then.
        return Cell("undefined" if row.scored + row.missed + row.invented else "absent", kind="skipped")
    return Cell("missing", kind="missing")


def _counts_column(
    rows: pd.DataFrame, pairs: Sequence[tuple[str, str]], material: Material, dataset: str, labels: str
) -> list[Cell]:
    """Missed, invented and holes of each method, summed over classes; of one metric, since all share the outcomes."""
    first = rows[rows["metric"] == rows["metric"].iloc[0]] if len(rows) else rows
    by_pair = {(str(row.method), str(row.variant)): row for row in records(first)}
    cells = []
    for pair in pairs:
        row = by_pair.get(pair)
        if row is None:
            cells.append(Cell("–", kind="skipped"))
            continue
        counts = [int(row.missed), int(row.invented), int(row.holes)]
        cells.append(Cell(" / ".join(map(str, counts)), kind="counts", sort=float(sum(counts))))
    return cells


def _stars(comparisons: pd.DataFrame, key: Place, labels: str, metric: str, unit: str) -> dict[tuple[str, str], str]:
    """Method and variant -> its mark from the corrected tests of this place, budget, metric and unit."""
    if not len(comparisons):
        return {}
    wanted = dict(zip(PLACE, ([part] for part in key), strict=True)) | {"labels": [labels], "metric": [metric]}
    rows = keep(comparisons, wanted | {"unit": [unit]})
    return {(str(row.method), str(row.variant)): star_of(row) for row in records(rows)}


def _pairs(part: pd.DataFrame, material: Material, dataset: str, labels: str | None = None) -> list[tuple[str, str]]:
    """Methods and variants of a block in the suite's order, those that were skipped included."""
    pairs = {(str(m), str(v)) for m, v in zip(part["method"], part["variant"], strict=True)}
    here = {method for method, _ in pairs}
    for item in material.skipped:
        if item["dataset"] == dataset and labels in (None, item["labels"]):
            if "variant" in item:
                pairs.add((str(item["method"]), str(item["variant"])))
            elif item["method"] not in here:
                pairs.add((str(item["method"]), "default"))
    return material.pair_order(pairs)


def _metrics(part: pd.DataFrame, wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Metric and unit of the columns: one metric in two units is two columns, never one."""
    return [
        (metric, str(unit))
        for metric in wanted
        for unit in sorted(part.loc[part["metric"] == metric, "unit"].astype(str).unique())
    ]


def rows_of_class(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one class, or of `mean`."""
    return frame[frame["class"] == name] if len(frame) else frame
