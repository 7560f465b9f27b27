"""Counts of missed structures and false positives, which a mean of scores hides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from contrastseg.report.content.labels import Pair, budget_order, budget_short
from contrastseg.report.figures import wording
from contrastseg.report.figures._layout import CROWD, NAMES
from contrastseg.report.figures._legend import styles_of
from contrastseg.report.figures._style import ERRORS, FAINT, INK, empty_figure
from contrastseg.report.figures._text import SMALL, distinct, fitted
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.small_multiples import Margins, place_panels, placed_frames
from contrastseg.report.settings import FigureSettings

_ACROSS, _TOP, _FOOT = 5, 0.52, 0.36
MISSED, FALSE_POSITIVE = ERRORS["missed"][0], ERRORS["false positive"][0]


def outcomes(source: FigureSource, settings: FigureSettings) -> Figure:
    """Missed structures to the left, false positives to the right; a row per method, a bar per budget.

    Args:
        source: The summary, and titles, order, provenance.
        settings: The metric whose rows are counted, and the width.
    """
    data, summary = source.data, source.data.summary
    if len(summary):
        summary = summary[(summary["metric"] == settings.metric) & (summary["class"] == "mean")]
    if not len(summary):
        return empty_figure(settings.width, wording.not_scored(settings.metric))
    panels = place_panels(summary, data)
    styles = styles_of(summary, data)
    across = -(-len(panels) // -(-len(panels) // _ACROSS))
    budgets = max(panel.rows["labels"].nunique() for panel in panels)
    row = max(0.16, (0.1 if len(styles) <= CROWD else 0.06) * budgets + 0.06)
    margins = Margins(names=NAMES, edge=0.05, right=0.16, head=_TOP, foot=_FOOT, below=0.3)
    heights = [row * len(styles)] * len(panels)
    sheet, spots = placed_frames(heights, width=settings.width, across=across, margins=margins)
    room = (settings.width - NAMES - 0.05) / across - 0.1
    names = distinct([data.label(*pair).plain for pair in styles], NAMES - 0.3, SMALL)
    for panel, spot in zip(panels, spots, strict=True):
        if not spot.column:
            for line, (name, style) in enumerate(zip(names, styles.values(), strict=True)):
                sheet.key(0.1, spot.top + (line + 0.5) * row, style, 4.5)
                sheet.text(0.2, spot.top + (line + 0.5) * row, name, va="center")
        sheet.text(
            spot.left, spot.top - 0.16, fitted(panel.title, room, SMALL, True, 2), va="bottom", fontweight="bold"
        )
        sheet.text(spot.left, spot.top - 0.04, fitted(_sizes(panel.rows), room, SMALL), va="bottom")
        _panel(spot.ax, panel.rows, list(styles))
    handles = [
        Patch(facecolor=MISSED, edgecolor=INK, linewidth=0.5, label=wording.MISSED_LEFT),
        Patch(facecolor=FALSE_POSITIVE, edgecolor=INK, linewidth=0.5, label=wording.FALSE_POSITIVES_RIGHT),
    ]
    labels = [budget_short(name) for name in sorted(set(summary["labels"].astype(str)), key=budget_order)]
    title = wording.outcome_bars(labels)
    sheet.figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0), ncols=2, fontsize=7.5)
    sheet.text(settings.width - 0.06, sheet.height - 0.1, fitted(title, 4.6, SMALL), ha="right", va="bottom")
    return sheet.figure


def _sizes(rows: pd.DataFrame) -> str:
    """How many structures a bar is out of."""
    total = rows[["scored", "missed", "invented"]].sum(axis=1)
    low, high = int(total.min()), int(total.max())
    return f"of {low}" if low == high else f"of {low}–{high}"


def _panel(ax: Axes, rows: pd.DataFrame, pairs: list[Pair]) -> None:
    budgets = sorted(set(rows["labels"].astype(str)), key=budget_order)
    step = 0.84 / len(budgets)
    place = {
        (*pair, labels): row - 0.42 + (at + 0.5) * step
        for row, pair in enumerate(pairs)
        for at, labels in enumerate(budgets)
    }
    keys = list(zip(rows["method"].astype(str), rows["variant"].astype(str), rows["labels"].astype(str), strict=True))
    y = np.array([place[key] for key in keys])
    missed, false_positives = (rows[name].to_numpy(dtype=float) for name in ("missed", "invented"))
    reach: dict[str, Any] = {"height": step * 0.86, "edgecolor": INK, "linewidth": 0.3}
    for row in range(0, len(pairs), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=FAINT, alpha=0.12, linewidth=0)
    ax.barh(y, -missed, color=MISSED, **reach)
    ax.barh(y, false_positives, color=FALSE_POSITIVE, **reach)
    ax.axvline(0, color=INK, linewidth=0.6)
    most = max(1.0, missed.max(), false_positives.max())
    ran = {key[:2] for key in keys}
    for row, pair in enumerate(pairs):
        if pair not in ran:
            ax.text(0, row, "not run  ", ha="right", va="center_baseline", fontsize=SMALL)
    for key in place.keys() - keys:
        if key[:2] in ran:
            ax.text(0, place[key], " –", va="center_baseline", fontsize=SMALL)
    if not missed.any() and not false_positives.any():
        middle: dict[str, Any] = {"transform": ax.transAxes, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, wording.NONE_TO_COUNT, fontsize=SMALL, **middle)
    left, right = (max(float(values.max()), 0.12 * most) for values in (missed, false_positives))
    left = max(left, 1.0 if most <= 1 else 0.0)
    ax.set_xlim(-1.12 * left, 1.12 * right)
    ax.set_ylim(len(pairs) - 0.5, -0.5)
    ax.set_yticks([])
    ax.locator_params(axis="x", nbins=4, integer=True)
    ax.xaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    ax.tick_params(labelsize=SMALL, length=2, pad=1.5)
    ax.grid(axis="x")


KIND = FigureKind(wording.OUTCOMES_CAPTION, outcomes)
