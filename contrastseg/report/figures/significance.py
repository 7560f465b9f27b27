"""The significance map: every method against every other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from contrastseg.evaluation.metrics.catalogue import resolve_metrics
from contrastseg.evaluation.statistics import pairwise
from contrastseg.evaluation.statistics.aggregation import MATRIX_KEYS
from contrastseg.report.content.labels import Pair
from contrastseg.report.content.report_data import ReportData, records
from contrastseg.report.figures import wording
from contrastseg.report.figures._layout import NAMES, Sheet, note
from contrastseg.report.figures._panels import HEAD, place_order, place_title, with_room
from contrastseg.report.figures._style import FAINT, INK, PAPER, empty_figure
from contrastseg.report.figures._text import SMALL, distinct
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.small_multiples import Margins, Spot, placed_frames
from contrastseg.report.settings import FigureSettings

_CELL, _SMALLEST = 0.22, 0.115  # inches: a sign and a number of two digits fit into the smallest
_TURNED = 0.16  # inches: in narrower cells numbers of two digits would run together
_NUMBERS, _GAP = 0.2, 0.15  # inches: the rows' numbers, and what is between two maps
# Colour, sign and what it means: the sign alone is enough where there is no colour.
CELLS = {
    "better": ("#0072B2", "+", "row is better than column"),
    "worse": ("#D55E00", "−", "row is worse than column"),
    "n.s.": (PAPER, "·", "not significant"),
    "n too small": ("#9aa3ad80", "n", "n too small: cannot be significant"),
    "identical": (PAPER, "=", "identical scores"),
    "incomplete": (f"{FAINT}40", "m", "not tested: predictions missing"),
    "no pairs": (f"{FAINT}40", "∅", "no patient in common"),
    "not run": (f"{FAINT}40", "╱", "not run here"),
}
Verdicts = dict[tuple[Pair, Pair], str]
_OPPOSITE = {"better": "worse", "worse": "better"}


def significance_map(source: FigureSource, settings: FigureSettings) -> Figure:
    """One map per data set and label budget: what the row's method is beside the column's, by corrected tests.

    Every map has the same rows, named once; columns have the numbers of the rows.

    Args:
        source: The collected scores; titles, order and the level of the tests.
        settings: The metric and the width.
    """
    scores, data = source.data.scores, source.data
    of_metric = scores[scores["metric"].isin(resolve_metrics([settings.metric]))]
    scores, budgets_left_out = with_room(of_metric, data, settings)
    maps = _maps(scores, data, settings.metric)
    if not maps:
        return empty_figure(settings.width, wording.no_common_data(settings.metric))
    methods = data.pair_order({pair for verdicts in maps.values() for both in verdicts for pair in both})
    names = distinct([data.label(*pair).plain for pair in methods], NAMES - 0.15, SMALL)
    grid = _grid(settings.width, len(maps), len(methods))
    side = grid.cell * len(methods)
    room_below = 0.15 if budgets_left_out else 0
    margins = Margins(
        names=NAMES,
        left=_NUMBERS,
        right=grid.pitch - _NUMBERS - side,
        head=HEAD + 0.18,
        foot=0.1,
        below=0.45 + room_below,
    )
    sheet, spots = placed_frames([side] * len(maps), width=settings.width, across=grid.across, margins=margins)
    for place, spot in zip(sorted(maps, key=lambda place: place_order(place, data)), spots, strict=True):
        _draw_map(spot.ax, maps[place], methods, names if not spot.column else [""] * len(names))
        _number_map(sheet, spot, grid.cell, len(methods))
        title = place_title(place, data, grid.pitch - 0.06)
        sheet.text(
            spot.left - _NUMBERS, spot.top - 0.2, title, va="bottom", fontsize=8.5, fontweight="bold", linespacing=1.2
        )
    columns = max(1, int(settings.width / 2.2))
    above = (0, room_below / sheet.height)
    sheet.figure.legend(
        handles=_legend(maps, methods), loc="lower left", bbox_to_anchor=above, ncols=columns, fontsize=SMALL
    )
    if budgets_left_out:
        note(sheet, budgets_left_out)
    return sheet.figure


def _maps(scores: pd.DataFrame, data: ReportData, metric: str) -> dict[tuple[str, ...], Verdicts]:
    """Place and label budget -> what each method is beside each other, both ways round."""
    suite = data.suite
    pairs = pairwise(scores, [metric], suite.alpha, suite.empty_reference) if len(scores) else scores
    maps: dict[tuple[str, ...], Verdicts] = defaultdict(dict)
    for row in records(pairs):
        first, second = (row.method, row.variant), (row.other, row.other_variant)
        verdicts = maps[tuple(getattr(row, name) for name in MATRIX_KEYS)]
        verdicts[first, second] = row.verdict
        verdicts[second, first] = _OPPOSITE.get(row.verdict, row.verdict)
    return dict(maps)


def _legend(maps: Mapping[tuple[str, ...], Verdicts], methods: Sequence[Pair]) -> list[Patch]:
    """The verdicts that occur, each with its colour, sign and meaning."""
    present = {verdict for verdicts in maps.values() for verdict in verdicts.values()}
    if any({pair for both in verdicts for pair in both} < set(methods) for verdicts in maps.values()):
        present.add("not run")
    return [
        Patch(facecolor=colour, edgecolor=FAINT, linewidth=0.5, label=f"{sign}  {meaning}")
        for verdict, (colour, sign, meaning) in CELLS.items()
        if verdict in present
    ]


@dataclass(frozen=True)
class _Grid:
    """How many maps stand in a line, and the width of each and of its cells in inches."""

    across: int
    pitch: float
    cell: float


def _grid(width: float, count: int, rows: int) -> _Grid:
    """As many maps in a line as can be read."""
    for across in (min(count, 3), 2, 1):
        pitch = (width - NAMES) / across
        cell = min(_CELL, (pitch - _NUMBERS - _GAP) / rows)
        if cell >= _SMALLEST:
            break
    return _Grid(across, pitch, cell)


def _number_map(sheet: Sheet, spot: Spot, cell: float, rows: int) -> None:
    """The numbers of the rows on the left, and the direction of those of the columns on top."""
    spot.ax.tick_params(axis="x", labelrotation=90 if cell < _TURNED and rows > 9 else 0)
    for number in range(rows):
        sheet.text(spot.left - 0.04, spot.top + (number + 0.5) * cell, str(number + 1), ha="right", va="center")


def _draw_map(ax: Axes, verdicts: Verdicts, methods: Sequence[Pair], names: Sequence[str]) -> None:
    boxes, colours = [], []
    with_runs = {pair for both in verdicts for pair in both}
    for y, row in enumerate(methods):
        for x, column in enumerate(methods):
            missing = "no pairs" if {row, column} <= with_runs else "not run"
            colour, sign, _ = CELLS[verdicts.get((row, column), missing)]
            if x == y and row in with_runs:
                colour, sign = FAINT, ""
            boxes.append(Rectangle((x - 0.5, y - 0.5), 1, 1))
            colours.append(colour)
            ink = "white" if sign in "+−" else INK
            if sign:
                ax.text(x, y, sign, ha="center", va="center", color=ink, fontsize=SMALL, fontweight="bold")
    ax.add_collection(PatchCollection(boxes, facecolor=colours, edgecolor=FAINT, linewidth=0.4), autolim=False)
    numbers = [str(place + 1) for place in range(len(methods))]
    ax.set_xticks(range(len(methods)), numbers, fontsize=SMALL)
    ax.set_yticks(range(len(methods)), names, fontsize=SMALL)
    ax.tick_params(length=0, pad=2, labeltop=True, labelbottom=False)
    ax.tick_params(axis="y", pad=_NUMBERS * 72)
    ax.set_xlim(-0.5, len(methods) - 0.5)
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.spines[:].set_visible(False)


KIND = FigureKind(wording.SIGNIFICANCE_CAPTION, significance_map)
