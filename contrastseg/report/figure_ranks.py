"""Figures of rankings: how stable one is over patients, and which methods several data sets tell apart."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from contrastseg.evaluation.contests import Contest
from contrastseg.evaluation.critical import FEWEST, Diagram, diagram_power, diagrams, groups
from contrastseg.evaluation.ranking import Ranking, rankings
from contrastseg.report.figure_contests import panels, place_order, place_title
from contrastseg.report.figure_scores import styles_of
from contrastseg.report.figure_source import FigureSource
from contrastseg.report.figure_style import FAINT, INK, MethodStyle, empty_figure
from contrastseg.report.naming import budget_order, budget_title, metric_title, p_value
from contrastseg.report.settings import FigureSettings
from contrastseg.report.table_model import Material

Styles = dict[tuple[str, str], MethodStyle]


def rank_stability(source: FigureSource, settings: FigureSettings) -> Figure:
    """How often each method has each rank when patients are resampled, one panel per data set and label budget.

    Args:
        source: The collected scores; titles, order and the level of the tests.
        settings: The metric and the width.
    """
    scores, material = source.scores, source.material
    found = list(rankings(scores, [settings.metric])) if len(scores) else []
    if not found:
        return empty_figure(settings.width, f"No two methods have {settings.metric} on two patients in common.")
    styles = styles_of(scores, material)
    figure, axes = panels(settings.width, len(found), max(len(contest.methods) for contest, _ in found))
    found.sort(key=lambda item: place_order(item[0].place, material))
    for ax, (contest, ranking) in zip(axes, found, strict=True):
        _blobs(ax, contest, ranking, styles, material)
        known = ranking.tau[~np.isnan(ranking.tau)]
        agreement = f", Kendall τ {known.mean():.2f}" if known.size else ""
        ax.set_title(place_title(contest.place, material))
        ax.set_xlabel(f"rank by mean {metric_title(settings.metric)} (n = {ranking.patients}{agreement})")
    return figure


def _blobs(ax: Axes, contest: Contest, ranking: Ranking, styles: Styles, material: Material) -> None:
    order = np.argsort(ranking.ranks, kind="stable")
    low, high = np.quantile(ranking.resampled, [0.025, 0.975], axis=0, method="nearest")
    columns = np.arange(1, len(order) + 1)
    for y, method in enumerate(order):
        style = styles[contest.methods[method]]
        ax.plot([low[method], high[method]], [y, y], color=FAINT, linewidth=0.9, zorder=1)
        sizes = 110 * ranking.shares[method]
        ax.scatter(columns, np.full(len(columns), y), s=sizes, color=style.colour, alpha=0.8, linewidth=0, zorder=2)
        ax.plot(ranking.ranks[method], y, marker="x", color=INK, markersize=4.5, zorder=3)
    firsts = [f"first {100 * ranking.first[method]:.0f} %" for method in order]
    _named_rows(ax, [contest.methods[method] for method in order], material, firsts)
    ax.set_xlim(0.4, len(order) + 0.6)
    ax.set_xticks(columns)
    ax.grid(axis="x")


def critical_diagram(source: FigureSource, settings: FigureSettings) -> Figure:
    """Mean ranks over data sets, joined by bars where they are closer than the critical difference, by label budget.

    Args:
        source: The collected scores; titles, order and the level of the tests.
        settings: The metric and the width.
    """
    scores, material = source.scores, source.material
    found = diagrams(scores, [settings.metric], material.facts.alpha) if len(scores) else []
    if not found:
        text = f"No {FEWEST} methods have {settings.metric} on the same {FEWEST} data sets: no critical difference."
        return empty_figure(settings.width, text)
    styles = styles_of(scores, material)
    found.sort(key=lambda diagram: (diagram.checkpoint, budget_order(diagram.labels)))
    figure, axes = panels(settings.width, len(found), max(len(diagram.methods) for diagram in found) + 2)
    for ax, diagram in zip(axes, found, strict=True):
        _ranks(ax, diagram, styles, material)
        power = 100 * diagram_power(len(diagram.datasets), len(diagram.methods), material.facts.alpha)
        hopeless = "nothing can be told apart" if diagram.critical.hopeless else f"power at 1 SD {power:.0f} %"
        over = f"over {len(diagram.datasets)} data sets\n({hopeless})"
        ax.set_xlabel(f"mean rank by {metric_title(settings.metric)} {over}")
    return figure


def _ranks(ax: Axes, diagram: Diagram, styles: Styles, material: Material) -> None:
    found, count = diagram.critical, len(diagram.methods)
    order = np.argsort(found.ranks, kind="stable")
    rows = {int(method): y for y, method in enumerate(order)}
    for method, y in rows.items():
        style = styles[diagram.methods[method]]
        ax.plot(found.ranks[method], y, **style.point, zorder=3)
    for place, bar in enumerate(groups(found)):
        x = count + 0.45 + 0.05 * count * place
        ax.plot([x, x], [rows[int(bar[0])] - 0.25, rows[int(bar[-1])] + 0.25], color=INK, linewidth=2.2, clip_on=False)
    ax.plot([1, 1 + found.difference], [-1, -1], color=INK, linewidth=1.2, marker="|", markersize=5, clip_on=False)
    ax.text(1, -1.25, f"critical difference {found.difference:.2f} of at most {count - 1}", fontsize=6.5, va="bottom")
    _named_rows(ax, [diagram.methods[method] for method in order], material, [f"{found.ranks[m]:.2f}" for m in order])
    ax.set_xlim(0.6, count + 0.6 + 0.05 * count * len(groups(found)))
    ax.set_xticks(range(1, count + 1))
    ax.set_ylim(count - 0.4, -2.1)
    ax.grid(axis="x")
    checkpoint = "" if diagram.checkpoint == "last" else f" · checkpoint {diagram.checkpoint}"
    ax.set_title(f"{budget_title(diagram.labels)}{checkpoint} · Friedman p {p_value(found.p)}")


def _named_rows(ax: Axes, methods: list[tuple[str, str]], material: Material, right: list[str]) -> None:
    """Names at the left, a number for each at the right, best on top."""
    ax.set_yticks(range(len(methods)), [material.label(*pair).plain for pair in methods], fontsize=6.5)
    ax.set_ylim(len(methods) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for y, text in enumerate(right):
        ax.annotate(
            text,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            annotation_clip=False,
        )
