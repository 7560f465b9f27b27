"""Scores against the number of labels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.report.content.labels import (
    Pair,
    budget_order,
    budget_short,
    budget_title,
    metric_title,
    split_baseline,
)
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures import wording
from contrastseg.report.figures._layout import CROWD, by_method, note, print_scales, word_ticks
from contrastseg.report.figures._legend import CROSS, legend, styles_of
from contrastseg.report.figures._style import INK, NEUTRAL, MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.small_multiples import Panel, place_panels, small_multiples, with_ylabel
from contrastseg.report.settings import FigureSettings

_TICK = 0.14  # inches a number on an axis wants


def label_ratio(source: FigureSource, settings: FigureSettings) -> Figure:
    """The mean over classes against the label budget: one panel per data set, or one cell per method where many.

    Args:
        source: The summary, and titles, order, provenance.
        settings: The metric and the width.
    """
    data, summary = source.data, source.data.summary
    if len(summary):
        summary = summary[(summary["metric"] == settings.metric) & (summary["class"] == "mean")]
    if not len(summary):
        return empty_figure(settings.width, wording.not_scored(settings.metric))
    styles = styles_of(summary, data)
    if len(styles) > CROWD:
        return _many(summary, styles, data, settings)
    panels = with_ylabel(
        place_panels(summary, data), lambda panel: metric_title(settings.metric, str(panel.rows["unit"].iloc[0]))
    )
    figure = small_multiples(
        panels, lambda ax, panel: _few(ax, panel, styles, data), width=settings.width, height=2.6, below=0.55
    )
    legend(figure, styles, data, crossed=bool((summary["missing"] > 0).any()))
    return figure


def _few(ax: Axes, panel: Panel, styles: dict[Pair, MethodStyle], data: ReportData) -> None:
    """The lines of all methods side by side, for as few as a legend is read for."""
    budgets = sorted(set(panel.rows["labels"].astype(str)), key=budget_order)
    for place, (pair, style) in enumerate(styles.items()):
        shift = (place - (len(styles) - 1) / 2) * min(0.06, 0.5 / len(styles))  # or the intervals hide each other
        x, values = _line(panel.rows, pair, budgets)
        ax.plot(x + shift, values["mean"], color=style.colour, linestyle=style.line, alpha=0.8, zorder=2)
        ax.errorbar(x + shift, values["mean"], _reach(values), fmt="none", ecolor=style.colour, **_BARS)
        ax.plot(x + shift, values["mean"], linestyle="none", zorder=3, **style.point)
        _cross_out(ax, x + shift, values)
    titles = [budget_title(budget, data.labelled(panel.place[0], budget)) for budget in budgets]
    ax.set_xticks(range(len(budgets)), [title.replace(" (", "\n(") for title in titles])
    ax.set_xlim(-0.45, len(budgets) - 0.55)


_BARS: dict[str, Any] = {"elinewidth": 0.9, "capsize": 1.8, "capthick": 0.9, "zorder": 3}


def _line(of_place: pd.DataFrame, pair: Pair, budgets: list[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Places of the budgets and the rows of a method there; NaN where it was not run, so that its line breaks."""
    rows = of_place[(of_place["method"] == pair[0]) & (of_place["variant"] == pair[1])]
    return np.arange(len(budgets), dtype=float), rows.set_index(rows["labels"].astype(str)).reindex(budgets)


def _reach(values: pd.DataFrame) -> np.ndarray:
    """(2, n) how far the interval reaches below and above the mean; 0 where none is claimed."""
    return np.nan_to_num(np.array([values["mean"] - values["low"], values["high"] - values["mean"]])).clip(min=0)


def _many(summary: pd.DataFrame, styles: dict[Pair, MethodStyle], data: ReportData, settings: FigureSettings) -> Figure:
    """A cell for each method and data set: its line and interval in colour, the baseline's line in grey behind."""
    places = data.places(summary)
    units = [metric_title(settings.metric, str(rows["unit"].iloc[0])) for _, rows in places]
    same = len(set(units)) == 1
    titles = [
        data.block_title(*key) + ("" if same else f" · {unit}") for (key, _), unit in zip(places, units, strict=True)
    ]
    cells = by_method(styles, data, titles, settings.width)
    baseline = split_baseline(data.suite.baseline) if data.suite.baseline else None
    for column, (_, rows) in enumerate(places):
        budgets = sorted(set(rows["labels"].astype(str)), key=budget_order)
        base = _line(rows, baseline, budgets) if baseline else None
        limits = _limits(rows)
        for pair, style in styles.items():
            ax = cells.axes[pair, column]
            if base is not None:
                ax.plot(base[0], base[1]["mean"], color=NEUTRAL, linewidth=0.7, alpha=0.8)
            _cell(ax, *_line(rows, pair, budgets), style)
            ax.set_xlim(-0.3, len(budgets) - 0.7)
            ax.set_ylim(*limits)
            word_ticks(ax, range(len(budgets)), [budget_short(budget) for budget in budgets])
            ax.set_yticks(_ticks(*limits, most=int(ax.bbox.height / ax.figure.dpi / _TICK)))
    print_scales(cells)
    unit = f"{units[0]} " if same else ""
    behind = f"; grey: {data.label(*baseline).plain}" if baseline else ""
    crossed = f"; crossed out: {wording.MISSING_CROSSED}" if (summary["missing"] > 0).any() else ""
    note(cells.sheet, f"{unit}against the labels (ratio or patients); band: interval of the table{behind}{crossed}.")
    return cells.sheet.figure


def _cell(ax: Axes, x: np.ndarray, values: pd.DataFrame, style: MethodStyle) -> None:
    low, high = (values[name].fillna(values["mean"]) for name in ("low", "high"))
    known = values["mean"].notna().to_numpy()
    if not known.any():
        ax.text(0.5, 0.5, "not run", ha="center", va="center", transform=ax.transAxes, fontsize=SMALL, color=INK)
    beside = np.concatenate([[False], known, [False]])
    alone = known & ~beside[:-2] & ~beside[2:]  # a band of one point is nothing to see
    if alone.any():
        ax.errorbar(x[alone], values["mean"][alone], _reach(values[alone]), fmt="none", ecolor=style.colour, **_BARS)
    ax.fill_between(x, low, high, color=style.colour, alpha=0.22, linewidth=0)
    ax.plot(x, values["mean"], linewidth=1.1, markersize=3, **style.point)
    _cross_out(ax, x, values)


def _cross_out(ax: Axes, x: np.ndarray, values: pd.DataFrame) -> None:
    """A cross on the means that rest on fewer predictions than those of the other methods."""
    lacking = (values["missing"] > 0).to_numpy()
    if lacking.any():
        ax.plot(x[lacking], values["mean"][lacking], zorder=4, **CROSS)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """The range of all means and intervals of a data set, with a margin."""
    low, high = np.nanmin(rows[["mean", "low"]]), np.nanmax(rows[["mean", "high"]])
    margin = max(0.04 * (high - low), 1e-3)
    return float(low - margin), float(high + margin)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers inside the range, at most so many, yet two where there is room."""
    span = high - low
    steps = [base * 10.0**power for power in range(-4, 5) for base in (1, 2, 5)]
    step = next((candidate for candidate, following in pairwise(steps) if span / candidate < max(most, 3.2)), steps[-1])
    first = np.ceil(low / step) * step
    return [float(round(value, 6)) for value in np.arange(first, high, step)]


KIND = FigureKind(wording.LABEL_RATIO_CAPTION, label_ratio)
