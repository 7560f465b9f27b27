"""Figures as files: SVG, PDF and PNG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text

from contrastseg.files import atomic_path
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures._fonts import FAMILY, families, warn_of_missing_letters
from contrastseg.report.figures._style import drawing
from contrastseg.report.figures.kind import FigureSource, figure_kind
from contrastseg.report.figures.overlay_cases import Overlay
from contrastseg.report.settings import FigureSettings

FORMATS: dict[str, dict[str, None]] = {  # without what differs from day to day and machine to machine
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def make_figures(
    data: ReportData,
    settings: Sequence[FigureSettings],
    folder: str | Path,
    *,
    logs: Mapping[str, pd.DataFrame] | None = None,
    overlays: Mapping[str, Sequence[Overlay]] | None = None,
) -> list[Path]:
    """Write `<name>.svg`, `.pdf` and `.png` of every figure into `folder`; the same input gives the same bytes.

    Args:
        data: The results of a suite, such as `ReportData.load` gives them.
        settings: The figures wanted.
        folder: Where the files go.
        logs: `log.csv` of each run, by `run_key`.
        overlays: What `overlay_cases.load_overlays` picked, by the figure's name.

    Returns:
        The files written.
    """
    overlays = overlays or {}
    if len(data.summary) and settings:
        warn_of_missing_letters([*_names(data), *(overlay.case for group in overlays.values() for overlay in group)])
    written = []
    for figure_settings in settings:
        name = figure_settings.name
        source = FigureSource(data.chosen(figure_settings), logs or {}, overlays.get(name, ()))
        figure, fonts = _drawn(source, figure_settings)
        with drawing(fonts):
            for suffix, metadata in FORMATS.items():
                path = Path(folder) / f"{name}.{suffix}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, format=suffix, dpi=figure_settings.dpi, metadata=dict(metadata))
                written.append(path)
    return written


def _drawn(source: FigureSource, settings: FigureSettings) -> tuple[Figure, list[str]]:
    """The figure, laid out, and its fonts; drawn again with others where the first has not all of its letters."""
    fonts = [FAMILY]
    while True:
        with drawing(fonts):
            figure = figure_kind(settings.kind).draw(source, settings)
            if figure.get_layout_engine() is not None:
                figure.draw_without_rendering()
                figure.set_layout_engine("none")  # laid out once, the same in every file
        needed = families("".join(text.get_text() for text in figure.findobj(Text)))
        if set(needed) <= set(fonts):
            return figure, fonts
        fonts = needed


def _names(data: ReportData) -> Iterator[str]:
    """Names and titles that figures write."""
    summary = data.summary
    for pair in summary[["method", "variant"]].drop_duplicates().itertuples(index=False):
        yield data.label(str(pair.method), str(pair.variant)).plain
    yield from summary["class"].astype(str).unique()
    for entry in {*summary["dataset"].astype(str), *summary["evaluated_on"].astype(str)}:
        yield data.dataset_title(entry)
