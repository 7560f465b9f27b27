"""The figures of a paper, as SVG, PDF and PNG. A new kind: a file, a line in `KINDS`, its name in `settings`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from contrastseg.files import atomic_path
from contrastseg.report.content.report_data import Material
from contrastseg.report.content.suite_info import Facts
from contrastseg.report.figures._fonts import FAMILY, families, say_what_is_missing
from contrastseg.report.figures._style import drawing
from contrastseg.report.figures.box import box_plots
from contrastseg.report.figures.conventions import convention_ranks_figure
from contrastseg.report.figures.cost import cost_scores
from contrastseg.report.figures.curves import learning_curves
from contrastseg.report.figures.kind import FigureSource, Kind
from contrastseg.report.figures.label_ratio import label_ratio
from contrastseg.report.figures.outcomes import outcomes
from contrastseg.report.figures.overlay_cases import Overlay
from contrastseg.report.figures.overlays import overlay_grid
from contrastseg.report.figures.ranks import critical_diagram, rank_stability
from contrastseg.report.figures.significance import significance_map
from contrastseg.report.settings import FigureSettings

KINDS: dict[str, Kind] = {
    "label_ratio": Kind(
        label_ratio,
        "Mean over patients (and classes) against the number of labels, with the intervals of the tables; "
        "methods are set side by side so that their intervals do not hide each other. More than eight methods have a "
        "cell each, with the reference's line in grey.",
    ),
    "box": Kind(
        box_plots,
        "Patients (points, the mean over frames, seeds and draws; of more than 100 only those beyond the whiskers) by "
        "class: median, quartiles, whiskers to the farthest patient within 1.5 interquartile ranges.",
    ),
    "outcomes": Kind(
        outcomes,
        "Structures that were there and not found (missed, left) and found where none was (invented, right), counted "
        "over all cases, classes and runs. What a convention makes of them decides many a ranking.",
    ),
    "significance": Kind(
        significance_map,
        "Every pair of methods: two-sided paired Wilcoxon signed-rank tests per patient, Holm-corrected over the pairs "
        "of each map, a family of its own. Methods that were not run at a budget are struck out.",
    ),
    "rank_stability": Kind(
        rank_stability,
        "Ranks by the mean over patients (crosses) and over resampled patients (area: how often; line: 95 %). Trained "
        "models are not resampled: other seeds may change more.",
    ),
    "critical_difference": Kind(
        critical_diagram,
        "Mean ranks over data sets; bars join methods that Nemenyi's test does not tell apart. Few data sets tell "
        "little apart, as the power in each title says: no finding is not equality.",
    ),
    "conventions": Kind(
        convention_ranks_figure,
        "Rank of each method by its mean, the same predictions scored under each convention: where lines cross, the "
        "convention alone made the difference. Ties are set apart; methods with missing predictions have none.",
        ("conventions",),
    ),
    "cost": Kind(
        cost_scores,
        "Mean score against what a run costs, the median over the runs of a method: training time counts all stages, "
        "parameters and memory the last one. The line is the Pareto front; the band and the percentages show how it "
        "moves when patients are resampled. Trained models are not resampled: other seeds may change more. Runs from "
        "unlike hardware have no front, for their times do not compare.",
    ),
    "learning_curves": Kind(
        learning_curves,
        "Training logs, smoothed (running mean over a twentieth of the run). Thin lines are single runs, thick ones "
        "their mean; more than eight methods have a cell each, with means alone, a line for each label budget. Losses "
        "of different methods have different terms and are not comparable.",
    ),
    "overlays": Kind(
        overlay_grid,
        "Worst, median and best test case of each method by the score above the picture, a mean over classes, of its "
        "first run (lowest draw, fold and seed). Of volumes the slice with the largest reference area. "
        "Cropped to all that is reference or prediction. Line: reference.",
    ),
}
FORMATS: dict[str, dict[str, None]] = {  # without what differs from day to day and machine to machine
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
CAPTIONS = {name: kind.caption for name, kind in KINDS.items()}


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
    frames: Mapping[str, pd.DataFrame] | None = None,
) -> list[Path]:
    """Write `<name>.svg`, `.pdf` and `.png` of every figure into `folder`; the same input gives the same bytes.

    Args:
        scores: The collected scores, one row per case, class and metric.
        summary: What the tables are made from.
        cards: The `run.json` of the runs.
        logs: `log.csv` of each run, by `run_key`.
        overlays: What `overlay_cases.load_overlays` picked, by the figure's name.
        settings: The figures wanted.
        folder: Where the files go.
        infos: The `dataset.json` of the entries, for titles and the order of classes.
        facts: The suite's order of methods and its reference.
        frames: The tables that the kinds of these figures read (`tables_read`), such as `comparisons`.

    Returns:
        The files written.
    """
    frames = dict(frames or {})
    comparisons = frames.get("comparisons", pd.DataFrame())
    material = Material(summary, comparisons, cards, infos, (), facts or Facts("suite"))
    if len(summary) and settings:
        say_what_is_missing([*_names(material), *(one.case for group in overlays.values() for one in group)])
    written = []
    for one in settings:
        source = FigureSource(material, scores, logs, overlays.get(one.name, ()), frames).chosen(one)
        figure, fonts = _drawn(source, one)
        with drawing(fonts):
            for suffix, metadata in FORMATS.items():
                path = Path(folder) / f"{one.name}.{suffix}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=suffix, dpi=one.dpi, metadata=dict(metadata))
                written.append(path)
    return written


def _drawn(source: FigureSource, settings: FigureSettings) -> tuple[Figure, list[str]]:
    """The figure, laid out, and its fonts; drawn again with others where the first has not all of its letters."""
    fonts = [FAMILY]
    while True:
        with drawing(fonts):
            figure = KINDS[settings.kind].draw(source, settings)
            if figure.get_layout_engine() is not None:
                figure.draw_without_rendering()
                figure.set_layout_engine("none")  # laid out once, the same in every file
        needed = families("".join(text.get_text() for text in figure.findobj(Text)))
        if set(needed) <= set(fonts):
            return figure, fonts
        fonts = needed


def _names(material: Material) -> Iterator[str]:
    """Names and titles that figures write."""
    summary = material.summary
    for pair in summary[["method", "variant"]].drop_duplicates().itertuples(index=False):
        yield material.label(str(pair.method), str(pair.variant)).plain
    yield from summary["class"].astype(str).unique()
    for entry in {*summary["dataset"].astype(str), *summary["evaluated_on"].astype(str)}:
        yield material.dataset_title(entry)


def tables_read(settings: Sequence[FigureSettings]) -> list[str]:
    """The CSV tables of the results folder, without suffix, that these figures are drawn from beside the summary."""
    return sorted({name for one in settings for name in KINDS[one.kind].reads})
