"""Box plots by class with the patients behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure

from contrastseg.evaluation.statistics import per_patient
from contrastseg.report.content.labels import Pair, budget_order, budget_title, metric_title
from contrastseg.report.content.report_data import Place, ReportData
from contrastseg.report.figures import wording
from contrastseg.report.figures._layout import CROWD, NAMES, Sheet, note, shown_budgets
from contrastseg.report.figures._legend import legend, styles_of
from contrastseg.report.figures._style import FAINT, INK, MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL, distinct, fitted, width_of
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.small_multiples import Panel, budget_panels, small_multiples, with_ylabel
from contrastseg.report.settings import FigureSettings

MOST_POINTS = 100  # with more patients only those beyond the whiskers are drawn: the others would be a blot
_ACROSS, _ROW = 5, 0.15
_LEAST = 3  # panels a line has room for, or a single one would be too wide to compare
Values = dict[tuple[str, str, str], np.ndarray]


def box_plots(source: FigureSource, settings: FigureSettings) -> Figure:
    """Box plots by class, one panel per data set and label budget; with many methods a row for each of them.

    Args:
        source: The scores, and titles, order, provenance.
        settings: The metric and the width.
    """
    data, scores = source.data, source.data.scores
    if len(scores):
        scores = scores[scores["metric"] == settings.metric]
    patients = per_patient(scores) if len(scores) else scores
    if not len(patients):
        return empty_figure(settings.width, wording.not_scored(settings.metric))
    scales = {key: metric_title(settings.metric, str(rows["unit"].iloc[0])) for key, rows in data.places(scores)}
    styles = styles_of(patients, data)
    if len(styles) > CROWD:
        return _many(patients, scales=scales, styles=styles, data=data, settings=settings)
    panels = with_ylabel(budget_panels(patients, data), lambda panel: scales[panel.place])
    return _few(panels, styles, data, settings)


def _groups(rows: pd.DataFrame, data: ReportData, entry: str) -> list[str]:
    """The classes in the data set's order, and their mean where they are several."""
    classes = [name for name in data.class_order(rows, entry) if name != "mean"]
    return [*classes, "mean"] if len(classes) > 1 else classes


def _values(rows: pd.DataFrame) -> Values:
    """(method, variant, class) -> the patients' values, sorted."""
    table = rows.dropna(subset=["value"]).sort_values("value")
    grouped = table.groupby(["method", "variant", "class"])["value"]
    return {(str(m), str(v), str(c)): values.to_numpy() for (m, v, c), values in grouped}


def _with_rows(rows: pd.DataFrame) -> set[Pair]:
    """The methods and variants that have rows."""
    return set(zip(rows["method"].astype(str), rows["variant"].astype(str), strict=True))


def _absent(pair: Pair, with_rows: set[Pair]) -> str:
    """What stands where a box would."""
    return "no scores" if pair in with_rows else "not run"


def _few(
    panels: Sequence[Panel], styles: dict[Pair, MethodStyle], data: ReportData, settings: FigureSettings
) -> Figure:
    """Standing boxes side by side, for as few methods as a legend is read for."""
    groups = {panel.place: _groups(panel.rows, data, panel.place[0]) for panel in panels}
    across = 2 if max(map(len, groups.values())) <= 2 and len(panels) > 1 else 1
    shared: dict[Place, Axes] = {}

    def draw_cell(ax: Axes, panel: Panel) -> None:
        ax.sharey(shared.setdefault(panel.place, ax))  # the budgets of one data set on one scale
        _standing_boxes(ax, panel, groups[panel.place], styles, settings.width / across)

    figure = small_multiples(panels, draw_cell, width=settings.width, across=across)
    legend(figure, styles, data, lines=False)
    return figure


def _standing_boxes(
    ax: Axes, panel: Panel, groups: Sequence[str], styles: dict[Pair, MethodStyle], pitch: float
) -> None:
    """A box for each class and method, or why there is none."""
    values, with_rows = _values(panel.rows), _with_rows(panel.rows)
    width = 0.8 / len(styles)
    for place, (pair, style) in enumerate(styles.items()):
        for centre, name in enumerate(groups):
            at = centre + (place - (len(styles) - 1) / 2) * width
            if (*pair, name) in values:
                _box(ax, values[*pair, name], at, width, style)
            else:
                turned: dict[str, Any] = {
                    "transform": ax.get_xaxis_transform(),
                    "rotation": 90,
                    "fontsize": SMALL,
                    "color": INK,
                }
                ax.text(at, 0.5, _absent(pair, with_rows), ha="center", va="center", **turned)
    room = pitch / len(groups) - 0.1
    ax.set_xticks(range(len(groups)), [fitted(_class(name), room, 7.5, lines=2) for name in groups])
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.5, len(groups) - 0.5)
    for edge in range(1, len(groups)):
        ax.axvline(edge - 0.5, color=FAINT, linewidth=0.5, alpha=0.6)


