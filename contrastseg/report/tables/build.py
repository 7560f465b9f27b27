"""The tables of a paper: rounded and marked for reading (Markdown, LaTeX, HTML), unrounded as tidy CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.files import write_text
from contrastseg.report.content.labels import VERDICTS
from contrastseg.report.content.report_data import Material, keep
from contrastseg.report.content.suite_info import Facts
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes
from contrastseg.report.tables.comparison import comparison_blocks
from contrastseg.report.tables.conventions import convention_blocks
from contrastseg.report.tables.formats import to_csv, to_html, to_markdown
from contrastseg.report.tables.latex import to_latex
from contrastseg.report.tables.model import Block, Table
from contrastseg.report.tables.published.table import paper_blocks, paper_rows
from contrastseg.report.tables.scores import class_blocks, main_blocks, rows_of_class

CAPTIONS = {
    "main": "Mean over patients of each method at each label budget.",
    "classes": "Mean over patients per class.",
    "comparison": "Paired comparison of each method with the reference, patient by patient.",
    "paper": "What was printed, what we measured, and the difference, in the source's layout.",
    "conventions": "What the scoring convention alone does to the ranking: the same predictions under each convention.",
}
_BLOCKS: dict[str, Callable[[Material, TableSettings], list[Block]]] = {
    "main": main_blocks,
    "classes": class_blocks,
    "comparison": comparison_blocks,
    "paper": paper_blocks,
    "conventions": convention_blocks,
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
    """Write `<name>.csv`, `<name>.md`, `<name>.tex` and `<name>.html` of every table into `folder`.

    Args:
        summary: One row per (dataset, evaluated_on, checkpoint, labels, method, variant, class, metric).
        comparisons: One row per comparison with the reference.
        cards: The `run.json` of the runs.
        infos: The `dataset.json` of the entries.
        skipped: `{dataset, method, labels, reason}` of the pairs that do not apply.
        settings: The tables wanted.
        facts: Splits, subsets, convention and the order of the methods (`suite_info.gather_facts`).
        folder: Where the files go.
        conventions: Ranks by convention (`evaluation.statistics.convention_ranks`), where a suite scores by several.

    Returns:
        The files written.
    """
    ranks = pd.DataFrame() if conventions is None else conventions
    material = Material(summary, comparisons, cards, infos, skipped, facts, ranks)
    written = []
    for table in build_tables(material, settings):
        base = Path(folder) / table.name
        for suffix, text in (
            (".csv", to_csv(table)),
            (".md", to_markdown(table)),
            (".tex", to_latex(table)),
            (".html", to_html(table)),
        ):
            path = base.with_name(base.name + suffix)
            write_text(path, text)
            written.append(path)
    return written


def build_tables(material: Material, settings: Sequence[TableSettings]) -> list[Table]:
    """The tables as objects, for the writers here and for the page."""
    return [_build(material.chosen(one), one) for one in settings]


def _build(material: Material, settings: TableSettings) -> Table:
    blocks = _BLOCKS[settings.kind](material, settings)
    return Table(
        name=settings.name,
        kind=settings.kind,
        caption=settings.caption or CAPTIONS[settings.kind],
        blocks=tuple(blocks),
        notes=tuple(footnotes.table_notes(material, settings.kind, blocks)),
        tidy=_with_provenance(_tidy(material, settings), material),
    )


def _tidy(material: Material, settings: TableSettings) -> pd.DataFrame:
    if settings.kind == "comparison":
        return material.comparisons
    if settings.kind == "paper":
        return paper_rows(material, settings)
    wanted: dict[str, Sequence[str] | None] = {"metric": settings.metrics}
    if settings.kind == "conventions":
        return keep(material.conventions, wanted)
    frame = keep(material.summary, wanted)
    return rows_of_class(frame, "mean") if settings.kind == "main" else frame


def _with_provenance(frame: pd.DataFrame, material: Material) -> pd.DataFrame:
    """The rows with what a reader of the CSV alone must know: provenance, splits, subset, convention."""
    frame = frame.copy()
    if not len(frame):
        return frame
    if "holes_named" in frame:
        frame["holes_named"] = frame["holes_named"].map(lambda value: "; ".join(footnotes.hole_names(value)))
    if "verdict" in frame:
        frame["verdict"] = frame["verdict"].map(lambda verdict: VERDICTS.get(verdict, verdict))
    frame["provenance"] = [
        material.label(str(m), str(v)).meaning.partition(":")[0] if m else ""
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
