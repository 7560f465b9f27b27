"""Box plots by class with the patients behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure

from contrastseg.evaluation.statistics import per_patient
from contrastseg.report.content.labels import budget_order, budget_title, metric_title
from contrastseg.report.content.report_data import Material, Place
from contrastseg.report.figures._layout import CROWD, NAMES, Pair, Sheet, note, shown_budgets
from contrastseg.report.figures._legend import legend, panel_title, styles_of
from contrastseg.report.figures._style import FAINT, INK, MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL, distinct, fitted, width_of
from contrastseg.report.figures.kind import FigureSource
from contrastseg.report.settings import FigureSettings

MOST_POINTS = 100  # with more patients only those beyond the whiskers are drawn: the others would be a blot
_ACROSS, _ROW = 5, 0.15
_LEAST = 3  # panels a line has room for, or a single one would be too wide to compare
Panel = tuple[Place, str, pd.DataFrame]
Values = dict[tuple[str, str, str], np.ndarray]


def box_plots(source: FigureSource, settings: FigureSettings) -> Figure:
    """Box plots by class, one panel per data set and label budget; with many methods a row for each of them.

    Args:
        source: The scores, and titles, order, provenance.
        settings: The metric and the width.
    """
    material, scores = source.material, source.scores
    if len(scores):
        scores = scores[scores["metric"] == settings.metric]
    patients = per_patient(scores) if len(scores) else scores
    if not len(patients):
        return empty_figure(settings.width, f"No {settings.metric} was scored.")
    units = {key: metric_title(settings.metric, str(part["unit"].iloc[0])) for key, part in material.places(scores)}
    styles = styles_of(patients, material)
    if len(styles) > CROWD:
        return _many(patients, styles, material, units, settings)
    panels = [
        (key, labels, part[part["labels"] == labels])
        for key, part in material.places(patients)
        for labels in sorted(set(part["labels"].astype(str)), key=budget_order)
    ]
    return _few(panels, styles, material, units, settings)


def _groups(part: pd.DataFrame, material: Material, entry: str) -> list[str]:
    """The classes in the data set's order, and their mean where they are several."""
    classes = [name for name in material.class_order(part, entry) if name != "mean"]
    return [*classes, "mean"] if len(classes) > 1 else classes


def _values(part: pd.DataFrame) -> Values:
    """(method, variant, class) -> the patients' values, sorted."""
    table = part.dropna(subset=["value"]).sort_values("value")
    grouped = table.groupby(["method", "variant", "class"])["value"]
    return {(str(m), str(v), str(c)): values.to_numpy() for (m, v, c), values in grouped}


def _ran(part: pd.DataFrame) -> set[Pair]:
    """The methods and variants that have rows."""
    return set(zip(part["method"].astype(str), part["variant"].astype(str), strict=True))


def _absent(pair: Pair, ran: set[Pair]) -> str:
    """What stands where a box would."""
    return "no scores" if pair in ran else "not run"


