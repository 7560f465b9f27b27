"""Overlays: image, reference contour, and the prediction coloured by what is right, too much and too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from contrastseg.report.figure_source import FigureSource
from contrastseg.report.figure_style import FAINT, INK, empty_figure
from contrastseg.report.naming import budget_title, in_order
from contrastseg.report.overlays import RANKS, Overlay
from contrastseg.report.settings import FigureSettings

IGNORE = 255
LEFT, GAP, HEADING, TITLE, LEGEND = 0.26, 0.08, 0.26, 0.30, 0.34  # inches
MARGIN, SMALLEST = 1.35, 0.2  # of a crop: times what it must hold, and at least this part of the width
# name -> colour, opacity; of unlike luminance, so that a grey print tells them apart too
ERRORS = {
    "correct": ("#0072B2", 0.30),
    "too much": ("#D55E00", 0.62),
    "missed": ("#F0E442", 0.62),
    "wrong class": ("#CC79A7", 0.70),
}


def overlay_grid(source: FigureSource, settings: FigureSettings) -> Figure:
    """Methods down; worst, median and best case across, one such block per data set.

    Args:
        source: The pictures, as `overlays.load_overlays` picked them, and titles, order, provenance.
        settings: The metric that ranked them, and the width.
    """
    overlays, material = source.overlays, source.material
    if not overlays:
        return empty_figure(settings.width, "No prediction is there to draw.")
    order = material.method_order([one.method for one in overlays])
    datasets = in_order([one.dataset for one in overlays], material.facts.datasets)
    lines: dict[tuple[str, str, str, str, str], dict[str, Overlay]] = {}
    for one in sorted(
        overlays,
        key=lambda o: (datasets.index(o.dataset), o.evaluated_on, o.checkpoint, order.index(o.method), o.variant),
    ):
        key = (one.dataset, one.evaluated_on, one.checkpoint, one.method, one.variant)
        lines.setdefault(key, {})[one.rank] = cropped(one)
    figure = Figure(figsize=(settings.width, 1))
    side = (settings.width - LEFT - 2 * GAP) / 3
    top, last = 0.0, None
    places = []  # inches from the top: exact, for pictures must neither shrink nor drift apart
    for key, line in lines.items():
        top += HEADING if key[:3] != last else 0.0
        places.append(top)
        last = key[:3]
        top += TITLE + side * max(_height(one) for one in line.values()) + GAP
    total = top + LEGEND
    figure.set_figheight(total)
    last = None
    for (key, line), at in zip(lines.items(), places, strict=True):
        first = next(iter(line.values()))
        if key[:3] != last:
            budget = budget_title(first.labels, material.labelled(first.dataset, first.labels))
            title = f"{material.block_title(*key[:3])} · {budget}"
            y = 1 - (at - HEADING + 0.06) / total
            figure.text(0.04 / settings.width, y, title, va="top", fontweight="bold", size=8.5)
            last = key[:3]
        tall = side * max(_height(one) for one in line.values())
        for column, rank in enumerate(RANKS):
            left = LEFT + column * (side + GAP)
            box = (left / settings.width, 1 - (at + TITLE + tall) / total, side / settings.width, tall / total)
            ax = figure.add_axes(box, anchor="NW", xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if rank in line:
                _draw(ax, line[rank], settings.metric)
            else:
                ax.text(0.5, 0.5, "missing", ha="center", va="center", transform=ax.transAxes)
            if not column:
                ax.set_ylabel(material.label(first.method, first.variant).plain, fontweight="bold")
    handles = [
        Patch(facecolor=colour, alpha=min(1.0, alpha + 0.2), label=name) for name, (colour, alpha) in ERRORS.items()
    ]
    handles.append(Patch(facecolor="none", edgecolor=INK, linewidth=1, label="reference (line)"))
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0), ncols=5, handlelength=1.2)
    return figure


def _height(one: Overlay) -> float:
    return min(1.4, one.image.shape[0] * one.aspect / one.image.shape[1])


def cropped(one: Overlay) -> Overlay:
    """The part that holds all of the reference and of the prediction, with a margin; a square where there is room."""
    there = ((one.reference > 0) & (one.reference != IGNORE)) | (one.prediction > 0)
    part = window(there, one.aspect)
    return replace(one, image=one.image[part], reference=one.reference[part], prediction=one.prediction[part])


def window(there: np.ndarray, aspect: float) -> tuple[slice, slice]:
    """Rows and columns about all of a mask (H, W), with a margin; everything where the mask is empty."""
    rows, columns = np.nonzero(there)
    if not len(rows):
        return slice(None), slice(None)
    side = MARGIN * max(np.ptp(rows) * aspect, np.ptp(columns), SMALLEST * there.shape[1])
    return (
        _span((rows.min() + rows.max()) / 2, side / aspect, there.shape[0]),
        _span((columns.min() + columns.max()) / 2, side, there.shape[1]),
    )


def _span(centre: float, length: float, size: int) -> slice:
    """`length` pixels around the centre, moved inside 0..size, all of it where it is too long."""
    count = min(size, round(length))
    start = min(max(0, round(centre - count / 2)), size - count)
    return slice(start, start + count)


def _draw(ax: Axes, one: Overlay, metric: str) -> None:
    ax.imshow(one.image, cmap="gray", vmin=0, vmax=1, aspect=one.aspect, interpolation="nearest")
    ax.imshow(error_colours(one.reference, one.prediction), aspect=one.aspect, interpolation="nearest")
    for value in np.unique(one.reference):
        if value in (0, IGNORE):
            continue
        mask = one.reference == value
        if min(mask.shape) > 1:
            # a dark line under a white one is seen on any image
            ax.contour(mask, levels=[0.5], colors="black", linewidths=1.5, alpha=0.6)
            ax.contour(mask, levels=[0.5], colors="white", linewidths=0.8)
    ax.set_title(
        f"{one.rank}: {metric.capitalize()} {one.score:.3f}\n{one.case}{', ' if one.place else ''}{one.place}",
        fontsize=6.5,
        fontweight="normal",
        color=INK,
        pad=2,
    )
    ax.set_facecolor(FAINT)


def error_colours(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) of what is right and wrong; clear where both are background or the reference is ignored."""
    found, there = prediction > 0, (reference > 0) & (reference != IGNORE)
    kinds = {
        "correct": there & (prediction == reference),
        "too much": found & (reference == 0),
        "missed": there & ~found,
        "wrong class": there & found & (prediction != reference),
    }
    picture = np.zeros((*reference.shape, 4), dtype=np.float32)
    for name, mask in kinds.items():
        colour, alpha = ERRORS[name]
        picture[mask] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [alpha]
    return picture
