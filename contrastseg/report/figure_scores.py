"""Figures of scores: against the number of labels, and patient by patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastseg.evaluation.statistics import per_patient
from contrastseg.report.figure_source import FigureSource
from contrastseg.report.figure_style import FAINT, INK, PAPER, MethodStyle, empty_figure, method_styles
from contrastseg.report.naming import budget_order, budget_title, metric_title, split_reference
from contrastseg.report.settings import FigureSettings
from contrastseg.report.table_model import Material, Place

Pair = tuple[str, str]


def styles_of(frame: pd.DataFrame, material: Material) -> dict[Pair, MethodStyle]:
    """The style of each method and variant of a frame, in drawing order."""
    pairs = list({(str(m), str(v)) for m, v in zip(frame["method"], frame["variant"], strict=True)})
    order = material.method_order([method for method, _ in pairs])
    reference = material.facts.reference
    named = material.facts.methods or order
    styles = method_styles(pairs, named, split_reference(reference)[0] if reference else None)
    return {pair: styles[pair] for pair in sorted(pairs, key=lambda p: (order.index(p[0]), p[1] != "default", p[1]))}


def legend(figure: Figure, styles: dict[Pair, MethodStyle], material: Material, lines: bool = True) -> None:
    """One legend below all panels: line, marker, name and provenance mark of each method."""
    handles = [
        Line2D(
            [],
            [],
            color=style.colour,
            marker=style.marker,
            linestyle=style.line if lines else "none",  # type: ignore[arg-type]
            markerfacecolor=style.colour if style.filled else PAPER,
            label=material.label(*pair).plain,
        )
        for pair, style in styles.items()
    ]
    columns = max(1, min(len(handles), int(figure.get_figwidth() / 1.45)))
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, handlelength=2.8 if lines else 1.2)


def label_ratio(source: FigureSource, settings: FigureSettings) -> Figure:
    """The mean over classes against the label budget, one panel per data set.

    Args:
        source: The summary, and titles, order, provenance.
        settings: The metric and the width.
    """
    material, summary = source.material, source.material.summary
    if len(summary):
        summary = summary[(summary["metric"] == settings.metric) & (summary["class"] == "mean")]
    if not len(summary):
        return empty_figure(settings.width, f"No {settings.metric} was scored.")
    places = material.places(summary)
    columns = min(2, len(places))
    lines = -(-len(places) // columns)
    figure = Figure(figsize=(settings.width, 2.6 * lines + 0.55), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    styles = styles_of(summary, material)
    for ax, (key, part) in zip(axes.flat, places, strict=False):
        budgets = sorted(set(part["labels"].astype(str)), key=budget_order)
        for place, (pair, style) in enumerate(styles.items()):
            rows = part[(part["method"] == pair[0]) & (part["variant"] == pair[1])].set_index("labels")
            there = [budget for budget in budgets if budget in rows.index]
            values = rows.loc[there]
            shift = (place - (len(styles) - 1) / 2) * min(0.06, 0.5 / len(styles))  # or the intervals hide each other
            x = np.array([budgets.index(budget) for budget in there]) + shift
            ax.plot(x, values["mean"], color=style.colour, linestyle=style.line, alpha=0.8, zorder=2)
            below, above = values["mean"] - values["low"], values["high"] - values["mean"]
            ax.errorbar(
                x,
                values["mean"],
                yerr=np.nan_to_num(np.array([below, above])).clip(min=0),
                fmt=style.marker,
                color=style.colour,
                markerfacecolor=style.colour if style.filled else PAPER,
                elinewidth=0.9,
                capsize=1.8,
                capthick=0.9,
                zorder=3,
            )
        titles = [budget_title(budget, material.labelled(key[0], budget)) for budget in budgets]
        ax.set_xticks(range(len(budgets)), [_wrapped(title) for title in titles])
        ax.set_xlim(-0.45, len(budgets) - 0.55)
        ax.set_title(material.block_title(*key))
        ax.set_ylabel(metric_title(settings.metric, str(part["unit"].iloc[0])))
        ax.grid(axis="y")
    for ax in axes.flat[len(places) :]:
        ax.set_visible(False)
    legend(figure, styles, material)
    return figure


def _wrapped(title: str) -> str:
    return title.replace(" (", "\n(")


def box_plots(source: FigureSource, settings: FigureSettings) -> Figure:
    """Box plots by class with every patient as a point, one panel per data set and label budget.

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
    units = {key: str(part["unit"].iloc[0]) for key, part in material.places(scores)}
    panels = [
        (key, labels, part[part["labels"] == labels])
        for key, part in material.places(patients)
        for labels in sorted(set(part["labels"].astype(str)), key=budget_order)
    ]
    most = max(len(set(part["class"])) for _, _, part in panels)
    across = 2 if most <= 2 and len(panels) > 1 else 1
    down = -(-len(panels) // across)
    figure = Figure(figsize=(settings.width, 2.0 * down + 0.5), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    styles = styles_of(patients, material)
    scales: dict[Place, Axes] = {}
    for ax, (key, labels, part) in zip(axes.flat, panels, strict=False):
        ax.sharey(scales.setdefault(key, ax))  # the budgets of one data set on one scale
        known = [str(c) for info in material.infos if info.get("entry") == key[0] for c in info.get("classes", ())]
        present = [name for name in dict.fromkeys(part["class"].astype(str)) if name != "mean"]
        classes = sorted(present, key=lambda name: known.index(name) if name in known else len(known))
        groups = [*classes, "mean"] if len(classes) > 1 else classes
        for place, (pair, style) in enumerate(styles.items()):
            mine = part[(part["method"] == pair[0]) & (part["variant"] == pair[1])]
            for centre, name in enumerate(groups):
                values = mine.loc[mine["class"] == name, "value"].dropna().to_numpy()
                if len(values):
                    width = 0.8 / len(styles)
                    _box(ax, values, centre + (place - (len(styles) - 1) / 2) * width, width, style)
        ax.set_xticks(range(len(groups)), ["mean over classes" if name == "mean" else name for name in groups])
        ax.tick_params(axis="x", length=0)
        ax.set_xlim(-0.5, len(groups) - 0.5)
        for edge in range(1, len(groups)):
            ax.axvline(edge - 0.5, color=FAINT, linewidth=0.5, alpha=0.6)
        count = budget_title(labels, material.labelled(key[0], labels))
        ax.set_title(f"{material.block_title(*key)}{' · ' if across == 1 else chr(10)}{count}")
        ax.set_ylabel(metric_title(settings.metric, units[key]))
        ax.grid(axis="y")
    legend(figure, styles, material, lines=False)
    return figure


def _box(ax: Axes, values: np.ndarray, position: float, width: float, style: MethodStyle) -> None:
    # Spread by rank, not by chance: the picture must not change from run to run.
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    spread = ((order * 0.618034) % 1 - 0.5) * width * 0.55
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
    face = style.colour if style.filled else PAPER
    ax.scatter(
        position + spread,
        values,
        s=7,
        marker=style.marker,
        facecolor=face,
        edgecolor=style.colour,
        linewidth=0.5,
        zorder=3,
    )
