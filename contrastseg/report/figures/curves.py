"""Learning curves from the runs' logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.report.content.labels import Pair, budget_order, budget_short, budget_title, in_order
from contrastseg.report.content.report_data import ReportData, keep
from contrastseg.report.content.run_keys import AXES, parse_run_key
from contrastseg.report.figures import wording
from contrastseg.report.figures._layout import CROWD, MethodCells, by_method, note, print_scales, word_ticks
from contrastseg.report.figures._legend import legend, styles_of
from contrastseg.report.figures._style import INK, MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.small_multiples import Panel, small_multiples
from contrastseg.report.settings import FigureSettings

TITLES = {"loss": "training loss", "val_dice": "validation Dice ↑"}
OWN_SCALE = ("loss",)  # sums of other terms for every method: side by side their heights say nothing
_POINTS = 60  # of a line among many: as fine as print shows
Logs = Mapping[str, pd.DataFrame]


def learning_curves(source: FigureSource, settings: FigureSettings) -> Figure:
    """The columns of the logs against the step, one panel per column, data set and label budget.

    With many methods each has a cell of its own per data set and column, its label budgets from light to dark.

    Args:
        source: The logs, and titles, order, provenance.
        settings: The columns and the width.
    """
    logs, data = source.logs, source.data
    index = pd.DataFrame([parse_run_key(key) | {"key": key} for key in logs], columns=[*AXES, "key"])
    index = keep(index, {"dataset": settings.datasets, "method": settings.methods, "labels": settings.labels})
    columns = [name for name in settings.columns if any(_has(logs[key], name) for key in index["key"])]
    if not columns:
        return empty_figure(settings.width, wording.NO_LOG)
    styles = styles_of(index, data)
    datasets = in_order(index["dataset"], data.suite.datasets)
    if len(styles) > CROWD:
        cells = [(dataset, column) for column in columns for dataset in datasets]
        return _many(index, logs, cells, styles=styles, data=data, width=settings.width)
    panels = [
        Panel(
            title=f"{data.dataset_title(dataset)} · {budget_title(labels, data.labelled(dataset, labels))}",
            place=(dataset, dataset, ""),
            labels=labels,
            rows=index[(index["dataset"] == dataset) & (index["labels"] == labels)].assign(column=column),
            ylabel=TITLES.get(column, column),
        )
        for dataset in datasets
        for labels in sorted(set(index.loc[index["dataset"] == dataset, "labels"]), key=budget_order)
        for column in columns
    ]

    def draw_cell(ax: Axes, panel: Panel) -> None:
        for pair, style in styles.items():
            _curve(ax, _lines(panel.rows, logs, pair, str(panel.rows["column"].iloc[0])), style)
        ax.margins(x=0.02)

    figure = small_multiples(panels, draw_cell, width=settings.width, height=2.05, xlabel="step")
    legend(figure, styles, data)
    return figure


def _has(log: pd.DataFrame, column: str) -> bool:
    return column in log and bool(log[column].notna().any())


def _lines(runs: pd.DataFrame, logs: Logs, pair: Pair, column: str) -> list[pd.Series]:
    """The smoothed column of each run of a method, by step."""
    keys = runs.loc[(runs["method"] == pair[0]) & (runs["variant"] == pair[1]), "key"]
    return [_smoothed(logs[key], column) for key in keys if _has(logs[key], column)]


def _smoothed(log: pd.DataFrame, column: str) -> pd.Series:
    """The running mean of the last value logged at each step; shorter windows at the ends."""
    steps, values = log["step"].to_numpy(dtype=float), log[column].to_numpy(dtype=float)
    known = ~np.isnan(values)
    backwards, last = np.unique(steps[known][::-1], return_index=True)
    values = values[known][::-1][last]
    window = max(1, len(values) // 20)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    middle = np.arange(len(values)) + (window - 1) // 2 + 1
    high, low = np.minimum(middle, len(values)), np.maximum(middle - window, 0)
    return pd.Series((sums[high] - sums[low]) / (high - low), backwards)


def _mean(lines: Sequence[pd.Series]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and the mean over the runs that have a value there."""
    first = lines[0].index
    if all(line.index.equals(first) for line in lines):
        return first.to_numpy(dtype=float), np.mean([line.to_numpy() for line in lines], axis=0)
    table = pd.concat(lines, axis=1).sort_index()
    return table.index.to_numpy(dtype=float), table.mean(axis=1).to_numpy()


