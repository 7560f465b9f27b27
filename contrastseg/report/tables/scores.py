"""Tables of our own scores: methods down, label budgets, metrics or classes across."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import ORACLE
from contrastseg.report.content.labels import (
    Pair,
    budget_order,
    budget_title,
    decimals,
    higher_is_better,
    interval,
    metric_title,
    number,
)
from contrastseg.report.content.pending import NOT_RUN, OUTDATED
from contrastseg.report.content.report_data import PLACE, Place, ReportData, complete_rows, keep, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Emphasis, Row
from contrastseg.text import plural

_STATES = {NOT_RUN: "not run", OUTDATED: "outdated"}
STARS = {"better": "*", "worse": "†"}


def star_of(comparison: Any) -> str:
    """The mark of a comparison in tables of scores."""
    star = STARS.get(str(comparison.verdict), "")
    return star + footnotes.AGAINST if star and comparison.mean_against else star


@dataclass(frozen=True, kw_only=True)
class _BlockOfScores:
    """Columns of one data set's block, filled from left to right; rows are its methods and variants."""

    data: ReportData
    settings: TableSettings
    key: Place
    pairs: list[Pair]
    columns: list[Column]
    cells: list[list[Cell]]

    def add_means(
        self, rows: pd.DataFrame, *, labels: str, column: Column, stars: Mapping[Pair, str], counted: bool = False
    ) -> None:
        """A column of means, the best and the second marked.

        Args:
            rows: Of the summary, at most one per method and variant, of one metric, class and budget.
            labels: The label budget.
            column: Its heading.
            stars: The marks of the tests.
            counted: Whether the cells say how many structures were missed, false positive or absent.
        """
        metric = str(rows["metric"].iloc[0]) if len(rows) else ""
        places = decimals(metric, self.settings.decimals)
        complete = {_pair(row) for row in records(complete_rows(rows))} if len(rows) else set()
        row_of = {_pair(row): row for row in records(rows)}
        cells, ranked = [], []
        for pair in self.pairs:
            row = row_of.get(pair)
            if row is None or math.isnan(row.mean):
                cells.append(empty_cell(row, footnotes.skipped_item(self.data, self.key[0], pair, labels)))
                continue
            small = [interval(row.low, row.high, places, str(row.clipped))] if self.settings.intervals else []
            small += [_counts(row)] if counted else []
            if pair in complete:  # means over other structures or fewer patients are other means
                ranked.append(len(cells))
            text = number(row.mean, places)
            cells.append(Cell(text, " ".join(filter(None, small)), stars.get(pair, ""), sort=float(row.mean)))
        self.columns.append(column)
        self.cells.append(mark_best(cells, ranked, places, higher_is_better(metric)))

    def add_counts(self, rows: pd.DataFrame, *, group: str) -> None:
        """A column of missed structures, false positives and missing predictions, summed over classes."""
        # All metrics share the outcomes, so one of them is enough.
        of_one_metric = rows[rows["metric"] == rows["metric"].iloc[0]] if len(rows) else rows
        row_of = {_pair(row): row for row in records(of_one_metric)}
        cells = []
        for pair in self.pairs:
            row = row_of.get(pair)
            if row is None:
                cells.append(Cell("–", kind="skipped"))
                continue
            counts = [int(row.missed), int(row.invented), int(row.holes)]
            cells.append(Cell(" / ".join(map(str, counts)), kind="counts", sort=float(sum(counts))))
        self.columns.append(Column(wording.COUNTS_HEAD, group))
        self.cells.append(cells)

    def finished(self, rows: pd.DataFrame, *, suffix: str = "") -> Block:
        """The block, with the footnotes that belong to these rows of the summary."""
        lines = [
            Row(self.data.label(*pair), tuple(column[place] for column in self.cells))
            for place, pair in enumerate(self.pairs)
        ]
        return Block(
            self.data.block_title(*self.key) + suffix,
            tuple(self.columns),
            tuple(lines),
            tuple(footnotes.block_footnotes(self.data, self.key, rows, self.pairs)),
        )


def _main_blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set: methods down, label budgets and metrics across."""
    available = data.metrics(settings.metrics)
    blocks = []
    for key, rows in data.places(rows_of_class(data.summary, "mean")):
        present = set(rows["labels"])
        budgets = settings.labels or sorted(present, key=budget_order)
        block = _empty_block(data, settings, key, _pairs(rows, data, key))
        for labels in [budget for budget in budgets if budget in present]:
            at_budget = rows[rows["labels"] == labels]
            group = budget_title(labels, data.labelled(key[0], labels))
            for metric, unit in _metrics(at_budget, available):
                block.add_means(
                    _of_metric(at_budget, metric, unit),
                    labels=labels,
                    column=Column(metric_title(metric, unit), group),
                    stars=_stars(data.comparisons, key, {"labels": labels, "metric": metric, "unit": unit}),
                )
            block.add_counts(at_budget, group=group)
        blocks.append(block.finished(rows[rows["metric"].isin(available)]))
    return blocks


def _class_blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set and label budget: methods down, metrics and classes across."""
    available = data.metrics(settings.metrics)
    blocks = []
    for key, rows in data.places(data.summary):
        names = [name for name in data.class_order(rows, key[0]) if name != "mean"]
        names += ["mean"] if len(names) > 1 else []
        for labels in sorted(set(rows["labels"]), key=budget_order):
            at_budget = rows[rows["labels"] == labels]
            block = _empty_block(data, settings, key, _pairs(at_budget, data, key, labels))
            for metric, unit in _metrics(at_budget, available):
                for name in names:
                    block.add_means(
                        _of_metric(rows_of_class(at_budget, name), metric, unit),
                        labels=labels,
                        column=Column(name, metric_title(metric, unit)),
                        stars={},
                        counted=True,
                    )
            means = rows_of_class(at_budget[at_budget["metric"].isin(available)], "mean")
            budget = budget_title(labels, data.labelled(key[0], labels))
            blocks.append(block.finished(means, suffix=f" · {budget}"))
    return blocks


