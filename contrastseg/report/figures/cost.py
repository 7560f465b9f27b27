"""What a score costs: training time, parameters or memory against the mean score, with the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.evaluation.statistics import per_patient
from contrastseg.report.content.labels import Pair, higher_is_better, is_external, metric_title
from contrastseg.report.content.report_data import PLACE, Place, complete_rows, records
from contrastseg.report.figures import wording
from contrastseg.report.figures._front import Resampled, pareto_front, resampled_front, steps_of
from contrastseg.report.figures._labels import label_points
from contrastseg.report.figures._layout import note
from contrastseg.report.figures._legend import panel_title, styles_of
from contrastseg.report.figures._panels import share_text
from contrastseg.report.figures._style import NEUTRAL, MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL, distinct
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.small_multiples import Margins, Panel, budget_panels, placed_frames
from contrastseg.report.settings import FigureSettings

Cost = Literal["seconds", "cpu_seconds", "parameters", "memory"]
TITLES: dict[Cost, str] = {
    "seconds": "training time of a run, all stages [s]",
    "cpu_seconds": "processors' time of a run, all stages [s]",
    "parameters": "parameters trained in the last stage [million]",
    "memory": "peak memory of a run's last stage [GiB]",
}
_FIELDS: dict[Cost, tuple[str, float]] = {
    "seconds": ("wall_s", 1.0),
    "cpu_seconds": ("cpu_s", 1.0),
    "parameters": ("parameters", 1e-6),
    "memory": ("peak_memory_bytes", 2.0**-30),
}
_MOST_PANELS, _TITLE, _AXIS = 8, 0.42, 0.42
_SELDOM = 0.05  # share of resamplings: methods that are on the front less often have no percentage
_TALL, _ROOMY, _PER_NAME = 2.1, 10, 0.11  # inches of a panel, the names it has room for, inches for each beyond


@dataclass(frozen=True, kw_only=True)
class _Tradeoff:
    """What one panel shows: cost and mean score of every method at one data set and label budget.

    Attributes:
        panel: Its title and its rows of the summary.
        points: (cost, mean score) by method.
        front: The methods on the Pareto front by ascending cost; empty where costs do not compare.
        resampled: The front over resampled patients; None where too few patients are common.
        comparable: Whether the costs come from the same hardware, or do not depend on it.
    """

    panel: Panel
    points: Mapping[Pair, tuple[float, float]]
    front: Sequence[Pair]
    resampled: Resampled | None
    comparable: bool


def cost_scores(source: FigureSource, settings: FigureSettings) -> Figure:
    """Mean score against cost, one panel per data set and label budget; the Pareto front is a line.

    Entered rows are left out: the benchmark knows no cost of theirs.

    Args:
        source: Summary, scores and runs, and titles, order, provenance.
        settings: The cost, the metric and the width.
    """
    data = source.data
    trained = [run for run in data.runs if not is_external(run)]
    costs, devices = costs_of(trained, settings.cost)
    summary = _with_costs(data.summary, settings.metric, costs)
    if not len(summary):
        return empty_figure(settings.width, wording.no_cost(settings.cost, settings.metric))
    most = max(1, _MOST_PANELS // len(data.places(summary)))
    panels = budget_panels(summary, data, settings=settings, most=most)
    patients = _patients(data.scores, settings.metric)
    tradeoffs = [_tradeoff(panel, patients, devices, settings) for panel in panels]
    styles = styles_of(summary, data)
    names = dict(zip(styles, distinct([data.label(*pair).plain for pair in styles], 1.25, SMALL), strict=True))
    across = min(2, len(panels))
    height = _TALL + _PER_NAME * max(0, max(len(panel.rows) for panel in panels) - _ROOMY)
    margins = Margins(left=0.55, right=0.1, head=_TITLE, foot=_AXIS, below=0.45)
    sheet, spots = placed_frames([height] * len(panels), width=settings.width, across=across, margins=margins)
    for tradeoff, spot in zip(tradeoffs, spots, strict=True):
        _draw(spot.ax, tradeoff, styles, settings)
        spot.ax.set_title(panel_title(tradeoff.panel.title, settings.width / across - 0.65))
        _name_points(spot.ax, tradeoff, names)
    every_budget = sum(rows["labels"].nunique() for _, rows in data.places(summary))
    sentences = [
        wording.FRONT,
        wording.FRONT_SHARES if any(tradeoff.resampled is not None for tradeoff in tradeoffs) else "",
        wording.COST_UNKNOWN if any(_cost(run, settings.cost) is None for run in trained) else "",
        "" if all(tradeoff.comparable for tradeoff in tradeoffs) else wording.UNLIKE_HARDWARE,
        wording.NOT_EVERY_BUDGET if len(panels) < every_budget else "",
    ]
    note(sheet, " ".join(filter(None, sentences)), above=0.04)
    return sheet.figure


def _with_costs(summary: pd.DataFrame, metric: str, costs: Mapping[tuple[str, str, str, str], float]) -> pd.DataFrame:
    """The means over classes of a metric with the column `cost`, where both are known."""
    if not len(summary):
        return summary
    means = summary[(summary["metric"] == metric) & (summary["class"] == "mean")]
    keys = zip(*(means[name].astype(str) for name in ("dataset", "labels", "method", "variant")), strict=True)
    return means.assign(cost=[costs.get(key, np.nan) for key in keys]).dropna(subset=["cost", "mean"])


def _patients(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The patients' means over classes of a metric."""
    of_metric = scores[scores["metric"] == metric]
    patients = per_patient(of_metric) if len(of_metric) else of_metric
    return patients[patients["class"] == "mean"]


