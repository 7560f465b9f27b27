"""The tables of a paper: rounded and marked for reading (Markdown, LaTeX, HTML), unrounded as tidy CSV."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.files import write_text
from contrastseg.report import notes
from contrastseg.report.comparison_table import comparison_blocks
from contrastseg.report.convention_table import convention_blocks
from contrastseg.report.facts import Facts
from contrastseg.report.naming import (
    VERDICTS,
    budget_order,
    budget_title,
    decimals,
    higher_is_better,
    interval,
    metric_title,
    number,
)
from contrastseg.report.settings import TableSettings
from contrastseg.report.table_formats import to_latex, to_markdown
from contrastseg.report.table_model import PLACE, Block, Cell, Column, Material, Place, Row, Table, keep, records

STARS = {"better": "*", "worse": "†"}

CAPTIONS = {
    "main": "Mean over patients of each method at each label budget.",
    "classes": "Mean over patients per class.",
    "comparison": "Paired comparison of each method with the reference, patient by patient.",
    "conventions": "What the scoring convention alone does to the ranking: the same predictions under each convention.",
}


def make_tables(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    infos: Sequence[Mapping[str, Any]],
    skipped: Sequence[Mapping[str, Any]],
    settings: Sequence[TableSettings],
    facts: Facts,
    folder: str | Path,
    conventions: pd.DataFrame | None = None,
) -> list[Path]:
    """Write `<name>.csv`, `<name>.md` and `<name>.tex` of every table into `folder`.

    Args:
        summary: One row per (dataset, evaluated_on, checkpoint, labels, method, variant, class, metric).
        comparisons: One row per comparison with the reference.
        cards: The `run.json` of the runs.
        infos: The `dataset.json` of the entries.
        skipped: `{dataset, method, labels, reason}` of the pairs that do not apply.
        settings: The tables wanted.
        facts: Splits, subsets, convention and the order of the methods (`facts.gather_facts`).
        folder: Where the files go.
        conventions: Ranks by convention (`evaluation.convention_ranks`), where a suite scores by several.

    Returns:
        The files written.
    """
    ranks = pd.DataFrame() if conventions is None else conventions
    material = Material(summary, comparisons, cards, infos, skipped, facts, ranks)
    written = []
    for table in build_tables(material, settings):
        base = Path(folder) / table.name
        for suffix, text in (
            (".csv", table.tidy.to_csv(index=False, float_format="%.6g")),
            (".md", to_markdown(table)),
            (".tex", to_latex(table)),
        ):
            path = base.with_name(base.name + suffix)
            write_text(path, text)
            written.append(path)
    return written


def build_tables(material: Material, settings: Sequence[TableSettings]) -> list[Table]:
    """The tables as objects, for the writers here and for the page."""
    return [_build(material.chosen(one), one) for one in settings]


def _build(material: Material, settings: TableSettings) -> Table:
    blocks = {
        "main": _main_blocks,
        "classes": _class_blocks,
        "comparison": comparison_blocks,
        "conventions": convention_blocks,
    }[settings.kind](material, settings)
    tidy = _tidy(material, settings)
    return Table(
        name=settings.name,
        kind=settings.kind,
        caption=settings.caption or CAPTIONS[settings.kind],
        blocks=tuple(blocks),
        notes=tuple(notes.table_notes(material, settings.kind, blocks)),
        tidy=_with_provenance(tidy, material),
    )


def _main_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """One block per data set: methods down, label budgets and metrics across."""
    means = _rows_of(material.summary, "mean")
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
        blocks.append(_block(material, key, columns, series, pairs, part))
    return blocks


def _class_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """One block per data set and label budget: methods down, metrics and classes across."""
    blocks = []
    for key, everything in material.places(material.summary):
        dataset = key[0]
        classes = [name for name in _class_order(everything, material, dataset) if name != "mean"]
        for labels in sorted(set(everything["labels"]), key=budget_order):
            part = everything[everything["labels"] == labels]
            pairs = _pairs(part, material, dataset, labels)
            columns, series = [], []
            for metric, unit in _metrics(part, material.metrics(settings.metrics)):
                for name in [*classes, "mean"] if len(classes) > 1 else classes:
                    of_class = _rows_of(part, name)
                    rows = of_class[(of_class["metric"] == metric) & (of_class["unit"] == unit)]
                    columns.append(Column(name, metric_title(metric, unit)))
                    series.append(_column(rows, pairs, metric, settings, material, dataset, labels, {}))
            block = _block(material, key, columns, series, pairs, _rows_of(part, "mean"))
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
        material.block_title(*key), tuple(columns), tuple(rows), tuple(notes.block_notes(material, key, part, pairs))
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
    most = rows["n_patients"].max() if len(rows) else 0
    for pair in pairs:
        row = by_pair.get(pair)
        if row is None or math.isnan(row.mean):
            cells.append(_empty_cell(row, notes.skip_reason(material.skipped, dataset, pair[0], labels)))
            continue
        small = interval(row.low, row.high, places) if settings.intervals else ""
        if settings.kind == "classes":
            small = " ".join(filter(None, [small, _counts(row)]))
        if row.holes == 0 and row.n_patients == most:  # only complete cells are ranked: fewer patients is another mean
            ranked.append(len(cells))
        cells.append(Cell(number(row.mean, places), small, stars.get(pair, ""), sort=float(row.mean)))
    better = higher_is_better(metric)
    if better is None or len(ranked) < 2:
        return cells
    # ranked as printed: two equal printed numbers share a mark
    printed = sorted({round(float(cells[i].sort or 0.0), places) for i in ranked}, reverse=better)
    if len(printed) < 2:
        return cells
    for i in ranked:
        place = printed.index(round(float(cells[i].sort or 0.0), places))
        if place < 2:
            cells[i] = replace(cells[i], emphasis="best" if place == 0 else "second")
    return cells


def _counts(row: Any) -> str:
    """Such as "2 missed, 1 invented"; empty when there is nothing to say."""
    counts = ((int(row.missed), "missed"), (int(row.invented), "invented"), (int(row.absent), "absent"))
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _empty_cell(row: Any, reason: str | None) -> Cell:
    """A cell without a mean says which of three things it is."""
    if reason is not None:
        return Cell("n/a", kind="skipped")
    if row is not None and row.holes == 0:
        return Cell("absent", kind="skipped")  # scored, but no patient has the structure
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
    if not len(comparisons):
        return {}
    wanted = dict(zip(PLACE, ([part] for part in key), strict=True)) | {"labels": [labels], "metric": [metric]}
    rows = keep(comparisons, wanted | {"unit": [unit]})
    return {(str(row.method), str(row.variant)): STARS.get(str(row.verdict), "") for row in records(rows)}


def _pairs(part: pd.DataFrame, material: Material, dataset: str, labels: str | None = None) -> list[tuple[str, str]]:
    """Methods and variants of a block in the suite's order, those that were skipped included."""
    pairs = {(str(m), str(v)) for m, v in zip(part["method"], part["variant"], strict=True)}
    here = {method for method, _ in pairs}
    for item in material.skipped:
        if item["dataset"] == dataset and item["method"] not in here and labels in (None, item["labels"]):
            pairs.add((str(item["method"]), "default"))
    order = material.method_order([method for method, _ in pairs])
    return sorted(pairs, key=lambda pair: (order.index(pair[0]), pair[1] != "default", pair[1]))


