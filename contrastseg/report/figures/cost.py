"""What a score costs: training time, parameters or memory against the mean score, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from contrastseg.evaluation.statistics import per_patient
from contrastseg.report.content.labels import budget_title, higher_is_better, metric_title
from contrastseg.report.content.report_data import complete_rows, records
from contrastseg.report.figures._front import pareto_front, resampled_front, steps_of
from contrastseg.report.figures._labels import label_points
from contrastseg.report.figures._layout import Sheet, note, shown_budgets
from contrastseg.report.figures._legend import panel_title, styles_of
from contrastseg.report.figures._panels import share_text
from contrastseg.report.figures._style import NEUTRAL, empty_figure
from contrastseg.report.figures._text import SMALL, distinct
from contrastseg.report.figures.kind import FigureSource
from contrastseg.report.settings import FigureSettings

Cost = Literal["seconds", "parameters", "memory"]
TITLES: dict[Cost, str] = {
    "seconds": "training time of a run, all stages [s]",
    "parameters": "parameters trained in the last stage [million]",
    "memory": "peak memory of a run's last stage [GiB]",
}
_FIELDS: dict[Cost, tuple[str, float]] = {
    "seconds": ("wall_s", 1.0),
    "parameters": ("parameters", 1e-6),
    "memory": ("peak_memory_bytes", 2.0**-30),
}
_MOST_PANELS, _TITLE, _AXIS = 8, 0.42, 0.42
_SELDOM = 0.05  # share of resamplings: methods that are on the front less often have no percentage
_TALL, _ROOMY, _PER_NAME = 2.1, 10, 0.11  # inches of a panel, the names it has room for, inches for each beyond


def cost_scores(source: FigureSource, settings: FigureSettings) -> Figure:
    """Mean score against cost, one panel per data set and label budget; the Pareto front is a line.

    Args:
        source: Summary and run cards, and titles, order, provenance.
        settings: The cost, the metric and the width.
    """
    material, summary = source.material, source.material.summary
    costs, devices = costs_of(material.cards, settings.cost)
    unknown = any(_cost(card, settings.cost) is None for card in material.cards)
    if len(summary):
        chosen = summary[(summary["metric"] == settings.metric) & (summary["class"] == "mean")]
        keys = zip(*(chosen[name].astype(str) for name in ("dataset", "labels", "method", "variant")), strict=True)
        summary = chosen.assign(cost=[costs.get(key, np.nan) for key in keys]).dropna(subset=["cost", "mean"])
    if not len(summary):
        return empty_figure(settings.width, f"No run says its {settings.cost}, or no {settings.metric} was scored.")
    places = material.places(summary)
    styles = styles_of(summary, material)
    most = max(1, _MOST_PANELS // len(places))
    panels = [
        (key, labels, part[part["labels"] == labels])
        for key, part in places
        for labels in shown_budgets(part, settings, most)
    ]
    left_out = len(panels) < sum(part["labels"].nunique() for _, part in places)
    across = min(2, len(panels))
    tall = _TALL + _PER_NAME * max(0, max(len(part) for _, _, part in panels) - _ROOMY)
    line = _TITLE + tall + _AXIS
    pitch = settings.width / across
    sheet = Sheet(settings.width, -(-len(panels) // across) * line + 0.45)
    names = dict(zip(styles, distinct([material.label(*pair).plain for pair in styles], 1.25, SMALL), strict=True))
    better = higher_is_better(settings.metric) is not False
    mixed, sure = False, False
    patients = source.scores[source.scores["metric"] == settings.metric]
    patients = per_patient(patients) if len(patients) else patients
    patients = patients[patients["class"] == "mean"]
    for at, (key, labels, part) in enumerate(panels):
        down, column = divmod(at, across)
        ax = sheet.axes(column * pitch + 0.55, down * line + _TITLE, pitch - 0.65, tall)
        here = devices.get((key[0], labels), set())
        comparable = settings.cost == "parameters" or len(here) <= 1
        mixed |= not comparable
        points = {(str(row.method), str(row.variant)): (float(row.cost), float(row.mean)) for row in records(part)}
        complete = {(str(row.method), str(row.variant)) for row in records(complete_rows(part))}
        ranked = {pair: point for pair, point in points.items() if pair in complete}
        front = pareto_front(ranked, better) if comparable else []
        known = patients[_at(patients, key, labels)] if comparable else patients.iloc[:0]
        known = known[pd.MultiIndex.from_frame(known[["method", "variant"]]).isin(list(complete))]
        again = resampled_front(known, {pair: ranked[pair][0] for pair in ranked}, better)
        sure |= again is not None
        if again is not None:
            ax.fill_between(again.costs, again.low, again.high, step="post", color=NEUTRAL, alpha=0.2, linewidth=0)
        steps = steps_of([points[pair] for pair in front])
        ax.plot([x for x, _ in steps], [y for _, y in steps], color=NEUTRAL, linewidth=0.9, zorder=1)
        for pair, (x, y) in points.items():
            ax.plot([x], [y], zorder=3, **styles[pair].point)
        costs_here = [x for x, _ in points.values()]
        if min(costs_here) > 0 and max(costs_here) > 15 * min(costs_here):
            ax.set_xscale("log")
        ax.margins(x=0.14, y=0.14)
        title = f"{material.block_title(*key)} · {budget_title(labels, material.labelled(key[0], labels))}"
        ax.set_title(panel_title(title, pitch - 0.65))
        ax.set_xlabel(TITLES[settings.cost], labelpad=2)
        ax.set_ylabel(metric_title(settings.metric, str(part["unit"].iloc[0])), labelpad=2)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}".replace(",", " "))
        ax.grid()
        shares = again.shares if again is not None else {}
        told = {pair: _told(names[pair], shares.get(pair), pair in front) for pair in points}
        label_points(ax, [(told[pair], points[pair], pair in front) for pair in points], steps)
    note(sheet, _note(unknown, left_out, mixed, sure), above=0.04)
    return sheet.figure


def _at(patients: pd.DataFrame, key: tuple[str, str, str], labels: str) -> pd.Series:
    """Which rows are of this place and budget."""
    wanted = dict(zip(("dataset", "evaluated_on", "checkpoint", "labels"), (*key, labels), strict=True))
    return (patients[list(wanted)].astype(str) == list(wanted.values())).all(axis=1)


def _told(name: str, share: float | None, on_front: bool) -> str:
    """A name with how often the method is on the front, where that is worth a word."""
    return name if share is None or (share < _SELDOM and not on_front) else f"{name} {share_text(share)}"


def _note(unknown: bool, left_out: bool, mixed: bool, sure: bool) -> str:
    parts = ["Line and bold names: Pareto front (without methods that lack predictions)."]
    if sure:
        parts.append("Percent: how often on it when patients are resampled (from 5 %); band: 95 % of those fronts.")
    if unknown:
        parts.append("Runs that do not say what it took, or not for all stages, are left out.")
    if mixed:
        parts.append("Panels without a line: the runs stem from unlike hardware and their costs do not compare.")
    if left_out:
        parts.append("Not every label budget is drawn.")
    return " ".join(parts)


def costs_of(
    cards: Sequence[Mapping[str, Any]], cost: Cost
) -> tuple[dict[tuple[str, str, str, str], float], dict[tuple[str, str], set[str]]]:
    """The median cost over the runs by (data set, labels, method, variant); the devices by (data set, labels)."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    devices: dict[tuple[str, str], set[str]] = {}
    for card in cards:
        value = _cost(card, cost)
        if value is None:
            continue
        dataset, labels, method, variant = (str(card[axis]) for axis in ("dataset", "labels", "method", "variant"))
        found.setdefault((dataset, labels, method, variant), []).append(value)
        hardware = card.get("hardware") or {}
        devices.setdefault((dataset, labels), set()).add(
            str(hardware.get("cpu") if hardware.get("device") == "cpu" else hardware.get("device"))
        )
    return {key: float(np.median(values)) for key, values in found.items()}, devices


def _cost(card: Mapping[str, Any], cost: Cost) -> float | None:
    """What one run card says; None where it says nothing, or nothing of the stages that the run started from."""
    if cost == "seconds" and card.get("stages_wall_s"):
        return float(sum(card["stages_wall_s"].values()))
    name, factor = _FIELDS[cost]
    known = card.get(name) is not None and not (cost == "seconds" and card.get("taken_over"))
    return float(card[name]) * factor if known else None
