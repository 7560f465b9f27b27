"""Overlays: image, reference contour, and the prediction coloured by what is right, false positive and missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from skimage.measure import find_contours

from contrastseg.labels import IGNORE
from contrastseg.report.content.labels import budget_title, in_order, metric_title
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures import wording
from contrastseg.report.figures._layout import Sheet
from contrastseg.report.figures._style import ERRORS, INK, empty_figure
from contrastseg.report.figures._text import SMALL, fitted, shortened
from contrastseg.report.figures.kind import FigureKind, FigureSource
from contrastseg.report.figures.overlay_cases import RANKS, Overlay
from contrastseg.report.settings import FigureSettings

FEW = 4  # with more methods two of them stand side by side
EDGE, GAP, BETWEEN, HEADING, NAME, WORDS, LEGEND = 0.05, 0.07, 0.16, 0.30, 0.15, 0.26, 0.34  # inches
MARGIN, SMALLEST = 1.35, 0.2  # of a crop: times what it must hold, and at least this part of the width
FINEST = 256  # pixels of a picture's longer side: finer than a printer shows, and files stay small
Line = Mapping[str, Overlay]


def overlay_grid(source: FigureSource, settings: FigureSettings) -> Figure:
    """Worst, median and best case of every method; two methods side by side where there are many; data sets below.

    Args:
        source: The pictures, as `overlay_cases.load_overlays` picked them, and titles, order, provenance.
        settings: The metric that ranked them, and the width.
    """
    overlays, data = source.overlays, source.data
    if not overlays:
        return empty_figure(settings.width, wording.NO_PREDICTION)
    blocks = _blocks(overlays, data)
    side_by_side = 1 if max(map(len, blocks.values())) <= FEW else 2
    pitch = (settings.width - 2 * EDGE + BETWEEN) / side_by_side
    side = (pitch - BETWEEN - 2 * GAP) / len(RANKS)
    headings: list[tuple[float, str]] = []
    placed: list[tuple[float, float, Line]] = []  # exact, for pictures must neither shrink nor drift apart
    top = 0.0
    for key, lines in blocks.items():
        headings.append((top + 0.08, _title(key, lines[0], data, settings.width)))
        top += HEADING
        for first in range(0, len(lines), side_by_side):
            row = lines[first : first + side_by_side]
            placed += [(EDGE + at * pitch, top, line) for at, line in enumerate(row)]
            top += NAME + WORDS + side * max(_height(overlay) for line in row for overlay in line.values()) + GAP
    sheet = Sheet(settings.width, top + LEGEND)
    for at, title in headings:
        sheet.text(EDGE, at, title, fontweight="bold", fontsize=8.5)
    canvas = sheet.canvas()
    for left, at, line in placed:
        pair = next((overlay.method, overlay.variant) for overlay in line.values())
        name = fitted(data.label(*pair).plain, 3 * side, 7.5, True)
        sheet.text(left, at, name, fontweight="bold", fontsize=7.5)
        _row(sheet, canvas, line, left=left, top=at + NAME, side=side, metric=settings.metric)
    handles = [
        Patch(facecolor=colour, alpha=min(1.0, alpha + 0.2), label=name) for name, (colour, alpha) in ERRORS.items()
    ]
    handles.append(Patch(facecolor="none", edgecolor=INK, linewidth=1, label="reference (line)"))
    sheet.figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0), ncols=5, handlelength=1.2)
    return sheet.figure


def _blocks(overlays: Sequence[Overlay], data: ReportData) -> dict[tuple[str, str, str], list[Line]]:
    """(data set, evaluated on, checkpoint) -> the pictures of each method by rank, all in order."""
    order = data.method_order([overlay.method for overlay in overlays])
    datasets = in_order([overlay.dataset for overlay in overlays], data.suite.datasets)
    lines: dict[tuple[str, str, str], dict[tuple[str, str], dict[str, Overlay]]] = {}
    for overlay in sorted(
        overlays,
        key=lambda o: (datasets.index(o.dataset), o.evaluated_on, o.checkpoint, order.index(o.method), o.variant),
    ):
        block = lines.setdefault((overlay.dataset, overlay.evaluated_on, overlay.checkpoint), {})
        block.setdefault((overlay.method, overlay.variant), {})[overlay.rank] = cropped(overlay)
    return {key: list(block.values()) for key, block in lines.items()}


def _title(key: tuple[str, str, str], line: Line, data: ReportData, width: float) -> str:
    first = next(iter(line.values()))
    budget = budget_title(first.labels, data.labelled(first.dataset, first.labels))
    room = 0.98 * (width - 2 * EDGE)  # letters on a grid of pixels come out up to a hundredth wider than measured
    return fitted(f"{data.block_title(*key)} · {budget}", room, 8.5, True)


def _row(sheet: Sheet, canvas: Axes, line: Line, *, left: float, top: float, side: float, metric: str) -> None:
    """A method's three pictures, each under its rank, score and case."""
    for column, rank in enumerate(RANKS):
        x = left + column * (side + GAP)
        if rank not in line:
            sheet.text(x + side / 2, top + WORDS + side / 2, "missing", ha="center", va="center")
            continue
        overlay = line[rank]
        place = f", {overlay.place}" if overlay.place else ""
        score = shortened(f"{rank}: {metric_title(metric, arrow=False)} {overlay.score:.3f}", side, SMALL)
        case = fitted(f"{overlay.case}{place}", side, SMALL)
        sheet.text(x, top, f"{score}\n{case}", linespacing=1.05)
        high = side * _height(overlay)
        wide = min(side, high * overlay.image.shape[1] / (overlay.image.shape[0] * overlay.aspect))
        _draw(canvas, overlay, (x, x + wide, top + WORDS + high, top + WORDS))


