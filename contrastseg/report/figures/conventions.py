"""The figure of ranks under each scoring convention: a line that crosses another is a ranking the convention made."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.report.content.labels import budget_order, budget_title, metric_title
from contrastseg.report.content.report_data import Material
from contrastseg.report.figures._layout import Pair
from contrastseg.report.figures._legend import styles_of
from contrastseg.report.figures._panels import named_rows, panels, with_room
from contrastseg.report.figures._style import MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL, distinct, fitted, width_of
from contrastseg.report.figures.kind import FigureSource
from contrastseg.report.settings import FigureSettings

_RANK, _NAME = 0.25, 1.0  # inches: right of a panel for the ranks, the longest name of a convention


def convention_ranks_figure(source: FigureSource, settings: FigureSettings) -> Figure:
    """Ranks of the methods from convention to convention, one panel per data set and label budget, rank 1 on top.

    Args:
        source: Ranks of `evaluation.statistics.convention_ranks` among its frames; titles, order, provenance.
        settings: The metric and the width.
    """
    ranks, material = source.frames.get("conventions", pd.DataFrame()), source.material
    if len(ranks):
        ranks = ranks[ranks["metric"] == settings.metric]
    if not len(ranks):
        return empty_figure(settings.width, f"No {settings.metric} was scored under several conventions.")
    ranks, said = with_room(ranks, material, settings)
    found = [
        (key, labels, part[part["labels"] == labels])
        for key, part in material.places(ranks)
        for labels in sorted(set(part["labels"].astype(str)), key=budget_order)
    ]
    styles = styles_of(ranks, material)
    conventions = list(dict.fromkeys(ranks["convention"].astype(str)))
    sloped = max(width_of(name, SMALL) for name in conventions)
    rows = [len(part[["method", "variant"]].drop_duplicates()) for *_, part in found]
    drawn = panels(settings.width, rows, _RANK, 0.22 + 0.5 * min(sloped, _NAME), said)
    for ax, (key, labels, part) in zip(drawn.axes, found, strict=True):
        _lines(ax, part, styles, material)
        budget = f"{metric_title(settings.metric)} · {budget_title(labels, material.labelled(key[0], labels))}"
        lines = (material.block_title(*key), budget)
        drawn.title(ax, "\n".join(fitted(line, drawn.title_width, 8.5, True) for line in lines))
    return drawn.sheet.figure


def _lines(ax: Axes, part: pd.DataFrame, styles: dict[Pair, MethodStyle], material: Material) -> None:
    """A line for each method, its name where it starts, its last rank where it ends."""
    conventions = list(dict.fromkeys(part["convention"].astype(str)))
    lines = {
        pair: rows.set_index("convention")["rank"].reindex(conventions).to_numpy(dtype=float)
        for pair in styles
        if len(rows := part[(part["method"] == pair[0]) & (part["variant"] == pair[1])])
    }
    order = sorted(lines, key=lambda pair: (np.isnan(lines[pair][0]), lines[pair][0]))
    ranked = [not np.isnan(lines[pair]).all() for pair in order]
    named_rows(ax, order, material, [str(place + 1) if there else "–" for place, there in enumerate(ranked)])
    shifts = _apart(np.array([lines[pair] for pair in order]))
    for pair, shift in zip(order, shifts, strict=True):
        style = styles[pair]
        ranks = lines[pair] - 1 + shift
        if np.isnan(ranks).all():
            ax.text(0, order.index(pair), "not ranked", va="center", fontsize=SMALL)
        ax.plot(range(len(conventions)), ranks, linestyle=style.line, clip_on=False, **style.point)
    names = distinct(conventions, _NAME, SMALL)
    ax.set_xticks(range(len(conventions)), names, fontsize=SMALL, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.25, len(conventions) - 0.75)


def _apart(lines: np.ndarray) -> np.ndarray:
    """Shifts (M, C) that set methods of one rank side by side, so that a tie hides nobody."""
    shifts = np.zeros_like(lines)
    for column in range(lines.shape[1]):
        for rank in np.unique(lines[:, column][~np.isnan(lines[:, column])]):
            tied = np.flatnonzero(lines[:, column] == rank)
            shifts[tied, column] = (np.arange(len(tied)) - (len(tied) - 1) / 2) * 0.5 / max(2, len(tied))
    return shifts
