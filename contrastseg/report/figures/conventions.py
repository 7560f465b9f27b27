"""The figure of ranks under each scoring convention: a line that crosses another is a ranking the convention made."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.report.content.labels import Pair, budget_title, metric_title
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures import wording
from contrastseg.report.figures._legend import styles_of
from contrastseg.report.figures._panels import named_rows, panels, with_room
from contrastseg.report.figures._style import MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL, distinct, fitted, width_of
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.small_multiples import budget_panels
from contrastseg.report.settings import FigureSettings

_RANK, _NAME = 0.25, 1.0  # inches: right of a panel for the ranks, the longest name of a convention


def convention_ranks_figure(source: FigureSource, settings: FigureSettings) -> Figure:
    """Ranks of the methods from convention to convention, one panel per data set and label budget, rank 1 on top.

    Args:
        source: Ranks of `evaluation.statistics.convention_ranks` among its frames; titles, order, provenance.
        settings: The metric and the width.
    """
    ranks, data = source.data.conventions, source.data
    if len(ranks):
        ranks = ranks[ranks["metric"] == settings.metric]
    if not len(ranks):
        return empty_figure(settings.width, wording.not_scored_by_conventions(settings.metric))
    ranks, left_out = with_room(ranks, data, settings)
    wanted = budget_panels(ranks, data)
    styles = styles_of(ranks, data)
    conventions = list(dict.fromkeys(ranks["convention"].astype(str)))
    sloped = max(width_of(name, SMALL) for name in conventions)
    rows = [len(panel.rows[["method", "variant"]].drop_duplicates()) for panel in wanted]
    drawn = panels(settings.width, rows, _RANK, 0.22 + 0.5 * min(sloped, _NAME), left_out)
    for ax, panel in zip(drawn.axes, wanted, strict=True):
        _lines(ax, panel.rows, styles, data)
        budget = budget_title(panel.labels, data.labelled(panel.place[0], panel.labels))
        lines = (data.block_title(*panel.place), f"{metric_title(settings.metric)} · {budget}")
        drawn.title(ax, "\n".join(fitted(line, drawn.title_width, 8.5, True) for line in lines))
    return drawn.sheet.figure


def _lines(ax: Axes, of_panel: pd.DataFrame, styles: dict[Pair, MethodStyle], data: ReportData) -> None:
    """A line for each method, its name where it starts, its last rank where it ends."""
    conventions = list(dict.fromkeys(of_panel["convention"].astype(str)))
    lines = {
        pair: rows.set_index("convention")["rank"].reindex(conventions).to_numpy(dtype=float)
        for pair in styles
        if len(rows := of_panel[(of_panel["method"] == pair[0]) & (of_panel["variant"] == pair[1])])
    }
    order = sorted(lines, key=lambda pair: (np.isnan(lines[pair][0]), lines[pair][0]))
    ranked = [not np.isnan(lines[pair]).all() for pair in order]
    named_rows(ax, order, data, [str(place + 1) if is_ranked else "–" for place, is_ranked in enumerate(ranked)])
    shifts = _side_by_side(np.array([lines[pair] for pair in order]))
    for pair, shift in zip(order, shifts, strict=True):
        style = styles[pair]
        ranks = lines[pair] - 1 + shift
        if np.isnan(ranks).all():
            ax.text(0, order.index(pair), "not ranked", va="center", fontsize=SMALL)
        ax.plot(range(len(conventions)), ranks, linestyle=style.line, clip_on=False, **style.point)
    names = distinct(conventions, _NAME, SMALL)
    ax.set_xticks(range(len(conventions)), names, fontsize=SMALL, rotation=30, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.25, len(conventions) - 0.75)


def _side_by_side(lines: np.ndarray) -> np.ndarray:
    """Shifts (M, C) that set methods of one rank side by side, so that a tie hides nobody."""
    shifts = np.zeros_like(lines)
    for column in range(lines.shape[1]):
        for rank in np.unique(lines[:, column][~np.isnan(lines[:, column])]):
            tied = np.flatnonzero(lines[:, column] == rank)
            shifts[tied, column] = (np.arange(len(tied)) - (len(tied) - 1) / 2) * 0.5 / max(2, len(tied))
    return shifts


KIND = FigureKind(wording.CONVENTIONS_CAPTION, convention_ranks_figure, reads=("conventions",))
