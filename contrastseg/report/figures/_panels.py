"""What the figures of rankings and tests share: which panels there is room for, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from contrastseg.report.content.labels import Pair, budget_order, budget_title, in_order
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures._layout import CROWD, NAMES, Sheet, note, shown_budgets
from contrastseg.report.figures._text import SMALL, clean, distinct, fitted, width_of
from contrastseg.report.figures.small_multiples import Margins, placed_frames
from contrastseg.report.figures.wording import budgets_left_out
from contrastseg.report.settings import FigureSettings

ROW, HEAD = 0.165, 0.42  # inches: a method's row, the title of a panel
MOST, MOST_OF_CROWD = 24, 8  # panels: more than these on one page are read by nobody
_TWO_ACROSS = 6.0  # inches: a narrower figure has one panel in a line
_TITLE = 8.5  # points


def with_room(frame: pd.DataFrame, data: ReportData, settings: FigureSettings) -> tuple[pd.DataFrame, str]:
    """The rows of as many label budgets of each data set as there is room for, and a sentence on those left out.

    Args:
        frame: Scores or ranks; budgets at which fewer than two methods were run make no panel.
        data: The suite's order of data sets.
        settings: The budgets asked for.
    """
    kept, left_out = [], set[str]()
    places = data.places(frame)
    crowded = len(frame[["method", "variant"]].drop_duplicates()) > CROWD
    for _, rows in places:
        runs = rows[["labels", "method", "variant"]].drop_duplicates().groupby("labels", observed=True).size()
        rows = rows[rows["labels"].isin(runs.index[runs > 1])]
        budgets = shown_budgets(rows, settings, (MOST_OF_CROWD if crowded else MOST) // len(places))
        left_out |= set(rows["labels"].astype(str)) - set(budgets)
        kept.append(rows[rows["labels"].isin(budgets)])
    titles = [budget_title(labels) for labels in sorted(left_out, key=budget_order)]
    return pd.concat(kept) if kept else frame, budgets_left_out(titles)


def place_order(place: tuple[str, ...], data: ReportData) -> tuple[object, ...]:
    """Sort key of a place with its label budget: data sets in the suite's order, label budgets ascending."""
    datasets = in_order({place[0], *data.suite.datasets}, data.suite.datasets)
    return (datasets.index(place[0]), place[0], place[1], place[2], budget_order(place[4]))


def place_title(place: tuple[str, ...], data: ReportData, width: float) -> str:
    """Data set above, label budget below, each in one line of this many inches."""
    dataset, evaluated_on, checkpoint, _, labels = place
    budget = budget_title(labels, data.labelled(dataset, labels))
    if width_of(budget, _TITLE, True) > width:
        budget = budget_title(labels)
    lines = (data.block_title(dataset, evaluated_on, checkpoint), budget)
    return "\n".join(fitted(line, width, _TITLE, True) for line in lines)


@dataclass
class Panels:
    """Panels in one or two columns, each with a row for every method.

    Attributes:
        sheet: What they stand on.
        axes: Their frames, line by line.
        title_width: Room for a title, in inches.
        label_width: Room for a line below the frame, centred on it, in inches.
        right: Room to the right of a frame, in inches.
    """

    sheet: Sheet
    title_width: float
    label_width: float
    right: float
    axes: list[Axes]

    def title(self, ax: Axes, text: str) -> None:
        """A title in two lines above the panel, from where its names begin."""
        box = ax.get_position()
        left, top = box.x0 * self.sheet.width - NAMES + 0.05, (1 - box.y1) * self.sheet.height
        self.sheet.text(left, top - 0.06, text, va="bottom", fontsize=_TITLE, fontweight="bold", linespacing=1.2)

    def below(self, ax: Axes, text: str) -> None:
        """What the horizontal axis shows, in two lines at most."""
        ax.set_xlabel(fitted(text, self.label_width, SMALL, lines=2), fontsize=SMALL, labelpad=2)


def panels(width: float, rows: Sequence[int], right: float, foot: float, footnote: str = "") -> Panels:
    """Empty panels with room for names to the left and numbers to the right.

    Args:
        width: Of the figure, in inches.
        rows: The rows of each panel.
        right: Room for what stands right of a panel, in inches.
        foot: Room for the axis below it, in inches.
        footnote: A line below everything.
    """
    across = min(len(rows), 2 if width >= _TWO_ACROSS else 1)
    pitch = width / across
    inside = pitch - NAMES - right - 0.08
    margins = Margins(left=NAMES, right=right + 0.08, head=HEAD, foot=foot, below=0.25 if footnote else 0)
    sheet, spots = placed_frames([count * ROW for count in rows], width=width, across=across, margins=margins)
    for spot in spots:
        spot.ax.tick_params(labelsize=SMALL, length=2, pad=2)
        spot.ax.grid(axis="x")
    if footnote:
        note(sheet, footnote)
    return Panels(sheet, pitch - 0.15, inside + 2 * min(right, NAMES), right, [spot.ax for spot in spots])


def share_text(share: float) -> str:
    """A share of resamplings in percent; what is not quite never or always does not look so."""
    if 0 < share < 0.005:
        return "< 1 %"
    return "> 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def named_rows(ax: Axes, methods: Sequence[Pair], data: ReportData, right: Sequence[str] = ()) -> None:
    """Names at the left, a number for each at the right, the first on top."""
    names = distinct([data.label(*pair).plain for pair in methods], NAMES - 0.15, SMALL)
    ax.set_yticks(range(len(methods)), names, fontsize=SMALL)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    at = {"xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points"}
    for y, text in enumerate(right):
        ax.annotate(clean(text), (1, y), va="center", fontsize=SMALL, annotation_clip=False, **at)  # type: ignore[arg-type]