def _curve(ax: Axes, lines: Sequence[pd.Series], style: MethodStyle) -> None:
    if not lines:
        return
    for line in lines if len(lines) > 1 else ():
        ax.plot(line.index, line, color=style.colour, linewidth=0.6, alpha=0.35)
    steps, mean = _mean(lines)
    every = max(1, len(steps) // 6)
    look = style.point | {"markersize": 4, "markevery": (every // 2, every)}
    ax.plot(steps, mean, linestyle=style.line, linewidth=1.3, **look)


def _many(
    index: pd.DataFrame,
    logs: Logs,
    panels: Sequence[tuple[str, str]],
    *,
    styles: dict[Pair, MethodStyle],
    data: ReportData,
    width: float,
) -> Figure:
    """A cell for each method and panel, which is a data set and a column of the log."""
    titles = [f"{data.dataset_title(dataset)}: {TITLES.get(column, column)}" for dataset, column in panels]
    cells = by_method(styles, data, titles, width)
    for place, (dataset, column) in enumerate(panels):
        runs = index[index["dataset"] == dataset]
        budgets = sorted(set(runs["labels"]), key=budget_order)
        drawn: list[tuple[Axes, float, float]] = []
        for pair, style in styles.items():
            ax = cells.axes[pair, place]
            for rank, labels in enumerate(budgets):
                lines = _lines(runs[runs["labels"] == labels], logs, pair, column)
                if not lines:
                    continue
                steps, mean = _mean(lines)
                every = max(1, len(steps) // _POINTS)
                alpha = 0.35 + 0.65 * (rank + 1) / len(budgets)
                ax.plot(steps[::every], mean[::every], color=style.colour, alpha=alpha, linewidth=0.5 + 0.3 * rank)
                drawn.append((ax, float(np.nanmin(mean)), float(np.nanmax(mean))))
        _scale(cells, place, column, drawn)
    print_scales(cells)
    shades = [budget_short(labels) for labels in sorted(set(index["labels"]), key=budget_order)]
    note(cells.sheet, wording.curves(shades, own_scales=any(column in OWN_SCALE for _, column in panels)))
    return cells.sheet.figure


def _scale(cells: MethodCells, place: int, column: str, drawn: Sequence[tuple[Axes, float, float]]) -> None:
    """One scale for all cells of a column, but of losses, whose heights do not compare and have no numbers."""
    if column not in OWN_SCALE and drawn:
        low, high = min(one for _, one, _ in drawn), max(one for _, _, one in drawn)
        margin = 0.05 * (high - low) or 0.01
    for (_, at), ax in cells.axes.items():
        if at != place:
            continue
        if column in OWN_SCALE:
            ax.set_yticks([])
        elif drawn:
            ax.set_ylim(low - margin, high + margin)
            ax.locator_params(axis="y", nbins=2)
        if ax.has_data():
            last = ax.dataLim.x1
            ax.set_xlim(0, last)
            word_ticks(ax, [0, last], ["0", _thousands(last)])
        else:
            ax.set_xticks([])
            ax.text(0.5, 0.5, "no log", ha="center", va="center", transform=ax.transAxes, fontsize=SMALL, color=INK)


def _thousands(value: float) -> str:
    return f"{value / 1000:.2g}k" if value >= 1000 else f"{value:g}"


KIND = FigureKind(wording.LEARNING_CURVES_CAPTION, learning_curves, needs=wording.NEEDS_LOGS)