def _metrics(part: pd.DataFrame, wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Metric and unit of the columns: one metric in two units is two columns, never one."""
    return [
        (metric, str(unit))
        for metric in wanted
        for unit in sorted(part.loc[part["metric"] == metric, "unit"].astype(str).unique())
    ]


def _class_order(part: pd.DataFrame, material: Material, dataset: str) -> list[str]:
    present = list(dict.fromkeys(part["class"].astype(str)))
    known = [str(name) for info in material.infos if info.get("entry") == dataset for name in info.get("classes", ())]
    return [name for name in known if name in present] + [name for name in present if name not in known]


def _rows_of(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[frame["class"] == name] if len(frame) else frame


def _tidy(material: Material, settings: TableSettings) -> pd.DataFrame:
    wanted: dict[str, Sequence[str] | None] = {"metric": settings.metrics}
    if settings.kind == "comparison":
        return material.comparisons
    if settings.kind == "conventions":
        return keep(material.conventions, wanted)
    frame = keep(material.summary, wanted)
    return _rows_of(frame, "mean") if settings.kind == "main" else frame


def _with_provenance(frame: pd.DataFrame, material: Material) -> pd.DataFrame:
    """The rows with what a reader of the CSV alone must know: provenance, splits, subset, convention."""
    frame = frame.copy()
    if not len(frame):
        return frame
    if "holes_named" in frame:
        frame["holes_named"] = frame["holes_named"].map(lambda value: "; ".join(notes.hole_names(value)))
    if "verdict" in frame:
        frame["verdict"] = frame["verdict"].map(lambda verdict: VERDICTS.get(verdict, verdict))
    frame["provenance"] = [
        material.label(str(m), str(v)).meaning.partition(":")[0]
        for m, v in zip(frame["method"], frame["variant"], strict=True)
    ]
    entries = [material.facts.entry(str(name)) for name in frame["dataset"]]
    frame["split_name"] = [entry.split_name for entry in entries]
    frame["split_hash"] = [entry.split_hash for entry in entries]
    tested = [material.facts.entry(str(name)) for name in frame["evaluated_on"]]
    frame["evaluated_split_name"] = [entry.split_name for entry in tested]
    frame["evaluated_split_hash"] = [entry.split_hash for entry in tested]
    frame["subset"] = [entry.subset_note() or "" for entry in entries]
    if "convention" not in frame:
        frame["convention"] = material.facts.convention
    return frame
