"""`report.html`: one file that opens offline and holds everything a reader needs to judge the numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from contrastseg import __version__
from contrastseg.files import write_text
from contrastseg.report.content.labels import (
    PROVENANCE,
    budget_order,
    budget_title,
    in_order,
    metric_title,
    split_reference,
)
from contrastseg.report.content.report_data import Material
from contrastseg.report.content.suite_info import Facts
from contrastseg.report.figures._legend import styles_of
from contrastseg.report.figures._style import MethodStyle
from contrastseg.report.page import cards as page_cards
from contrastseg.report.page.figures import LEGEND, page_figures
from contrastseg.report.page.leaderboard import leaders
from contrastseg.report.page.policy import policy_paragraphs
from contrastseg.report.page.summary_text import overview_sentences
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.report.tables.build import build_tables
from contrastseg.text import plural

TEMPLATES = Path(__file__).parent / "templates"


def make_report(
    summary: pd.DataFrame,
    comparisons: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    infos: Sequence[Mapping[str, Any]],
    skipped: Sequence[Mapping[str, Any]] | None,
    tables: Sequence[TableSettings],
    figures: Sequence[FigureSettings],
    figures_folder: str | Path,
    facts: Facts,
    path: str | Path,
    unavailable: Mapping[str, str] | None = None,
    rankings: pd.DataFrame | None = None,
    conventions: pd.DataFrame | None = None,
) -> Path:
    """Write the report.

    Args:
        summary: What the tables are made from (`evaluation.statistics.summarise`).
        comparisons: The tests (`evaluation.statistics.compare`).
        cards: The `run.json` of the runs.
        infos: The `dataset.json` of the entries.
        skipped: `{dataset, method, labels, reason}` of the pairs that do not apply; None where that is not known.
        tables: The tables to show, in this order.
        figures: The figures to show; the first that is drawn and no overlay stands in the overview.
        figures_folder: Where `make_figures` and `make_slices` wrote them.
        facts: Splits, subsets, convention and order (`suite_info.gather_facts`).
        path: The file to write.
        unavailable: Data sets that were left out, with the reason.
        rankings: How often each method is first when patients are resampled, where that was computed.
        conventions: Ranks by convention (`evaluation.statistics.convention_ranks`), where a suite scores by several.

    Returns:
        The file written.
    """
    ranks = pd.DataFrame() if conventions is None else conventions
    material = Material(summary, comparisons, cards, infos, skipped or (), facts, ranks)
    shown = page_figures(figures, Path(figures_folder), material)
    front = next((one for one in shown if one["drawing"] and one["kind"] != "overlays"), None)
    holes = page_cards.hole_lines(material)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = coded
    leading = leaders(material, rankings)
    html = environment.get_template("report.html.j2").render(
        facts=facts,
        title=facts.title or facts.suite,
        version=__version__,
        css=_asset("report.css"),
        js=_asset("report.js"),
        sentences=overview_sentences(material, rankings),
        overview=_overview(material),
        missing=_missing(material, holes, skipped, unavailable or {}),
        leaders=leading,
        leading_metric=metric_title(leading[0].metric, arrow=False) if leading else "",
        tables=build_tables(material, tables),
        front=front,
        figures=[one for one in shown if one is not front],
        legend=LEGEND,
        styles=_styles(material),
        policy=policy_paragraphs(facts.convention, facts.empty_reference),
        datasets=page_cards.dataset_cards(material),
        methods=page_cards.method_cards(material),
        marks=list(PROVENANCE.values()),
        skipped=None if skipped is None else page_cards.skipped_pairs(material),
        unavailable=unavailable or {},
        holes=holes,
        runs=[page_cards.run_line(run, material) for run in cards],
        versions=page_cards.version_lines(cards),
    )
    write_text(path, html)
    return Path(path)


def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def coded(text: str) -> Markup:
    """The text as markup in which what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _styles(material: Material) -> dict[tuple[str, str], MethodStyle]:
    """The style of every method and variant; a method's own card takes that of the first variant that ran."""
    styles = styles_of(material.summary, material) if len(material.summary) else {}
    first = {(method, "default"): style for (method, _), style in reversed(styles.items())}
    return first | styles


def _overview(material: Material) -> list[tuple[str, list[str]]]:
    """Heading and lines of what was compared on what."""
    facts, summary, cards = material.facts, material.summary, material.cards
    if not len(summary):
        return []
    entries = in_order(summary["dataset"].astype(str), facts.datasets)
    datasets = []
    for name in entries:
        subset = facts.entry(name).subset_note()
        datasets.append(material.dataset_title(name, in_full=True) + (f": {subset}" if subset else ""))
    budgets = []
    for labels in sorted(set(summary["labels"].astype(str)), key=budget_order):
        counts = {material.labelled(name, labels) for name in entries} - {None}
        budgets.append(budget_title(labels, counts.pop() if len(counts) == 1 else None))
    seeds, draws, folds = (len({run.get(axis) for run in cards}) for axis in ("seed", "draw", "fold"))
    runs = f"{len(cards)} ({plural(seeds, 'seed')}, {plural(draws, 'draw')}, {plural(folds, 'fold')})"
    devices = dict.fromkeys(page_cards.device(run) for run in cards)
    lines = [("Data", datasets), ("Labels", budgets), ("Runs", [runs, *devices])]
    if facts.reference:
        lines.append(("Reference", [material.label(*split_reference(facts.reference)).plain]))
    return [*lines, ("Scoring", [f"convention {facts.convention}, native grid, per patient"])]


def _missing(
    material: Material, holes: Sequence[str], skipped: Sequence[Any] | None, unavailable: Mapping[str, str]
) -> list[str]:
    """What is not in the numbers, counted; the section on holes names each."""
    lines = [f"{plural(len(holes), 'prediction')}, named below" if holes else "no predictions"]
    states = Counter(str(item.get("state") or page_cards.NOT_APPLICABLE) for item in skipped or ())
    lines += [f"{plural(count, 'combination')} {state}" for state, count in states.items()]
    if skipped is None:
        lines.append("combinations that do not apply: not known here")
    if unavailable:
        lines.append(f"{plural(len(unavailable), 'data set')} not on the machine: {', '.join(unavailable)}")
    return lines if len(material.summary) else []
