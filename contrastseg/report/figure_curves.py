"""Learning curves from the runs' logs."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.report.figure_scores import legend, styles_of
from contrastseg.report.figure_source import FigureSource
from contrastseg.report.figure_style import MethodStyle, empty_figure
from contrastseg.report.naming import budget_order, budget_title, in_order
from contrastseg.report.runs import AXES, parse_run_key
from contrastseg.report.settings import FigureSettings
from contrastseg.report.table_model import keep

TITLES = {"loss": "training loss", "val_dice": "validation Dice ↑"}


def learning_curves(source: FigureSource, settings: FigureSettings) -> Figure:
    """The columns of the logs against the step, one panel per column, data set and label budget.

    Args:
        source: The logs, and titles, order, provenance.
        settings: The columns and the width.
    """
    logs, material = source.logs, source.material
    index = pd.DataFrame([parse_run_key(key) | {"key": key} for key in logs], columns=[*AXES, "key"])
    index = keep(index, {"dataset": settings.datasets, "method": settings.methods, "labels": settings.labels})
    columns = [name for name in settings.columns if any(_has(logs[key], name) for key in index["key"])]
    if not columns:
        return empty_figure(settings.width, "No training log has these columns.")
    budgets = [
        (dataset, labels, index[(index["dataset"] == dataset) & (index["labels"] == labels)])
        for dataset in in_order(index["dataset"], material.facts.datasets)
        for labels in sorted(set(index.loc[index["dataset"] == dataset, "labels"]), key=budget_order)
    ]
    across = 2 if len(budgets) > 1 or len(columns) > 1 else 1
    by_column = len(columns) > 1
    panels = [(column, *budget) for budget in budgets for column in columns]
    down = -(-len(panels) // across)
    figure = Figure(figsize=(settings.width, 2.05 * down + 0.5), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    styles = styles_of(index, material)
    for ax, (column, dataset, labels, part) in zip(axes.flat, panels, strict=False):
        for pair, style in styles.items():
            keys = part.loc[(part["method"] == pair[0]) & (part["variant"] == pair[1]), "key"]
            _curve(ax, [logs[key] for key in keys if _has(logs[key], column)], column, style)
        title = f"{material.dataset_title(dataset)}\n{budget_title(labels, material.labelled(dataset, labels))}"
        ax.set_title(title, fontsize=7.5)
        ax.set_ylabel(TITLES.get(column, column))
        ax.grid(axis="y")
        ax.margins(x=0.02)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[-1] if not by_column or len(panels) % across == 0 else axes.flat[: len(panels)]:
        ax.set_xlabel("step")
    legend(figure, styles, material)
    return figure


def _has(log: pd.DataFrame, column: str) -> bool:
    return column in log and bool(log[column].notna().any())


def _curve(ax: Axes, logs: list[pd.DataFrame], column: str, style: MethodStyle) -> None:
    smoothed = []
    for log in logs:
        values = log.dropna(subset=[column]).groupby("step")[column].last()
        line = values.rolling(max(1, len(values) // 20), min_periods=1, center=True).mean()
        smoothed.append(line)
        if len(logs) > 1:
            ax.plot(line.index, line, color=style.colour, linewidth=0.6, alpha=0.35)
    if not smoothed:
        return
    steps = sorted(set().union(*(line.index for line in smoothed)))
    mean = pd.concat([line.reindex(steps) for line in smoothed], axis=1).mean(axis=1)
    every = max(1, len(steps) // 6)
    ax.plot(
        np.asarray(steps),
        mean,
        color=style.colour,
        linestyle=style.line,
        linewidth=1.3,
        marker=style.marker,
        markevery=(every // 2, every),
        markersize=4,
        markerfacecolor=style.colour if style.filled else "none",
    )
