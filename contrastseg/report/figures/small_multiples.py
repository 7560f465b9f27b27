"""Small multiples: one panel for each data set and label budget, laid out so that a figure only draws its cells.

A new figure needs two lines: `panels = budget_panels(rows, data)`, then
`return small_multiples(panels, draw_cell, width=settings.width)`, where `draw_cell(ax, panel)` draws `panel.rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.report.content.labels import budget_order, budget_title
from contrastseg.report.content.report_data import Place, ReportData
from contrastseg.report.figures._layout import Sheet, shown_budgets
from contrastseg.report.figures._legend import panel_title
from contrastseg.report.settings import FigureSettings

_BESIDE_TITLE = 0.65  # inches of a panel's width that its title leaves free


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What one panel shows.

    Attributes:
        title: Its title.
        place: Data set, what it is evaluated on, checkpoint.
        labels: Its label budget; empty where it shows all of them.
        rows: Its rows of the frame.
        ylabel: The label of its vertical axis.
    """

    title: str
    place: Place
    labels: str
    rows: pd.DataFrame
    ylabel: str = ""


def budget_panels(
    frame: pd.DataFrame, data: ReportData, *, settings: FigureSettings | None = None, most: int = 1000
) -> list[Panel]:
    """One panel for each data set and label budget of a frame.

    Args:
        frame: Rows with dataset, evaluated_on, checkpoint and labels.
        data: Titles and the order of data sets.
        settings: The budgets that the figure asks for, in its order; without it all of them.
        most: Budgets of one data set, at most.
    """
    panels = []
    for place, rows in data.places(frame):
        present = sorted(set(rows["labels"].astype(str)), key=budget_order)
        for labels in present if settings is None else shown_budgets(rows, settings, most):
            title = f"{data.block_title(*place)} · {budget_title(labels, data.labelled(place[0], labels))}"
            panels.append(Panel(title=title, place=place, labels=labels, rows=rows[rows["labels"] == labels]))
    return panels


def place_panels(frame: pd.DataFrame, data: ReportData) -> list[Panel]:
    """One panel for each data set of a frame, with all its label budgets."""
    return [
        Panel(title=data.block_title(*place), place=place, labels="", rows=rows) for place, rows in data.places(frame)
    ]


def small_multiples(
    panels: Sequence[Panel],
    draw_cell: Callable[[Axes, Panel], None],
    *,
    width: float,
    height: float = 2.1,
    across: int = 2,
    below: float = 0.5,
    xlabel: str = "",
) -> Figure:
    """A figure of panels in lines, each with its title and the room that its ticks and labels need.

    Args:
        panels: What each panel shows.
        draw_cell: Draws a panel into its axes.
        width: Of the figure, in inches.
        height: Of a line of panels, in inches.
        across: Panels in a line, at most.
        below: Room for a legend, in inches.
        xlabel: The label of the horizontal axis, printed below the lowest panels.
    """
    across = min(across, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(width, height * down + below), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for ax, panel in zip(axes.flat, panels, strict=False):
        draw_cell(ax, panel)
        ax.set_title(panel_title(panel.title, width / across - _BESIDE_TITLE))
        ax.set_ylabel(panel.ylabel)
        ax.grid(axis="y")
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    if xlabel:
        for ax in axes.flat[max(0, len(panels) - across) : len(panels)]:
            ax.set_xlabel(xlabel)
    return figure


@dataclass(frozen=True, kw_only=True)
class Margins:
    """Inches around frames that have an exact place.

    Attributes:
        left, right: Beside each frame.
        head, foot: Above and below each frame.
        names, edge: Left and right of a whole line of panels.
        below: Below all panels.
    """

    left: float = 0.0
    right: float = 0.0
    head: float = 0.0
    foot: float = 0.0
    names: float = 0.0
    edge: float = 0.0
    below: float = 0.0


@dataclass(frozen=True)
class Spot:
    """The frame of one panel, its upper left corner in inches, and the place of the panel in its line."""

    ax: Axes
    left: float
    top: float
    column: int


def placed_frames(heights: Sequence[float], *, width: float, across: int, margins: Margins) -> tuple[Sheet, list[Spot]]:
    """Frames of exact size in lines, for figures whose text must keep its place.

    Args:
        heights: Of the frames, in inches; a line is as high as its highest frame.
        width: Of the figure, in inches.
        across: Frames in a line.
        margins: The room around them.
    """
    lines = [heights[first : first + across] for first in range(0, len(heights), across)]
    pitch = (width - margins.names - margins.edge) / across
    tall = [margins.head + max(line) + margins.foot for line in lines]
    sheet = Sheet(width, sum(tall) + margins.below)
    spots = []
    top = margins.head
    for line, line_height in zip(lines, tall, strict=True):
        for column, height in enumerate(line):
            left = margins.names + column * pitch + margins.left
            ax = sheet.axes(left, top, pitch - margins.left - margins.right, height)
            spots.append(Spot(ax, left, top, column))
        top += line_height
    return sheet, spots


def with_ylabel(panels: Sequence[Panel], ylabel: Callable[[Panel], str]) -> list[Panel]:
    """The panels, each with the label of its vertical axis."""
    return [replace(panel, ylabel=ylabel(panel)) for panel in panels]
