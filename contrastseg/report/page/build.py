"""`report.html`: one file that opens offline and holds everything a reader needs to judge the numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    split_baseline,
)
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures._legend import styles_of
from contrastseg.report.figures._style import MethodStyle
from contrastseg.report.page import cards, runs, wording
from contrastseg.report.page.figures import LEGEND, page_figures
from contrastseg.report.page.leaderboard import leaderboard
from contrastseg.report.page.other_suites import OtherSuite
from contrastseg.report.page.policy import policy_paragraphs
from contrastseg.report.page.summary_text import overview_sentences
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.report.tables.build import build_tables
from contrastseg.text import plural

TEMPLATES = Path(__file__).parent / "templates"


def make_report(
    data: ReportData,
    *,
    tables: Sequence[TableSettings],
    figures: Sequence[FigureSettings],
    figures_folder: str | Path,
    path: str | Path,
    others: Sequence[OtherSuite] = (),
) -> Path:
    """Write the report.

    Args:
        data: The results of a suite, such as `ReportData.load` gives them.
        tables: The tables to show, in this order.
        figures: The figures to show; the first that is drawn and no overlay stands in the overview.
        figures_folder: Where `make_figures` and `make_slices` wrote them.
        path: The file to write.
        others: Other suites whose tables stand below, apart.

    Returns:
        The file written.
    """
    html = (
        _environment()
        .get_template("report.html.j2")
        .render(
            version=__version__,
            css=_asset("report.css"),
            js=_asset("report.js"),
            suite=data.suite,
            title=data.suite.title or data.suite.name,
            styles=_styles(data),
            tables=build_tables(data, tables),
            others=others,
            **_overview(data),
            **_figures(data, figures, Path(figures_folder)),
            **_missing(data),
            **_how_it_was_made(data),
        )
    )
    write_text(path, html)
    return Path(path)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = coded
    return environment


def _asset(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def coded(text: str) -> Markup:
    """The text as markup in which what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _styles(data: ReportData) -> dict[tuple[str, str], MethodStyle]:
    """The style of every method and variant; a method's own card takes that of the first variant that ran."""
    styles = styles_of(data.summary, data) if len(data.summary) else {}
    first = {(method, "default"): style for (method, _), style in reversed(styles.items())}
    return first | styles


def _overview(data: ReportData) -> dict[str, Any]:
    """The section of findings."""
    lines = leaderboard(data)
    return {
        "sentences": overview_sentences(data),
        "leaderboard": lines,
        "leaderboard_metric": metric_title(lines[0].metric, arrow=False) if lines else "",
        "compared": _compared(data),
    }


def _figures(data: ReportData, settings: Sequence[FigureSettings], folder: Path) -> dict[str, Any]:
    """The figures, the first that is drawn and no overlay apart."""
    figures = page_figures(settings, folder, data)
    front = next((figure for figure in figures if figure["drawing"] and figure["kind"] != "overlays"), None)
    return {"front": front, "figures": [figure for figure in figures if figure is not front], "legend": LEGEND}


def _missing(data: ReportData) -> dict[str, Any]:
    """The section of missing predictions and skipped combinations, and its counts for the overview."""
    predictions = cards.missing_prediction_lines(data)
    return {
        "missing_predictions": predictions,
        "missing_counts": _missing_counts(data, len(predictions)),
        "skipped": cards.skipped_combinations(data) if data.skipped_known else None,
        "unavailable": data.unavailable,
    }


def _how_it_was_made(data: ReportData) -> dict[str, Any]:
    """The sections of scoring, data, methods and runs."""
    return {
        "policy": policy_paragraphs(data.suite.convention, data.suite.empty_reference),
        "datasets": cards.dataset_cards(data),
        "methods": cards.method_cards(data),
        "marks": list(PROVENANCE.values()),
        "runs": [runs.run_line(run, data) for run in data.runs],
        "versions": runs.version_lines(data.runs),
    }


def _compared(data: ReportData) -> list[tuple[str, list[str]]]:
    """Heading and lines of what was compared on what."""
    suite, summary = data.suite, data.summary
    if not len(summary):
        return []
    entries = in_order(summary["dataset"].astype(str), suite.datasets)
    datasets = []
    for name in entries:
        subset = suite.entry(name).subset_note()
        datasets.append(data.dataset_title(name, in_full=True) + (f": {subset}" if subset else ""))
    budgets = []
    for labels in sorted(set(summary["labels"].astype(str)), key=budget_order):
        counts = {data.labelled(name, labels) for name in entries} - {None}
        budgets.append(budget_title(labels, counts.pop() if len(counts) == 1 else None))
    compared = [run for run in data.runs if run.get("draw") not in suite.further_draws]
    seeds, draws, folds = (len({run.get(axis) for run in compared}) for axis in ("seed", "draw", "fold"))
    of_draws = Counter(run["draw"] for run in data.runs if run.get("draw") in suite.further_draws)
    counted = wording.counted_runs(len(compared), seeds, draws, folds, dict(sorted(of_draws.items())))
    devices = dict.fromkeys(runs.device(run) for run in data.runs)
    lines = [("Data", datasets), ("Labels", budgets), ("Runs", [counted, *devices])]
    if suite.baseline:
        lines.append(("Baseline", [data.label(*split_baseline(suite.baseline)).plain]))
    return [*lines, ("Scoring", [f"convention {suite.convention}, native grid, per patient"])]


def _missing_counts(data: ReportData, predictions: int) -> list[str]:
    """What is missing from the numbers, counted; the section below names each."""
    if not len(data.summary):
        return []
    states = Counter(str(item.get("state") or wording.NOT_APPLICABLE) for item in data.skipped)
    lines = [wording.missing_predictions(predictions)]
    lines += [f"{plural(count, 'combination')} {state}" for state, count in states.items()]
    lines += [] if data.skipped_known else [wording.PLAN_LEFT_BEHIND]
    return [*lines, wording.unavailable(list(data.unavailable))] if data.unavailable else lines
