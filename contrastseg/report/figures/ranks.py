"""Figures of rankings: how stable one is over patients, and which methods differ significantly over data sets."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.evaluation.metrics.catalogue import resolve_metrics
from contrastseg.evaluation.statistics.critical import FEWEST, Diagram, diagram_power, diagrams, groups
from contrastseg.evaluation.statistics.ranking import Ranking, rankings
from contrastseg.evaluation.statistics.score_matrix import ScoreMatrix
from contrastseg.report.content.labels import Pair, budget_order, budget_title, metric_title, p_value
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures import wording
from contrastseg.report.figures._legend import styles_of
from contrastseg.report.figures._panels import (
    ROW,
    Panels,
    named_rows,
    panels,
    place_order,
    place_title,
    share_text,
    with_room,
)
from contrastseg.report.figures._style import FAINT, INK, MethodStyle, empty_figure
from contrastseg.report.figures._text import SMALL, fitted
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.settings import FigureSettings

_TICKS = 10  # ranks that are numbered below a panel
_FIRSTS, _RANKS, _BAR = 0.72, 0.42, 0.07  # inches right of a frame: how often first; a mean rank; each bar


def rank_stability(source: FigureSource, settings: FigureSettings) -> Figure:
    """How often each method has each rank when patients are resampled, one panel per data set and label budget.

    Args:
        source: The collected scores; titles, order and the level of the tests.
        settings: The metric and the width.
    """
    scores, data = source.data.scores, source.data
    of_metric = scores[scores["metric"].isin(resolve_metrics([settings.metric]))]
    scores, budgets_left_out = with_room(of_metric, data, settings)
    counted = data.suite.empty_reference
    ranked = list(rankings(scores, [settings.metric], empty_reference=counted)) if len(scores) else []
    if not ranked:
        return empty_figure(settings.width, wording.no_common_patients(settings.metric))
    styles = styles_of(scores, data)
    ranked.sort(key=lambda item: place_order(item[0].place, data))
    unranked = data.pair_order({pair for matrix, _ in ranked for pair in matrix.unranked})
    footnotes = (budgets_left_out, wording.not_ranked([data.label(*pair).plain for pair in unranked]))
    rows = [len(matrix.ranked) for matrix, _ in ranked]
    drawn = panels(settings.width, rows, _FIRSTS, 0.5, " ".join(filter(None, footnotes)))
    for ax, (matrix, ranking) in zip(drawn.axes, ranked, strict=True):
        _blobs(ax, matrix, ranking, styles, drawn)
        order = np.argsort(ranking.ranks, kind="stable")
        firsts = [f"first {share_text(ranking.first[method])}" for method in order]
        named_rows(ax, [matrix.ranked[method] for method in order], data, firsts)
        known = ranking.tau[~np.isnan(ranking.tau)]
        agreement = f", Kendall τ {known.mean():.2f}" if known.size else ""
        drawn.title(ax, place_title(matrix.place, data, drawn.title_width))
        drawn.below(ax, f"rank by mean {metric_title(settings.metric)} (n = {ranking.patients}{agreement})")
    return drawn.sheet.figure


def _blobs(ax: Axes, matrix: ScoreMatrix, ranking: Ranking, styles: dict[Pair, MethodStyle], drawn: Panels) -> None:
    order = np.argsort(ranking.ranks, kind="stable")
    low, high = np.quantile(ranking.resampled, [0.025, 0.975], axis=0, method="nearest")
    columns = np.arange(1, len(order) + 1)
    wide = ax.get_position().width * drawn.sheet.width
    pitch = 72 * wide / len(order)  # points
    for y, method in enumerate(order):
        style = styles[matrix.ranked[method]]
        ax.plot([low[method], high[method]], [y, y], color=FAINT, linewidth=0.9, zorder=1)
        sizes = (0.95 * 72 * ROW) ** 2 * ranking.shares[method]
        ax.scatter(columns, np.full(len(columns), y), s=sizes, color=style.colour, alpha=0.7, linewidth=0, zorder=2)
        ax.plot(ranking.ranks[method], y, marker="x", color=INK, markersize=min(4.5, 0.55 * pitch), zorder=3)
    radius = 0.95 * ROW / 2 + 0.01  # inches: the largest area stands whole inside the frame at the first and last rank
    margin = max(0.6, radius * (len(order) - 1) / (wide - 2 * radius))
    ax.set_xlim(1 - margin, len(order) + margin)
    ax.set_xticks(_numbered(len(order)))


def _numbered(count: int) -> list[int]:
    """Ranks to number: all, or of many the first, every fifth and the last."""
    if count <= _TICKS:
        return list(range(1, count + 1))
    return [1, *(rank for rank in range(5, count, 5) if count - rank > 2), count]


def critical_diagram(source: FigureSource, settings: FigureSettings) -> Figure:
    """Mean ranks over data sets, joined by bars where they are closer than the critical difference, by label budget.

    Args:
        source: The collected scores; titles, order and the level of the tests.
        settings: The metric and the width.
    """
    scores, data = source.data.scores, source.data
    suite = data.suite
    drawable = diagrams(scores, [settings.metric], suite.alpha, suite.empty_reference) if len(scores) else []
    if not drawable:
        return empty_figure(settings.width, wording.no_critical_difference(settings.metric, FEWEST))
    styles = styles_of(scores, data)
    drawable.sort(key=lambda diagram: (diagram.checkpoint, budget_order(diagram.labels)))
    bars = max(len(groups(diagram.critical)) for diagram in drawable)
    rows = [len(diagram.methods) + 2 for diagram in drawable]  # two for the critical difference
    left_out = data.pair_order({pair for diagram in drawable for pair in diagram.left_out})
    footnote = wording.left_out_of_diagram([data.label(*pair).plain for pair in left_out])
    drawn = panels(settings.width, rows, _RANKS + bars * _BAR, 0.5, footnote)
    for ax, diagram in zip(drawn.axes, drawable, strict=True):
        _ranks(ax, diagram, styles, data, drawn)
        datasets = len(diagram.datasets)
        cannot_reject = diagram.critical.cannot_reject
        power = None if cannot_reject else diagram_power(datasets, len(diagram.methods), suite.alpha)
        drawn.below(ax, wording.diagram_axis(metric_title(settings.metric), datasets, power))
        checkpoint = "" if diagram.checkpoint == "last" else f" · checkpoint {diagram.checkpoint}"
        title = f"{budget_title(diagram.labels)}{checkpoint} · Friedman p {p_value(diagram.critical.p, suite.alpha)}"
        drawn.title(ax, fitted(title, drawn.title_width, 8.5, True, 2))
    return drawn.sheet.figure


def _ranks(ax: Axes, diagram: Diagram, styles: dict[Pair, MethodStyle], data: ReportData, drawn: Panels) -> None:
    critical, count = diagram.critical, len(diagram.methods)
    order = np.argsort(critical.ranks, kind="stable")
    rows = {int(method): y for y, method in enumerate(order)}
    for method, y in rows.items():
        style = styles[diagram.methods[method]]
        ax.plot(critical.ranks[method], y, **style.point, zorder=3)
    named_rows(ax, [diagram.methods[method] for method in order], data, [f"{critical.ranks[m]:.2f}" for m in order])
    wide = ax.get_position().width * drawn.sheet.width
    for place, bar in enumerate(groups(critical)):
        x = 1 + (_RANKS + _BAR * place) / wide
        ends = rows[int(bar[0])] - 0.25, rows[int(bar[-1])] + 0.25
        ax.plot([x, x], ends, color=INK, linewidth=2.2, clip_on=False, transform=ax.get_yaxis_transform())
    ax.set_xlim(0.6, count + 0.4)
    ax.set_xticks(_numbered(count))
    ax.set_ylim(count - 0.5, -2.5)
    # A difference that no two ranks can reach runs out of the frame, without an end.
    reach = min(1 + critical.difference, count + 0.4)
    ax.plot([1, reach], [-0.9, -0.9], color=INK, linewidth=1.2)
    marks = [1, reach] if reach == 1 + critical.difference else [1]
    ax.plot(marks, [-0.9] * len(marks), color=INK, marker="|", markersize=5, linestyle="none")
    words = f"critical difference {critical.difference:.2f} of at most {count - 1}"
    ax.text(1, -1.25, fitted(words, wide + drawn.right - 0.1, SMALL), fontsize=SMALL, va="bottom")


RANK_STABILITY = FigureKind(wording.RANK_STABILITY_CAPTION, rank_stability)
CRITICAL_DIFFERENCE = FigureKind(wording.CRITICAL_DIFFERENCE_CAPTION, critical_diagram)