def _class(name: str) -> str:
    return "mean over classes" if name == "mean" else name


def _box(ax: Axes, values: np.ndarray, position: float, width: float, style: MethodStyle) -> None:
    ax.boxplot(
        [values],
        positions=[position],
        widths=width * 0.82,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": (style.colour, 0.16), "edgecolor": style.colour, "linewidth": 0.9},
        medianprops={"color": INK, "linewidth": 1.2},
        whiskerprops={"color": style.colour, "linewidth": 0.9},
        capprops={"color": style.colour, "linewidth": 0.9},
    )
    drawn = values if len(values) <= MOST_POINTS else boxplot_stats(values)[0]["fliers"]
    # Spread by rank, not by chance: the picture must not change from run to run.
    spread = ((np.arange(len(drawn)) * 0.618034) % 1 - 0.5) * width * 0.55
    point = style.point | {"markersize": 2.6, "markeredgewidth": 0.5}
    ax.plot(position + spread, drawn, linestyle="none", zorder=3, **point)


@dataclass(frozen=True)
class _ClassPanel:
    """One class at one label budget: the patients' values by method, and the methods that have rows."""

    labels: str
    group: str
    values: Values
    with_rows: set[Pair]


@dataclass(frozen=True, kw_only=True)
class _Section:
    """One data set of a figure of many methods.

    Attributes:
        entry: Its entry in the suite.
        title: Its title with the metric and its unit.
        panels: A panel for each label budget and class.
        order: The methods, best median first.
        limits: The smallest and the largest value, for one scale.
        left_out: Label budgets without a panel.
    """

    entry: str
    title: str
    panels: Sequence[_ClassPanel]
    order: Sequence[Pair]
    limits: tuple[float, float]
    left_out: set[str]