def _empty_block(data: ReportData, settings: TableSettings, key: Place, pairs: list[Pair]) -> _BlockOfScores:
    return _BlockOfScores(data=data, settings=settings, key=key, pairs=pairs, columns=[], cells=[])


def _pair(row: Any) -> Pair:
    return str(row.method), str(row.variant)


def _of_metric(rows: pd.DataFrame, metric: str, unit: str) -> pd.DataFrame:
    return rows[(rows["metric"] == metric) & (rows["unit"] == unit)]


def mark_best(cells: list[Cell], ranked: Sequence[int], places: int, higher: bool | None) -> list[Cell]:
    """The best and the second of the ranked cells marked, as rounded: two equal rounded numbers share a mark."""
    if higher is None or len(ranked) < 2:
        return cells
    rounded = {i: round(float(cells[i].sort or 0.0), places) for i in ranked}
    best = sorted(set(rounded.values()), reverse=higher)[:2]
    if len(best) < 2:
        return cells
    emphasis: dict[float, Emphasis] = {best[0]: "best", best[1]: "second"}
    return [
        replace(cell, emphasis=emphasis[rounded[i]]) if rounded.get(i) in emphasis else cell
        for i, cell in enumerate(cells)
    ]


def _counts(row: Any) -> str:
    """Such as "2 missed, 1 false positive"; empty where all counts are zero."""
    missed, false_positives, absent = int(row.missed), int(row.invented), int(row.absent)
    counts = [f"{missed} missed"] if missed else []
    counts += [plural(false_positives, "false positive")] if false_positives else []
    return ", ".join([*counts, f"{absent} absent"] if absent else counts)


def empty_cell(row: Any, skipped: Mapping[str, Any] | None) -> Cell:
    """A cell without a mean says which of six things it is."""
    if skipped is not None:
        return Cell(_STATES.get(str(skipped.get("state")), "n/a"), kind="skipped")
    if row is not None and row.holes == 0 and row.missing == 0:
        # Scored, but no patient has the structure; or all were missed, and the metric is undefined then.
        return Cell("undefined" if row.scored + row.missed + row.invented else "absent", kind="skipped")
    return Cell("missing", kind="missing")


def _stars(comparisons: pd.DataFrame, key: Place, wanted: Mapping[str, str]) -> dict[Pair, str]:
    """Method and variant -> its mark from the corrected tests of this place, budget, metric and unit."""
    if not len(comparisons):
        return {}
    axes = dict(zip(PLACE, key, strict=True)) | dict(wanted)
    rows = keep(comparisons, {name: [value] for name, value in axes.items()})
    return {_pair(row): star_of(row) for row in records(rows)}


def _pairs(rows: pd.DataFrame, data: ReportData, key: Place, labels: str | None = None) -> list[Pair]:
    """Methods and variants of a block in the suite's order; those that were skipped too, but where the oracle chose.

    Only runs that keep snapshots have an oracle: others are not missing there.
    """
    pairs = set(zip(rows["method"].astype(str), rows["variant"].astype(str), strict=True))
    methods = {method for method, _ in pairs}
    for item in data.skipped if key[2] != ORACLE else ():
        if item["dataset"] == key[0] and labels in (None, item["labels"]):
            if "variant" in item:
                pairs.add((str(item["method"]), str(item["variant"])))
            elif item["method"] not in methods:
                pairs.add((str(item["method"]), "default"))
    return data.pair_order(pairs)


def _metrics(rows: pd.DataFrame, wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Metric and unit of the columns: one metric in two units is two columns, never one."""
    return [
        (metric, str(unit))
        for metric in wanted
        for unit in sorted(rows.loc[rows["metric"] == metric, "unit"].astype(str).unique())
    ]


def rows_of_class(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of one class, or of `mean`."""
    return frame[frame["class"] == name] if len(frame) else frame


def _class_tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return keep(data.summary, {"metric": settings.metrics})


def _main_tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return rows_of_class(_class_tidy(data, settings), "mean")


def _main_footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    reading = f"{wording.BEST} {wording.COUNTS_LEGEND}"
    policy = wording.policy(data.suite.convention)
    return [reading, *footnotes.star_footnotes(data), policy, *footnotes.provenance_legend(blocks)]


def _class_footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    return [wording.BEST, wording.policy(data.suite.convention), *footnotes.provenance_legend(blocks)]


MAIN = TableKind(wording.MAIN_CAPTION, _main_blocks, _main_tidy, _main_footnotes, tested=True)
CLASSES = TableKind(wording.CLASSES_CAPTION, _class_blocks, _class_tidy, _class_footnotes, tested=False)
