"""Names beside points: each where it hides the least, with a line to its point where it had to move away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from contrastseg.report.figures._style import INK, NEUTRAL
from contrastseg.report.figures._text import SMALL, width_of

_HIGH = 1.15 * SMALL  # points, of a line of text
_REACHES = (4.0, 9.0, 16.0, 24.0, 34.0, 46.0)  # points from the marker
_ANGLES = np.deg2rad([0, 180, 35, -35, 145, -145, 90, -90, 60, -60, 120, -120])
PointLabel = tuple[str, tuple[float, float], bool]


def label_points(ax: Axes, labels: Sequence[PointLabel], around: Sequence[tuple[float, float]] = ()) -> None:
    """Write a name beside every point; call it when the axes' place and limits are final.

    Args:
        ax: The axes.
        labels: Name, (x, y) in data coordinates, whether it is bold.
        around: Corners of a line of upright and level pieces, in data coordinates, that the names keep clear of.
    """
    ax.get_xlim(), ax.get_ylim()  # or the limits are still to be found
    scale = 72 / ax.figure.dpi
    points = ax.transData.transform([xy for _, xy, _ in labels]) * scale
    frame = np.asarray(ax.bbox.extents) * scale
    marks = np.concatenate([points - 3.2, points + 3.2], axis=1)
    taken = np.concatenate([marks, _pieces(ax.transData.transform(around) * scale)]) if len(around) else marks
    for at in np.lexsort((points[:, 0], -points[:, 1])):
        name, _, bold = labels[at]
        size = np.array([width_of(name, SMALL, bold) * 72 + 1, _HIGH])
        boxes, reaches = _candidates(points[at], size)
        cost = _overlap(boxes, taken) + 6 * _outside(boxes, frame) + 0.6 * reaches
        best = int(cost.argmin())
        box = boxes[best]
        taken = np.concatenate([taken, box[None]])
        middle = (box[:2] + box[2:]) / 2
        if reaches[best] > 10:
            end = np.clip(points[at], box[:2], box[2:])
            line = ax.transData.inverted().transform(np.array([points[at], end]) / scale)
            ax.plot(line[:, 0], line[:, 1], color=NEUTRAL, linewidth=0.5, zorder=2, scalex=False, scaley=False)
        place = ax.transData.inverted().transform(middle / scale)
        ax.text(
            place[0],
            place[1],
            name,
            fontsize=SMALL,
            fontweight="bold" if bold else "normal",
            ha="center",
            va="center",
            color=INK,
            zorder=4,
        )


def _pieces(corners: np.ndarray) -> np.ndarray:
    """Boxes (n - 1, 4) around the pieces of a line."""
    ends = np.stack([corners[:-1], corners[1:]])
    boxes: np.ndarray = np.concatenate([ends.min(axis=0) - 0.5, ends.max(axis=0) + 0.5], axis=1)
    return boxes


def _candidates(point: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) around a point that touch circles about it, and the circles' radii."""
    radius, angle = (grid.ravel() for grid in np.meshgrid(_REACHES, _ANGLES, indexing="ij"))
    way = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = point + radius[:, None] * way + way * size / 2
    return np.concatenate([middle - size / 2, middle + size / 2], axis=1), radius


def _overlap(boxes: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Area of each box that is taken, in square points."""
    low = np.maximum(boxes[:, None, :2], taken[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], taken[None, :, 2:])
    area: np.ndarray = np.prod(np.clip(high - low, 0, None), axis=2).sum(axis=1)
    return area


def _outside(boxes: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """How far each box sticks out of the frame, in points."""
    out: np.ndarray = np.clip(frame[:2] - boxes[:, :2], 0, None).sum(axis=1)
    return out + np.clip(boxes[:, 2:] - frame[2:], 0, None).sum(axis=1)
