"""The figures of a paper, as SVG and PNG: score against labels, box plots, learning curves, overlays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from contrastseg.files import atomic_path
from contrastseg.report.facts import Facts
from contrastseg.report.figure_conventions import convention_ranks_figure
from contrastseg.report.figure_curves import learning_curves
from contrastseg.report.figure_overlays import overlay_grid
from contrastseg.report.figure_scores import box_plots, label_ratio
from contrastseg.report.figure_style import drawing
from contrastseg.report.overlays import Overlay
from contrastseg.report.settings import FigureSettings
from contrastseg.report.table_model import Material, keep

CAPTIONS = {
    "label_ratio": "Mean over patients (and classes) against the number of labels, with the intervals of the tables; "
    "methods are set side by side so that their intervals do not hide each other.",
    "box": "Every patient (points, the mean over frames, seeds and draws) by class: median, quartiles, whiskers to "
    "the farthest patient within 1.5 interquartile ranges.",
    "learning_curves": "Training logs, smoothed (running mean over a twentieth of the run); thin lines are single "
    "runs, thick ones their mean. Losses of different methods have different terms and are not comparable.",
    "overlays": "Worst, median and best test case of each method by mean Dice over classes, of its first run (lowest "
    "draw, fold and seed). Of volumes the slice with the largest reference area. "
    "Cropped to all that is reference or prediction. Line: reference.",
    "conventions": "Rank of each method by its mean, the same predictions scored under each convention: where lines "
    "cross, the convention alone made the difference. Ties are set apart; methods with missing predictions have none.",
}


def make_figures(
    scores: pd.DataFrame,
    summary: pd.DataFrame,
    cards: Sequence[Mapping[str, Any]],
    logs: Mapping[str, pd.DataFrame],
    overlays: Mapping[str, Sequence[Overlay]],
    settings: Sequence[FigureSettings],
    folder: str | Path,
    infos: Sequence[Mapping[str, Any]] = (),
    facts: Facts | None = None,
    conventions: pd.DataFrame | None = None,
) -> list[Path]:
    """Write `<name>.svg` and `<name>.png` of every figure into `folder`; the same input gives the same bytes.

    Args:
        scores: The collected scores, one row per case, class and metric.
        summary: What the tables are made from.
        cards: The `run.json` of the runs.
        logs: `log.csv` of each run, by `run_key`.
        overlays: What `overlays.load_overlays` picked, by the figure's name.
        settings: The figures wanted.
        folder: Where the files go.
        infos: The `dataset.json` of the entries, for titles and the order of classes.
        facts: The suite's order of methods and its reference.
        conventions: Ranks by convention (`evaluation.convention_ranks`), where a suite scores by several.

    Returns:
        The files written.
    """
    empty = pd.DataFrame()
    ranks = empty if conventions is None else conventions
    material = Material(summary, empty, cards, infos, (), facts or Facts("suite"), ranks)
    written = []
    for one in settings:
        base = Path(folder) / one.name
        svg, png = base.with_name(f"{base.name}.svg"), base.with_name(f"{base.name}.png")
        with drawing():
            figure = _draw(one, material, scores, logs, overlays.get(one.name, ()))
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, the same in both files
            with atomic_path(svg) as temporary:
                figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
            with atomic_path(png) as temporary:
                figure.savefig(temporary, format="png", dpi=one.dpi, metadata={"Software": None})
        written += [svg, png]
    return written


def _draw(
    settings: FigureSettings,
    material: Material,
    scores: pd.DataFrame,
    logs: Mapping[str, pd.DataFrame],
    overlays: Sequence[Overlay],
) -> Figure:
    match settings.kind:
        case "label_ratio":
            return label_ratio(_chosen(material.summary, settings), material, settings)
        case "box":
            return box_plots(_chosen(scores, settings), material, settings)
        case "conventions":
            return convention_ranks_figure(_chosen(material.conventions, settings), material, settings)
        case "learning_curves":
            return learning_curves(logs, material, settings)
        case "overlays":
            return overlay_grid(overlays, material, settings)


def _chosen(frame: pd.DataFrame, settings: FigureSettings) -> pd.DataFrame:
    return keep(
        frame,
        {
            "dataset": settings.datasets,
            "method": settings.methods,
            "labels": settings.labels,
            "checkpoint": settings.checkpoints,
        },
    )
