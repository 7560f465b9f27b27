"""What a figure is drawn from, and what a kind of figure is: the two things a new figure file needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd
from matplotlib.figure import Figure

from contrastseg.report.content.report_data import Material, keep
from contrastseg.report.figures.overlay_cases import Overlay
from contrastseg.report.settings import FigureSettings


@dataclass(frozen=True)
class FigureSource:
    """Everything a figure may be drawn from, narrowed to what its settings ask for.

    Attributes:
        material: Summary, comparisons, run cards, titles, the suite's order of methods.
        scores: The collected scores, one row per case, class and metric.
        logs: `log.csv` of each run, by `run_keys.run_key`.
        overlays: The pictures that `overlay_cases.load_overlays` picked for this figure.
        frames: The other tables that the kind `reads` from the results folder, by file name without suffix; one that
            is not there is left out.
    """

    material: Material
    scores: pd.DataFrame
    logs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    overlays: Sequence[Overlay] = ()
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def chosen(self, settings: FigureSettings) -> FigureSource:
        """The part that a figure's settings ask for; who is the suite's first method does not depend on it."""
        wanted = {
            "dataset": settings.datasets,
            "method": settings.methods,
            "labels": settings.labels,
            "checkpoint": settings.checkpoints,
        }
        material = replace(
            self.material,
            summary=keep(self.material.summary, wanted),
            comparisons=keep(self.material.comparisons, wanted),
        )
        frames = {name: keep(frame, wanted) for name, frame in self.frames.items()}
        return replace(self, material=material, scores=keep(self.scores, wanted), frames=frames)


@dataclass(frozen=True)
class Kind:
    """One kind of figure.

    Attributes:
        draw: Draws it; called inside `_style.drawing`.
        caption: What stands under it when the suite says nothing.
        reads: CSV tables of the results folder that it needs beside scores, summary and cards, without suffix.
    """

    draw: Callable[[FigureSource, FigureSettings], Figure]
    caption: str
    reads: tuple[str, ...] = ()
