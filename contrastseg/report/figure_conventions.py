"""The figure of ranks under each scoring convention: a line that crosses another is a ranking the convention made."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from contrastseg.report.figure_scores import legend, styles_of
from contrastseg.report.figure_source import FigureSource
from contrastseg.report.figure_style import empty_figure
from contrastseg.report.naming import budget_order, budget_title, metric_title
from contrastseg.report.settings import FigureSettings


def convention_ranks_figure(source: FigureSource, settings: FigureSettings) -> Figure:
    """Ranks of the methods from convention to convention, one panel per data set and label budget, rank 1 on top.

    Args:
        source: Ranks of `evaluation.convention_ranks` among its frames; titles, order, provenance.
        settings: The metric and the width.
    """
    ranks, material = source.frames.get("conventions", pd.DataFrame()), source.material
    if len(ranks):
        ranks = ranks[ranks["metric"] == settings.metric]
    if not len(ranks):
        return empty_figure(settings.width, f"No {settings.metric} was scored under several conventions.")
    panels = [
        (key, labels, part[part["labels"] == labels])
        for key, part in material.places(ranks)
        for labels in sorted(set(part["labels"].astype(str)), key=budget_order)
    ]
    styles = styles_of(ranks, material)
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    height = 0.95 + 0.21 * max(3, len(styles))
    figure = Figure(figsize=(settings.width, height * down + 0.5), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (key, labels, part) in zip(axes.flat, panels, strict=False):
        conventions = list(dict.fromkeys(part["convention"].astype(str)))
        present = [
            (pair, rows.set_index("convention")["rank"].reindex(conventions).to_numpy(dtype=float))
            for pair in styles
            if len(rows := part[(part["method"] == pair[0]) & (part["variant"] == pair[1])])
        ]
        shifts = _apart(np.array([line for _, line in present]))
        for (pair, line), shift in zip(present, shifts, strict=True):
            style = styles[pair]
            ax.plot(
                range(len(conventions)),
                line + shift,
                linestyle=style.line,
                clip_on=False,
                **style.point,
            )
        ax.set_xticks(range(len(conventions)), conventions, rotation=25, ha="right", rotation_mode="anchor")
        ax.set_xlim(-0.25, len(conventions) - 0.75)
        ax.set_yticks(range(1, len(present) + 1))
        ax.set_ylim(len(present) + 0.5, 0.5)
        ax.set_ylabel("rank")
        budget = budget_title(labels, material.labelled(key[0], labels))
        ax.set_title(f"{material.block_title(*key)}\n{metric_title(settings.metric)} · {budget}")
        ax.grid(axis="x")
    legend(figure, styles, material)
    return figure


def _apart(lines: np.ndarray) -> np.ndarray:
    """Shifts (M, C) that set methods of one rank side by side, so that a tie hides nobody."""
    shifts = np.zeros_like(lines)
    for column in range(lines.shape[1]):
        for rank in np.unique(lines[:, column][~np.isnan(lines[:, column])]):
            tied = np.flatnonzero(lines[:, column] == rank)
            shifts[tied, column] = (np.arange(len(tied)) - (len(tied) - 1) / 2) * 0.5 / max(2, len(tied))
    return shifts