def _section(
    place: Place,
    rows: pd.DataFrame,
    *,
    scale: str,
    styles: dict[Pair, MethodStyle],
    data: ReportData,
    settings: FigureSettings,
) -> _Section:
    """As many label budgets as stand in one line, with a panel for each class."""
    groups = _groups(rows, data, place[0])
    budgets = shown_budgets(rows, settings, max(1, _ACROSS // len(groups)))
    panels = []
    for labels in budgets:
        at_budget = rows[rows["labels"] == labels]
        values, with_rows = _values(at_budget), _with_rows(at_budget)
        panels += [_ClassPanel(labels, group, values, with_rows) for group in groups]
    return _Section(
        entry=place[0],
        title=f"{data.block_title(*place)} · {scale}",
        panels=panels,
        order=_ranked(panels[0].values, styles, groups[-1], higher="↑" in scale),
        limits=(rows["value"].min(), rows["value"].max()),
        left_out=set(rows["labels"].astype(str)) - set(budgets),
    )


def _many(
    patients: pd.DataFrame,
    *,
    scales: dict[Place, str],
    styles: dict[Pair, MethodStyle],
    data: ReportData,
    settings: FigureSettings,
) -> Figure:
    """A section for each data set, a row for each method, a panel for each class; the figure says what is left out."""
    sections = [
        _section(place, rows, scale=scales[place], styles=styles, data=data, settings=settings)
        for place, rows in data.places(patients)
    ]
    across = min(_ACROSS, max(_LEAST, *(len(section.panels) for section in sections), 0))
    line = len(styles) * _ROW + 0.54
    tall = sum(-(-len(section.panels) // across) * line + 0.32 for section in sections)
    sheet = Sheet(settings.width, tall + 0.28)
    top = 0.0
    for section in sections:
        title = fitted(section.title, settings.width - 0.1, 8.5, True)
        sheet.text(0.05, top + 0.08, title, fontweight="bold", fontsize=8.5)
        top += 0.32
        for first in range(0, len(section.panels), across):
            panels = section.panels[first : first + across]
            _draw_line(
                sheet, top, section, panels, pitch=(settings.width - NAMES - 0.1) / across, styles=styles, data=data
            )
            top += line
    left_out = set[str]().union(*(section.left_out for section in sections))
    titles = [budget_title(labels) for labels in sorted(left_out, key=budget_order)]
    note(sheet, f"{wording.MEDIAN_AND_BOX} {wording.budgets_left_out(titles)}".strip())
    return sheet.figure


def _ranked(
    values: dict[tuple[str, str, str], np.ndarray], styles: dict[Pair, MethodStyle], group: str, higher: bool
) -> list[Pair]:
    """The methods with the best median of a class first, those without values last."""
    sign = -1 if higher else 1
    medians = {pair: float(np.median(values[*pair, group])) for pair in styles if (*pair, group) in values}
    return sorted(styles, key=lambda pair: sign * medians[pair] if pair in medians else np.inf)


def _draw_line(
    sheet: Sheet,
    top: float,
    section: _Section,
    panels: Sequence[_ClassPanel],
    *,
    pitch: float,
    styles: dict[Pair, MethodStyle],
    data: ReportData,
) -> None:
    """One line of panels with the methods' names on the left."""
    order = section.order
    low, high = section.limits
    tall = len(order) * _ROW
    names = distinct([data.label(*pair).plain for pair in order], NAMES - 0.3, SMALL)
    for row, (pair, name) in enumerate(zip(order, names, strict=True)):
        middle = top + 0.3 + (row + 0.5) * _ROW
        sheet.key(0.1, middle, styles[pair], 4.5)
        sheet.text(0.2, middle, name, va="center_baseline")
    margin = 0.03 * (high - low) or 0.01
    for at, panel in enumerate(panels):
        ax = sheet.axes(NAMES + at * pitch, top + 0.3, pitch - 0.1, tall)
        heading = fitted(_class(panel.group), pitch - 0.1, SMALL, True)
        whole = budget_title(panel.labels, data.labelled(section.entry, panel.labels))
        below = (
            whole if width_of(whole, SMALL) < pitch - 0.1 else fitted(budget_title(panel.labels), pitch - 0.1, SMALL)
        )
        sheet.text(NAMES + at * pitch, top + 0.27, f"{heading}\n{below}", va="bottom", linespacing=1.0)
        _rows(ax, [panel.values.get((*pair, panel.group)) for pair in order], [styles[pair].colour for pair in order])
        for row, pair in enumerate(order):
            if panel.with_rows and (*pair, panel.group) not in panel.values:
                style: dict[str, Any] = {
                    "transform": ax.get_yaxis_transform(),
                    "fontsize": SMALL,
                    "va": "center_baseline",
                }
                ax.text(0.03, row, _absent(pair, panel.with_rows), **style)
        ax.set_xlim(low - margin, high + margin)
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.set_yticks([])
        ax.tick_params(labelsize=SMALL, length=2, pad=1.5)
        ax.locator_params(axis="x", nbins=3)
        ax.grid(axis="x")


def _rows(ax: Axes, rows: Sequence[np.ndarray | None], colours: Sequence[str]) -> None:
    """Lying boxes, one for each row that has values; few artists, for there are hundreds of boxes."""
    for row in range(0, len(rows), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=FAINT, alpha=0.1, linewidth=0)
    with_values = [(row, values, colours[row]) for row, values in enumerate(rows) if values is not None and len(values)]
    if not with_values:
        return
    y = np.array([row for row, _, _ in with_values], dtype=float)
    shade = [colour for _, _, colour in with_values]
    stats = [boxplot_stats(values)[0] for _, values, _ in with_values]
    get = {name: np.array([box[name] for box in stats]) for name in ("q1", "q3", "med", "whislo", "whishi")}
    faces = [(colour, 0.3) for colour in shade]
    ax.barh(y, get["q3"] - get["q1"], 0.66, get["q1"], color=faces, edgecolor=shade, linewidth=0.7)
    ax.hlines(y, get["whislo"], get["q1"], colors=shade, linewidth=0.8)
    ax.hlines(y, get["q3"], get["whishi"], colors=shade, linewidth=0.8)
    ax.vlines(get["med"], y - 0.36, y + 0.36, colors=INK, linewidth=1.1)
    drawn = [
        values if len(values) <= MOST_POINTS else box["fliers"]
        for (_, values, _), box in zip(with_values, stats, strict=True)
    ]
    at = np.repeat(y, [len(values) for values in drawn])
    x, gap = np.concatenate(drawn), np.full(len(at), np.nan)
    # one path of many strokes: a marker each would make the file ten times as large
    strokes = np.stack([[x, x, gap], [at - 0.2, at + 0.2, gap]]).transpose(0, 2, 1).reshape(2, -1)
    ax.plot(*strokes, color=INK, linewidth=0.5, alpha=0.55)


KIND = FigureKind(wording.BOX_CAPTION, box_plots)
