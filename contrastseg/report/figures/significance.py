"""The significance map: every method against every other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from contrastseg.evaluation.metrics.catalogue import resolve_metrics
from contrastseg.evaluation.statistics import pairwise
from contrastseg.evaluation.statistics.aggregation import MATRIX_KEYS
from contrastseg.report.content.report_data import records
from contrastseg.report.figures._layout import NAMES, Pair, Sheet, note
from contrastseg.report.figures._panels import HEAD, place_order, place_title, with_room
from contrastseg.report.figures._style import FAINT, INK, PAPER, empty_figure
from contrastseg.report.figures._text import SMALL, distinct
from contrastseg.report.figures.kind import FigureSource
from contrastseg.report.settings import FigureSettings

_CELL, _SMALLEST = 0.22, 0.115  # inches: a sign and a number of two digits fit into the smallest
_TURNED = 0.16  # inches: in narrower cells numbers of two digits would run together
_NUMBERS, _GAP = 0.2, 0.15  # inches: the rows' numbers, and what is between two maps
# Colour, sign and what it means: the sign alone is enough where there is no colour.
CELLS = {
    "better": ("#0072B2", "+", "row is better than column"),
    "worse": ("#D55E00", "−", "row is worse than column"),
    "n.s.": (PAPER, "·", "no difference found"),
    "n too small": ("#9aa3ad80", "n", "too few patients to find any"),
    "identical": (PAPER, "=", "identical scores"),
    "incomplete": (f"{FAINT}40", "m", "not tested: predictions missing"),
    "no pairs": (f"{FAINT}40", "∅", "no patient in common"),
    "not run": (f"{FAINT}40", "╱", "not run here"),
}
_OPPOSITE = {"better": "worse", "worse": "better"}


def significance_map(source: FigureSource, settings: FigureSettings) -> Figure:
    """One map per data set and label budget: what the row's method is beside the column's, by corrected tests.

    Every map has the same rows, named once; columns have the numbers of the rows.

    Args:
        source: The collected scores; titles, order and the level of the tests.
        settings: The metric and the width.
    """
    scores, material = source.scores, source.material
    scores, said = with_room(scores[scores["metric"].isin(resolve_metrics([settings.metric]))], material, settings)
    facts = material.facts
    pairs = pairwise(scores, [settings.metric], facts.alpha, facts.empty_reference) if len(scores) else scores
    if not len(pairs):
        return empty_figure(settings.width, f"No two methods have {settings.metric} on the same data.")
    maps: dict[tuple[str, ...], dict[tuple[Pair, Pair], str]] = defaultdict(dict)
    for row in records(pairs):
        first, second = (row.method, row.variant), (row.other, row.other_variant)
        found = maps[tuple(getattr(row, name) for name in MATRIX_KEYS)]
        found[first, second] = row.verdict
        found[second, first] = _OPPOSITE.get(row.verdict, row.verdict)
    methods = material.pair_order({pair for cells in maps.values() for both in cells for pair in both})
    names = distinct([material.label(*pair).plain for pair in methods], NAMES - 0.15, SMALL)
    across, pitch, cell = _grid(settings.width, len(maps), len(methods))
    tall = HEAD + 0.18 + cell * len(methods) + 0.1
    sheet = Sheet(settings.width, -(-len(maps) // across) * tall + 0.45 + (0.15 if said else 0))
    for at, place in enumerate(sorted(maps, key=lambda place: place_order(place, material))):
        line, column = divmod(at, across)
        left, top = NAMES + column * pitch + _NUMBERS, line * tall + HEAD + 0.18
        ax = sheet.axes(left, top, cell * len(methods), cell * len(methods))
        _map(ax, maps[place], methods, names if not column else [""] * len(names))
        ax.tick_params(axis="x", labelrotation=90 if cell < _TURNED and len(methods) > 9 else 0)
        for number in range(len(methods)):
            sheet.text(left - 0.04, top + (number + 0.5) * cell, str(number + 1), ha="right", va="center")
        title = place_title(place, material, pitch - 0.06)
        sheet.text(left - _NUMBERS, top - 0.2, title, va="bottom", fontsize=8.5, fontweight="bold", linespacing=1.2)
    seen = {verdict for cells in maps.values() for verdict in cells.values()}
    if any({pair for both in cells for pair in both} < set(methods) for cells in maps.values()):
        seen.add("not run")
    handles = [
        Patch(facecolor=colour, edgecolor=FAINT, linewidth=0.5, label=f"{sign}  {meaning}")
        for verdict, (colour, sign, meaning) in CELLS.items()
        if verdict in seen
    ]
    above = (0, 0.15 / sheet.height if said else 0)
    columns = max(1, int(settings.width / 2.2))
    sheet.figure.legend(handles=handles, loc="lower left", bbox_to_anchor=above, ncols=columns, fontsize=SMALL)
    if said:
        note(sheet, said)
    return sheet.figure


def _grid(width: float, count: int, rows: int) -> tuple[int, float, float]:
    """How many maps stand in a line, and the width of each and of its cells in inches: as many as can be read."""
    for across in (min(count, 3), 2, 1):
        pitch = (width - NAMES) / across
        cell = min(_CELL, (pitch - _NUMBERS - _GAP) / rows)
        if cell >= _SMALLEST:
            break
    return across, pitch, cell


def _map(ax: Axes, cells: Mapping[tuple[Pair, Pair], str], methods: Sequence[Pair], names: Sequence[str]) -> None:
    boxes, colours = [], []
    here = {pair for both in cells for pair in both}
    for y, row in enumerate(methods):
        for x, column in enumerate(methods):
            missing = "no pairs" if {row, column} <= here else "not run"
            colour, sign, _ = CELLS[cells.get((row, column), missing)]
            if x == y and row in here:
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
