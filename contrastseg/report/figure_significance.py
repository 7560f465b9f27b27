"""The significance map: every method against every other."""

from __future__ import annotations

from collections import defaultdict

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from contrastseg.evaluation.aggregation import CONTEST
from contrastseg.evaluation.statistics import pairwise
from contrastseg.report.figure_contests import Pair, in_suites_order, panels, place_order, place_title
from contrastseg.report.figure_source import FigureSource
from contrastseg.report.figure_style import FAINT, INK, PAPER, empty_figure
from contrastseg.report.settings import FigureSettings
from contrastseg.report.table_model import Material, records

# Colour, sign and what it means: the sign alone is enough where there is no colour.
CELLS = {
    "better": ("#0072B2", "+", "row is better than column"),
    "worse": ("#D55E00", "−", "row is worse than column"),
    "n.s.": (PAPER, "·", "no difference found"),
    "n too small": ("#9aa3ad80", "n", "n too small to find any"),
    "no pairs": (PAPER, "", "no patient in common"),
}
_OPPOSITE = {"better": "worse", "worse": "better"}


def significance_map(source: FigureSource, settings: FigureSettings) -> Figure:
    """One map per data set and label budget: what the row's method is beside the column's, by corrected tests.

    Args:
        source: The collected scores; titles, order and the level of the tests.
        settings: The metric and the width.
    """
    scores, material = source.scores, source.material
    pairs = pairwise(scores, [settings.metric], material.facts.alpha) if len(scores) else scores
    if not len(pairs):
        return empty_figure(settings.width, f"No two methods have {settings.metric} on the same data.")
    maps: dict[tuple[str, ...], dict[tuple[Pair, Pair], str]] = defaultdict(dict)
    for row in records(pairs):
        first, second = (row.method, row.variant), (row.other, row.other_variant)
        found = maps[tuple(getattr(row, name) for name in CONTEST)]
        found[first, second] = row.verdict
        found[second, first] = _OPPOSITE.get(row.verdict, row.verdict)
    methods = {place: sorted({pair for key in cells for pair in key}) for place, cells in maps.items()}
    figure, axes = panels(settings.width, len(maps), max(map(len, methods.values())) + 3)
    for ax, place in zip(axes, sorted(maps, key=lambda place: place_order(place, material)), strict=True):
        ordered = [methods[place][i] for i in in_suites_order(methods[place], material)]
        _map(ax, maps[place], ordered, material)
        ax.set_title(place_title(place, material))
    seen = {verdict for cells in maps.values() for verdict in cells.values()}
    handles = [
        Patch(facecolor=colour, edgecolor=FAINT, linewidth=0.5, label=f"{sign}  {meaning}")
        for verdict, (colour, sign, meaning) in CELLS.items()
        if verdict in seen
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=max(1, int(settings.width / 2)))
    return figure


def _map(ax: Axes, cells: dict[tuple[Pair, Pair], str], methods: list[Pair], material: Material) -> None:
    for y, row in enumerate(methods):
        for x, column in enumerate(methods):
            colour, sign, _ = (FAINT, "", "") if x == y else CELLS[cells[row, column]]
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor=FAINT, linewidth=0.4))
            ink = "white" if sign in "+−" else INK
            ax.text(x, y, sign, ha="center", va="center", color=ink, fontsize=7, fontweight="bold")
    names = [material.label(*pair).plain for pair in methods]
    ax.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=6.5)
    ax.set_yticks(range(len(names)), names, fontsize=6.5)
    ax.tick_params(length=0)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_aspect("equal")
    ax.spines[:].set_visible(False)
