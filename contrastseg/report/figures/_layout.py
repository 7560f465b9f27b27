"""Where things stand: figures laid out in inches, small multiples with one row or cell for each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastseg.report.content.labels import Pair, budget_order
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures._style import FAINT, INK, MethodStyle
from contrastseg.report.figures._text import SMALL, distinct, fitted, width_of
from contrastseg.report.settings import FigureSettings

CROWD = 8  # with more methods than these no legend is read any more: every method gets a place of its own
NAMES = 1.42  # inches on the left for the methods' names
_TITLE, _FOOT, _SLANTED, _SLANT = 0.34, 0.42, 0.95, 60
_MOST_COLUMNS, _CELLS_ACROSS = 10, 5
_GAP, _BESIDE = 0.05, 0.16  # inches between words, and between cells


class Sheet:
    """A figure laid out in inches from its top left corner: panels neither shrink nor drift with what they hold."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height))

    def axes(self, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
        """Axes whose frame has this place and size."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box, **options)

    def canvas(self) -> Axes:
        """Axes without a frame over the whole sheet, in inches from the top left corner, for many small pictures."""
        ax = self.figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0), autoscale_on=False)
        ax.set_axis_off()
        return ax

    def text(self, left: float, top: float, text: str, **options: Any) -> None:
        """Text, its upper left corner here unless `ha` and `va` say otherwise."""
        style: dict[str, Any] = {"va": "top", "fontsize": SMALL} | options
        self.figure.text(left / self.width, 1 - top / self.height, text, **style)

    def key(self, left: float, top: float, style: MethodStyle, size: float = 5) -> None:
        """A method's marker."""
        at = ([left / self.width], [1 - top / self.height])
        self.figure.add_artist(Line2D(*at, linestyle="none", markersize=size, **style.point))


@dataclass
class MethodCells:
    """Small multiples: the axes of each method and column, and which stand at the edge where scales are printed."""

    sheet: Sheet
    axes: dict[tuple[Pair, int], Axes] = field(default_factory=dict)
    bottom: list[Axes] = field(default_factory=list)
    scaled: list[Axes] = field(default_factory=list)


def by_method(
    styles: dict[Pair, MethodStyle],
    data: ReportData,
    titles: Sequence[str],
    width: float,
    cell: float = 0.36,
    foot: float = 0.3,
) -> MethodCells:
    """Axes for every method and column: a row for each method, or with one or two columns a block of named cells.

    Args:
        styles: The methods, in drawing order.
        data: Their names.
        titles: Of the columns.
        width: Of the figure, in inches.
        cell: Height of a row, in inches.
        foot: Room below everything, for a legend or a note.
    """
    names = [data.label(*pair).plain for pair in styles]
    if len(titles) <= 2:
        return _blocks(styles, names, titles, width, foot)
    bands = -(-len(titles) // _MOST_COLUMNS)
    across = -(-len(titles) // bands)
    pitch = (width - NAMES - 0.05) / across
    slanted = any("…" in fitted(title, pitch - 0.06, SMALL, True, 2) for title in titles)
    head = _SLANTED if slanted else _TITLE
    tall = head + len(styles) * (cell + 0.06) + _FOOT
    cells = MethodCells(Sheet(width, bands * tall + foot))
    short = distinct(names, NAMES - 0.45, SMALL, lines=2)
    for column, title in enumerate(titles):
        band, place = divmod(column, across)
        left, top = NAMES + place * pitch, band * tall
        inside = pitch - 0.27
        heading = fitted(title, _SLANTED - 0.1 if slanted else pitch - 0.06, SMALL, True, 2)
        turned: dict[str, Any] = {"rotation": _SLANT, "rotation_mode": "anchor"} if slanted else {}
        cells.sheet.text(left + 0.04, top + head - 0.05, heading, va="bottom", fontweight="bold", **turned)
        for row, (pair, style) in enumerate(styles.items()):
            at = top + head + row * (cell + 0.06)
            ax = cells.sheet.axes(left, at, inside, cell)
            _quiet(ax)
            cells.axes[pair, column] = ax
            if row == len(styles) - 1:
                cells.bottom.append(ax)
            if not row % 5:
                cells.scaled.append(ax)
            if not place:
                cells.sheet.key(0.1, at + cell / 2, style)
                cells.sheet.text(0.2, at + cell / 2, short[row], va="center", linespacing=0.95)
    return cells


def _blocks(
    styles: dict[Pair, MethodStyle], names: list[str], titles: Sequence[str], width: float, foot: float
) -> MethodCells:
    left, cell, heading = 0.34, 0.72, 0.24
    pitch = (width - left) / _CELLS_ACROSS
    down = -(-len(styles) // _CELLS_ACROSS)
    tall = 0.3 + down * (heading + cell) + _FOOT
    cells = MethodCells(Sheet(width, tall * len(titles) + foot))
    short = distinct(names, pitch - 0.3, SMALL)
    for column, title in enumerate(titles):
        top = column * tall
        heading_text = fitted(title, width - 0.1, 8.5, True)
        cells.sheet.text(0.05, top + 0.06, heading_text, fontweight="bold", fontsize=8.5)
        for place, (pair, style) in enumerate(styles.items()):
            row, at = divmod(place, _CELLS_ACROSS)
            x, y = left + at * pitch, top + 0.3 + row * (heading + cell)
            cells.sheet.key(x + 0.05, y + heading - 0.1, style)
            cells.sheet.text(x + 0.14, y + heading - 0.05, short[place], va="bottom")
            ax = cells.sheet.axes(x, y + heading, pitch - _BESIDE, cell)
            _quiet(ax)
            cells.axes[pair, column] = ax
            if place + _CELLS_ACROSS >= len(styles):
                cells.bottom.append(ax)
            if not at:
                cells.scaled.append(ax)
    return cells


def _quiet(ax: Axes) -> None:
    ax.tick_params(labelsize=SMALL, length=1.5, pad=1, labelbottom=False, labelleft=False)
    for spine in ax.spines.values():
        spine.set_color(FAINT)
        spine.set_linewidth(0.5)
    ax.grid(axis="y")


def print_scales(cells: MethodCells, labels_below: bool = True) -> None:
    """Print the numbers of the axes that stand at the edge."""
    for ax in cells.scaled:
        ax.tick_params(labelleft=True)
    for ax in cells.bottom if labels_below else ():
        ax.tick_params(labelbottom=True)


def word_ticks(ax: Axes, places: Sequence[float], words: Sequence[str]) -> None:
    """Ticks on the x axis with words; in a cell too narrow for all, at the two ends only, inside the frame."""
    all_fit = _fit(ax, places, words)
    between = words[1:-1] if all_fit else [""] * (len(places) - 2)
    ax.set_xticks(places, [words[0], *between, words[-1]][: len(places)])
    ticks = ax.xaxis.get_major_ticks()
    if len(ticks) > 1 and not all_fit:
        ticks[0].label1.set_horizontalalignment("left")
        ticks[-1].label1.set_horizontalalignment("right")


def _fit(ax: Axes, places: Sequence[float], words: Sequence[str]) -> bool:
    """Whether words centred at these places neither touch each other nor reach far out of the frame."""
    low, high = ax.get_xlim()
    inch = ax.bbox.width / ax.figure.dpi / (high - low)
    half = [width_of(word, SMALL) / 2 for word in words]
    clear = [(b - a) * inch - h - g for (a, b), (h, g) in zip(pairwise(places), pairwise(half), strict=True)]
    beyond = max(half[0] - (places[0] - low) * inch, half[-1] - (high - places[-1]) * inch)
    return min(clear, default=_GAP) >= _GAP and beyond <= _BESIDE / 2


def note(sheet: Sheet, text: str, above: float = 0.05) -> None:
    """A line at the foot of the figure."""
    words = fitted(text, sheet.width - 0.1, SMALL, lines=2)
    sheet.text(0.05, sheet.height - above, words, va="bottom", color=INK)


def shown_budgets(frame: pd.DataFrame, settings: FigureSettings, most: int) -> list[str]:
    """The label budgets to draw: those the settings name in that order, else from the smallest; at most `most`."""
    present = set(frame["labels"].astype(str))
    wanted = [name for name in settings.labels or () if name in present] or sorted(present, key=budget_order)
    return wanted[: max(1, most)]
