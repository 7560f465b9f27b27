"""What a figure is drawn from, and what a kind of figure is: the two things a new figure file needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures.overlay_cases import Overlay
from contrastseg.report.settings import FigureSettings
from contrastseg.report.settings.kinds import FIGURE_KINDS


@dataclass(frozen=True)
class FigureSource:
    """Everything a figure may be drawn from, narrowed to what its settings ask for.

    Attributes:
        data: Scores, summary, runs, titles, the suite's order of methods.
        logs: `log.csv` of each run, by `run_keys.run_key`.
        overlays: The pictures that `overlay_cases.load_overlays` picked for this figure.
    """

    data: ReportData
    logs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    overlays: Sequence[Overlay] = ()


@dataclass(frozen=True)
class FigureKind:
    """One kind of figure.

    Attributes:
        caption: The caption where the suite names none.
        draw: Draws it; called inside `_style.drawing`.
        reads: Tables of the results folder that it needs beside summary and comparisons, without suffix.
        needs: What it is drawn from beside stored scores, such as "the logs of the runs"; empty where scores suffice.
    """

    caption: str
    draw: Callable[[FigureSource, FigureSettings], Figure]
    reads: tuple[str, ...] = ()
    needs: str = ""


def figure_kind(name: str) -> FigureKind:
    """The kind of this name.

    Raises:
        TypeError: What is registered under it is no `FigureKind`.
    """
    kind = FIGURE_KINDS[name].definition()
    if not isinstance(kind, FigureKind):
        raise TypeError(f"{FIGURE_KINDS[name].defined_in} is {kind!r:.100}; expected a FigureKind")
    return kind


def figure_caption(settings: FigureSettings) -> str:
    """The caption of a figure: the suite's, else that of its kind."""
    return settings.caption or figure_kind(settings.kind).caption


def frames_read(settings: Sequence[FigureSettings]) -> list[str]:
    """The tables of the results folder, without suffix, that these figures need beside summary and comparisons."""
    return sorted({name for figure in settings for name in figure_kind(figure.kind).reads})