def _tradeoff(
    panel: Panel,
    patients: pd.DataFrame,
    devices: Mapping[tuple[str, str], set[str]],
    settings: FigureSettings,
) -> _Tradeoff:
    """The points of a panel, the front of the methods that may be ranked, and how certain it is."""
    higher = higher_is_better(settings.metric) is not False
    comparable = settings.cost == "parameters" or len(devices.get((panel.place[0], panel.labels), ())) <= 1
    points = {(str(row.method), str(row.variant)): (float(row.cost), float(row.mean)) for row in records(panel.rows)}
    complete = {(str(row.method), str(row.variant)) for row in records(complete_rows(panel.rows))}
    ranked = {pair: point for pair, point in points.items() if pair in complete}
    known = patients[_at(patients, panel.place, panel.labels)] if comparable else patients.iloc[:0]
    known = known[pd.MultiIndex.from_frame(known[["method", "variant"]]).isin(list(complete))]
    return _Tradeoff(
        panel=panel,
        points=points,
        front=pareto_front(ranked, higher) if comparable else [],
        resampled=resampled_front(known, {pair: cost for pair, (cost, _) in ranked.items()}, higher),
        comparable=comparable,
    )


def _draw(ax: Axes, tradeoff: _Tradeoff, styles: Mapping[Pair, MethodStyle], settings: FigureSettings) -> None:
    """Points, front and band; a logarithmic axis where costs differ widely."""
    resampled, points = tradeoff.resampled, tradeoff.points
    if resampled is not None:
        band: dict[str, Any] = {"step": "post", "color": NEUTRAL, "alpha": 0.2, "linewidth": 0}
        ax.fill_between(resampled.costs, resampled.low, resampled.high, **band)
    steps = steps_of([points[pair] for pair in tradeoff.front])
    ax.plot([x for x, _ in steps], [y for _, y in steps], color=NEUTRAL, linewidth=0.9, zorder=1)
    for pair, (x, y) in points.items():
        ax.plot([x], [y], zorder=3, **styles[pair].point)
    costs = [x for x, _ in points.values()]
    if min(costs) > 0 and max(costs) > 15 * min(costs):
        ax.set_xscale("log")
    ax.margins(x=0.14, y=0.14)
    ax.set_xlabel(TITLES[settings.cost], labelpad=2)
    ax.set_ylabel(metric_title(settings.metric, str(tradeoff.panel.rows["unit"].iloc[0])), labelpad=2)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}".replace(",", " "))
    ax.grid()


def _name_points(ax: Axes, tradeoff: _Tradeoff, names: Mapping[Pair, str]) -> None:
    """A name beside each point, with how often it is on the front; bold for those on it."""
    shares = {} if tradeoff.resampled is None else tradeoff.resampled.shares
    labels = [
        (_with_share(names[pair], shares.get(pair), pair in tradeoff.front), point, pair in tradeoff.front)
        for pair, point in tradeoff.points.items()
    ]
    label_points(ax, labels, steps_of([tradeoff.points[pair] for pair in tradeoff.front]))


def _at(patients: pd.DataFrame, place: Place, labels: str) -> pd.Series:
    """Which rows are of this place and budget."""
    wanted = dict(zip((*PLACE, "labels"), (*place, labels), strict=True))
    return (patients[list(wanted)].astype(str) == list(wanted.values())).all(axis=1)


def _with_share(name: str, share: float | None, on_front: bool) -> str:
    """A name with how often the method is on the front, where that is worth a word."""
    return name if share is None or (share < _SELDOM and not on_front) else f"{name} {share_text(share)}"


def costs_of(
    runs: Sequence[Mapping[str, Any]], cost: Cost
) -> tuple[dict[tuple[str, str, str, str], float], dict[tuple[str, str], set[str]]]:
    """The median cost over the runs by (data set, labels, method, variant); the devices by (data set, labels)."""
    costs: dict[tuple[str, str, str, str], list[float]] = {}
    devices: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        value = _cost(run, cost)
        if value is None:
            continue
        dataset, labels, method, variant = (str(run[axis]) for axis in ("dataset", "labels", "method", "variant"))
        costs.setdefault((dataset, labels, method, variant), []).append(value)
        hardware = run.get("hardware") or {}
        devices.setdefault((dataset, labels), set()).add(
            str(hardware.get("cpu") if hardware.get("device") == "cpu" else hardware.get("device"))
        )
    return {key: float(np.median(values)) for key, values in costs.items()}, devices


def _cost(run: Mapping[str, Any], cost: Cost) -> float | None:
    """The cost of one run; None where it is not stored, or not for the stages that the run started from."""
    name, factor = _FIELDS[cost]
    stages = run.get(f"stages_{name}") or {}
    if stages and len(stages) == len(run.get("stages_wall_s") or stages):
        return float(sum(stages.values()))
    known = run.get(name) is not None and not (name.endswith("_s") and run.get("taken_over"))
    return float(run[name]) * factor if known else None


KIND = FigureKind(wording.COST_CAPTION, cost_scores)