def _height(overlay: Overlay) -> float:
    return min(1.4, overlay.image.shape[0] * overlay.aspect / overlay.image.shape[1])


def cropped(overlay: Overlay) -> Overlay:
    """The part that holds all of the reference and of the prediction, with a margin; a square where there is room."""
    drawn = ((overlay.reference > 0) & (overlay.reference != IGNORE)) | (overlay.prediction > 0)
    crop = window(drawn, overlay.aspect)
    return replace(
        overlay, image=overlay.image[crop], reference=overlay.reference[crop], prediction=overlay.prediction[crop]
    )


def window(mask: np.ndarray, aspect: float) -> tuple[slice, slice]:
    """Rows and columns about all of a mask (H, W), with a margin; everything where the mask is empty."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return slice(None), slice(None)
    side = MARGIN * max(np.ptp(rows) * aspect, np.ptp(columns), SMALLEST * mask.shape[1])
    return (
        _span((rows.min() + rows.max()) / 2, side / aspect, mask.shape[0]),
        _span((columns.min() + columns.max()) / 2, side, mask.shape[1]),
    )


def _span(centre: float, length: float, size: int) -> slice:
    """`length` pixels around the centre, moved inside 0..size, all of it where it is too long."""
    count = min(size, round(length))
    start = min(max(0, round(centre - count / 2)), size - count)
    return slice(start, start + count)


def _draw(canvas: Axes, overlay: Overlay, box: tuple[float, float, float, float]) -> None:
    """The picture with its errors, and the reference's outline, between left, right, bottom and top (inches)."""
    every = max(1, -(-max(overlay.reference.shape) // FINEST))
    image, reference, prediction = (
        array[::every, ::every] for array in (overlay.image, overlay.reference, overlay.prediction)
    )
    grey = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
    errors = error_colours(reference, prediction)
    opacity = errors[..., 3:]
    picture = np.rint(255 * (grey * (1 - opacity) + errors[..., :3] * opacity)).astype(np.uint8)
    canvas.imshow(picture, extent=box, aspect="auto", interpolation="nearest")
    lines = outlines(reference)
    if len(lines):
        left, right, bottom, top = box
        x = left + (lines[:, 1] + 0.5) / reference.shape[1] * (right - left)
        y = top + (lines[:, 0] + 0.5) / reference.shape[0] * (bottom - top)
        # a dark line under a white one is seen on any image
        canvas.plot(x, y, color="black", linewidth=1.5, alpha=0.6)
        canvas.plot(x, y, color="white", linewidth=0.8)


def outlines(labels: np.ndarray) -> np.ndarray:
    """(n, 2) rows and columns along the border of every structure of (H, W), structures apart by a line of NaN."""
    gap = np.full((1, 2), np.nan)
    parts = []
    for value in np.unique(labels):
        mask = labels == value
        if value not in (0, IGNORE) and min(mask.shape) > 1:
            parts += [piece for line in find_contours(mask.astype(np.float32), 0.5) for piece in (line, gap)]
    return np.concatenate(parts) if parts else np.empty((0, 2))


def error_colours(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """RGBA (H, W, 4) of what is right and wrong; clear where both are background or the reference is ignored."""
    predicted, in_reference = prediction > 0, (reference > 0) & (reference != IGNORE)
    kinds = {
        "right": in_reference & (prediction == reference),
        "false positive": predicted & (reference == 0),
        "missed": in_reference & ~predicted,
        "wrong class": in_reference & predicted & (prediction != reference),
    }
    picture = np.zeros((*reference.shape, 4), dtype=np.float32)
    for name, mask in kinds.items():
        colour, alpha = ERRORS[name]
        picture[mask] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [alpha]
    return picture


KIND = FigureKind(wording.OVERLAYS_CAPTION, overlay_grid, needs=wording.NEEDS_IMAGES)