def _few(
    panels: Sequence[Panel],
    styles: dict[Pair, MethodStyle],
    material: Material,
    units: dict[Place, str],
    settings: FigureSettings,
) -> Figure:
    most = max(len(_groups(part, material, key[0])) for key, _, part in panels)
    across = 2 if most <= 2 and len(panels) > 1 else 1
    down = -(-len(panels) // across)
    figure = Figure(figsize=(settings.width, 2.1 * down + 0.5), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    scales: dict[Place, Axes] = {}
    width = 0.8 / len(styles)
    for ax, (key, labels, part) in zip(axes.flat, panels, strict=False):
        ax.sharey(scales.setdefault(key, ax))  # the budgets of one data set on one scale
        groups, values, ran = _groups(part, material, key[0]), _values(part), _ran(part)
        for place, (pair, style) in enumerate(styles.items()):
            for centre, name in enumerate(groups):
                at = centre + (place - (len(styles) - 1) / 2) * width
                if (*pair, name) in values:
                    _box(ax, values[*pair, name], at, width, style)
                else:
                    said = {"transform": ax.get_xaxis_transform(), "rotation": 90, "fontsize": SMALL, "color": INK}
                    ax.text(at, 0.5, _absent(pair, ran), ha="center", va="center", **said)
        room = settings.width / across / len(groups) - 0.1
        ax.set_xticks(range(len(groups)), [fitted(_class(name), room, 7.5, lines=2) for name in groups])
        ax.tick_params(axis="x", length=0)
        ax.set_xlim(-0.5, len(groups) - 0.5)
        for edge in range(1, len(groups)):
            ax.axvline(edge - 0.5, color=FAINT, linewidth=0.5, alpha=0.6)
        title = f"{material.block_title(*key)} · {budget_title(labels, material.labelled(key[0], labels))}"
        ax.set_title(panel_title(title, settings.width / across - 0.65))
        ax.set_ylabel(units[key])
        ax.grid(axis="y")
    legend(figure, styles, material, lines=False)
    return figure


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
    shown = values if len(values) <= MOST_POINTS else boxplot_stats(values)[0]["fliers"]
    # Spread by rank, not by chance: the picture must not change from run to run.
    spread = ((np.arange(len(shown)) * 0.618034) % 1 - 0.5) * width * 0.55
    point = style.point | {"markersize": 2.6, "markeredgewidth": 0.5}
    ax.plot(position + spread, shown, linestyle="none", zorder=3, **point)


def _many(
    patients: pd.DataFrame,
    styles: dict[Pair, MethodStyle],
    material: Material,
    units: dict[Place, str],
    settings: FigureSettings,
) -> Figure:
    """A band of panels for each data set, a row for each method, best median first; a panel for each class.

    As many label budgets are drawn as stand in one line; the figure says which are left out.
    """
    bands = []
    for key, part in material.places(patients):
        groups = _groups(part, material, key[0])
        budgets = shown_budgets(part, settings, max(1, _ACROSS // len(groups)))
        panels = [(labels, name) for labels in budgets for name in groups]
        bands.append((key, part, panels, set(part["labels"].astype(str)) - set(budgets)))
    across = min(_ACROSS, max(_LEAST, *(len(panels) for _, _, panels, _ in bands), 0))
    line = len(styles) * _ROW + 0.54
    sheet = Sheet(settings.width, sum(-(-len(panels) // across) * line + 0.32 for _, _, panels, _ in bands) + 0.28)
    top = 0.0
    for key, part, panels, _ in bands:
        title = fitted(f"{material.block_title(*key)} · {units[key]}", settings.width - 0.1, 8.5, True)
        sheet.text(0.05, top + 0.08, title, fontweight="bold", fontsize=8.5)
        top += 0.32
        values = {labels: _values(part[part["labels"] == labels]) for labels in dict.fromkeys(one for one, _ in panels)}
        order = _ranked(values[panels[0][0]], styles, panels[-1][1], higher="↑" in units[key])
        limits = (part["value"].min(), part["value"].max())
        ran = {labels: _ran(part[part["labels"] == labels]) for labels in values}
        for first in range(0, len(panels), across):
            shown = [(*one, values[one[0]], ran[one[0]]) for one in panels[first : first + across]]
            _band(sheet, top, across, shown, order, styles, material, key[0], limits)
            top += line
    left_out = {labels for *_, missing in bands for labels in missing}
    said = ", ".join(budget_title(labels) for labels in sorted(left_out, key=budget_order))
    note(sheet, f"Line: median; box: quartiles.{f' Not drawn for every data set: {said}.' if said else ''}")
    return sheet.figure


def _ranked(
    values: dict[tuple[str, str, str], np.ndarray], styles: dict[Pair, MethodStyle], group: str, higher: bool
) -> list[Pair]:
    """The methods with the best median of a class first, those without values last."""
    sign = -1 if higher else 1
    medians = {pair: float(np.median(values[*pair, group])) for pair in styles if (*pair, group) in values}
    return sorted(styles, key=lambda pair: sign * medians[pair] if pair in medians else np.inf)


def _band(
    sheet: Sheet,
    top: float,
    across: int,
    panels: Sequence[tuple[str, str, Values, set[Pair]]],
    order: Sequence[Pair],
    styles: dict[Pair, MethodStyle],
    material: Material,
    entry: str,
    limits: tuple[float, float],
) -> None:
    """One line of panels with the methods' names on the left."""
    tall, pitch = len(order) * _ROW, (sheet.width - NAMES - 0.1) / across
    names = distinct([material.label(*pair).plain for pair in order], NAMES - 0.3, SMALL)
    for row, (pair, name) in enumerate(zip(order, names, strict=True)):
        middle = top + 0.3 + (row + 0.5) * _ROW
        sheet.key(0.1, middle, styles[pair], 4.5)
        sheet.text(0.2, middle, name, va="center_baseline")
    margin = 0.03 * (limits[1] - limits[0]) or 0.01
    for at, (labels, group, values, ran) in enumerate(panels):
        ax = sheet.axes(NAMES + at * pitch, top + 0.3, pitch - 0.1, tall)
        heading = fitted(_class(group), pitch - 0.1, SMALL, True)
        whole = budget_title(labels, material.labelled(entry, labels))
        below = whole if width_of(whole, SMALL) < pitch - 0.1 else fitted(budget_title(labels), pitch - 0.1, SMALL)
        sheet.text(NAMES + at * pitch, top + 0.27, f"{heading}\n{below}", va="bottom", linespacing=1.0)
        _rows(ax, [values.get((*pair, group)) for pair in order], [styles[pair].colour for pair in order])
        for row, pair in enumerate(order):
            if ran and (*pair, group) not in values:
                said: dict[str, Any] = {
                    "transform": ax.get_yaxis_transform(),
                    "fontsize": SMALL,
                    "va": "center_baseline",
                }
                ax.text(0.03, row, _absent(pair, ran), **said)
        ax.set_xlim(limits[0] - margin, limits[1] + margin)
        ax.set_ylim(len(order) - 0.5, -0.5)
        ax.set_yticks([])
        ax.tick_params(labelsize=SMALL, length=2, pad=1.5)
        ax.locator_params(axis="x", nbins=3)
        ax.grid(axis="x")


def _rows(ax: Axes, rows: Sequence[np.ndarray | None], colours: Sequence[str]) -> None:
    """Lying boxes, one for each row that has values; few artists, for there are hundreds of boxes."""
    for row in range(0, len(rows), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=FAINT, alpha=0.1, linewidth=0)
    there = [(row, values, colours[row]) for row, values in enumerate(rows) if values is not None and len(values)]
    if not there:
        return
    y = np.array([row for row, _, _ in there], dtype=float)
    shade = [colour for _, _, colour in there]
    stats = [boxplot_stats(values)[0] for _, values, _ in there]
    get = {name: np.array([one[name] for one in stats]) for name in ("q1", "q3", "med", "whislo", "whishi")}
    faces = [(colour, 0.3) for colour in shade]
    ax.barh(y, get["q3"] - get["q1"], 0.66, get["q1"], color=faces, edgecolor=shade, linewidth=0.7)
    ax.hlines(y, get["whislo"], get["q1"], colors=shade, linewidth=0.8)
    ax.hlines(y, get["q3"], get["whishi"], colors=shade, linewidth=0.8)
    ax.vlines(get["med"], y - 0.36, y + 0.36, colors=INK, linewidth=1.1)
    shown = [
        values if len(values) <= MOST_POINTS else one["fliers"]
        for (_, values, _), one in zip(there, stats, strict=True)
    ]
    at = np.repeat(y, [len(values) for values in shown])
    x, gap = np.concatenate(shown), np.full(len(at), np.nan)
    # one path of many strokes: a marker each would make the file ten times as large
    strokes = np.stack([[x, x, gap], [at - 0.2, at + 0.2, gap]]).transpose(0, 2, 1).reshape(2, -1)
    ax.plot(*strokes, color=INK, linewidth=0.5, alpha=0.55)
