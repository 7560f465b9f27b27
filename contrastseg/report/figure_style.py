"""One look for every figure: a colour, marker and line for each method, and ink that follows the page's theme."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Okabe and Ito's colour-blind-safe colours without black and yellow, in an order of unlike luminance
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7A5195", "#8C6D31")
NEUTRAL = "#6B7280"
MARKERS = ("s", "^", "D", "v", "P", "X", "h", "*")
GLYPHS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "h": "⬢", "*": "★"}
DASHES: tuple[object, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)))

INK = "#1b1f24"  # exactly these two are replaced by the page's own colours when an SVG stands in it
PAPER = "#fefefe"
FAINT = "#9aa3ad"


@dataclass(frozen=True)
class MethodStyle:
    """How one method (and variant) is drawn everywhere."""

    colour: str
    marker: str
    line: object
    filled: bool

    @property
    def glyph(self) -> str:
        """The marker as a character, for tables and captions."""
        return GLYPHS[self.marker]


def method_styles(
    pairs: Iterable[tuple[str, str]], order: Sequence[str] = (), reference: str | None = None
) -> dict[tuple[str, str], MethodStyle]:
    """The style of each method and variant.

    The reference is a neutral grey; every other method takes the next colour and marker in the suite's order (methods
    the suite does not name come after, by name), so a figure of a few methods draws them as the figure of all does.
    Variants keep their method's colour and marker, hollow, with another line.

    Args:
        pairs: (method, variant) as they occur.
        order: The methods in the suite's order.
        reference: The method that the others are compared with.
    """
    present = sorted(set(pairs), key=lambda pair: (pair[1] not in ("default", ""), pair[1]))
    named = list(dict.fromkeys(order))
    methods = [name for name in named if name != reference]
    methods += sorted({method for method, _ in present} - set(named) - {reference})
    styles = {}
    seen: dict[str, int] = {}
    for method, variant in present:
        nth = seen.get(method, 0)
        seen[method] = nth + 1
        if method == reference:
            colour, marker, place = NEUTRAL, "o", 0
        else:
            place = methods.index(method)
            # past the palette's end the markers shift against the colours, so no two methods share both
            colour = PALETTE[place % len(PALETTE)]
            marker = MARKERS[(place + place // len(PALETTE)) % len(MARKERS)]
        styles[method, variant] = MethodStyle(colour, marker, DASHES[(place + nth) % len(DASHES)], nth == 0)
    return styles


@contextmanager
def drawing() -> Iterator[None]:
    """Matplotlib set for small, quiet, reproducible figures: the same input gives the same bytes."""
    settings: dict[str, Any] = {
        "svg.hashsalt": "contrastseg",
        "svg.fonttype": "path",
        "text.parse_math": False,  # a dollar in a name is a dollar
        "font.family": "DejaVu Sans",
        "font.size": 8,
        "axes.titlesize": 8.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.7,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.facecolor": PAPER,
        "axes.axisbelow": True,
        "figure.facecolor": PAPER,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "grid.color": FAINT,
        "grid.alpha": 0.35,
        "grid.linewidth": 0.5,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
        "lines.linewidth": 1.4,
        "lines.markersize": 5,
    }
    with matplotlib.rc_context(rc=settings):  # type: ignore[arg-type]
        yield


def empty_figure(width: float, text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(width, 1.1))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=INK)
    return figure
