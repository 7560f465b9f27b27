"""One look for every figure: a colour, marker and line for each method, and ink that follows the page's theme."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from contrastseg.report.figures._fonts import FAMILY
from contrastseg.report.figures._text import SMALL

# name -> colour, opacity; of unlike luminance, so that a grey print tells them apart too
ERRORS = {
    "right": ("#0072B2", 0.30),
    "false positive": ("#D55E00", 0.62),
    "missed": ("#F0E442", 0.62),
    "wrong class": ("#CC79A7", 0.70),
}


# Okabe and Ito's colour-blind-safe colours without black and yellow, in an order of unlike luminance
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7A5195", "#8C6D31")
NEUTRAL = "#6B7280"
Marker = str | tuple[int, int, int]
# As many as the project has methods, so that a grey print tells them apart; tuples: points, star, rotation
GLYPHS: dict[Marker, str] = {
    "o": "●",
    "s": "■",
    "^": "▲",
    "D": "◆",
    "v": "▼",
    "P": "✚",
    "X": "✖",
    "h": "⬢",
    "*": "★",
    "p": "⬟",
    "d": "◊",
    "<": "◀",
    ">": "▶",
    (4, 1, 0): "✦",
    (6, 1, 0): "✶",
    (3, 1, 0): "⅄",
    (3, 1, 180): "Y",
    (12, 1, 0): "✹",
    "x": "×",
    "+": "+",
    "8": "⯃",
    "H": "⬣",
    (5, 0, 36): "⯂",
    "|": "│",
    "_": "─",
    (5, 2, 0): "∗",
    (6, 2, 0): "✻",
    (8, 2, 0): "✳",
    (8, 1, 0): "✷",
    (4, 1, 45): "❖",
    (16, 1, 0): "✺",
    (5, 1, 36): "⛤",
    (10, 1, 0): "✸",
    (7, 1, 0): "✧",
    (3, 2, 0): "⋏",
    (3, 2, 180): "⋎",
    (9, 1, 0): "✵",
}
MARKERS = tuple(GLYPHS)
DASHES: tuple[object, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
# Each has a look of its own, whatever the suite: append only, or printed figures no longer match new ones
KNOWN = (
    "supervised",
    "mean_teacher",
    "pdcr",
    "uafr",
    "pdcr_uafr",
    "supcon_pixel",
    "simclr",
    "moco",
    "byol",
    "simsiam",
    "glcl",
    "lrc",
    "lrc_sequential",
    "lrc_supervised",
    "semantic_aware",
    "ideal",
    "cvrl",
    "ua_mt",
    "cps",
    "nnunet",
    "entropy",
    "mcnet",
    "ss_net",
    "unimatch",
    "volume_fusion",
    "mae",
    "u2pl",
    "urpc",
    "dtc",
    "cct",
    "bcp",
    "ict",
    "cross_teaching",
    "admt",
    "pretrained",
)

INK = "#1b1f24"  # exactly these two are replaced by the page's own colours when an SVG stands in it
PAPER = "#fefefe"
FAINT = "#9aa3ad"
Look = tuple[Marker, str]


@dataclass(frozen=True)
class MethodStyle:
    """How one method (and variant) is drawn everywhere."""

    colour: str
    marker: Marker
    line: Any
    filled: bool

    @property
    def glyph(self) -> str:
        """The marker as a character, for tables and captions."""
        return GLYPHS[self.marker]

    @property
    def point(self) -> dict[str, Any]:
        """What `Axes.plot` and `Line2D` need to draw the marker: filled, or hollow for a variant."""
        face = self.colour if self.filled else PAPER
        return {"marker": self.marker, "color": self.colour, "markerfacecolor": face, "markeredgewidth": 1.0}


def method_styles(pairs: Iterable[tuple[str, str]], order: Sequence[str] = ()) -> dict[tuple[str, str], MethodStyle]:
    """The style of each method and variant.

    The project's own methods look the same in every suite. Another method's look follows from its name; where a method
    of the same suite has that marker (or, once all markers are taken, that marker and colour) the next free one is
    taken, in the suite's order, so that a figure of a few methods draws them as the figure of all does. Variants keep
    their method's colour and marker, hollow, with another line.

    Args:
        pairs: (method, variant) as they occur.
        order: All methods of the suite, in its order.
    """
    present = sorted(set(pairs), key=lambda pair: (pair[1] not in ("default", ""), pair[1]))
    methods = [*dict.fromkeys(order), *sorted({method for method, _ in present} - set(order))]
    looks: dict[str, Look] = {name: _known(name) for name in methods if name in KNOWN}
    for name in methods:
        if name not in looks:
            looks[name] = _free(name, set(looks.values()))
    styles = {}
    seen: dict[str, int] = {}
    for method, variant in present:
        nth = seen.get(method, 0)
        seen[method] = nth + 1
        marker, colour = looks[method]
        dash = DASHES[(MARKERS.index(marker) + nth) % len(DASHES)]
        styles[method, variant] = MethodStyle(colour, marker, dash, nth == 0)
    return styles


def _known(name: str) -> Look:
    """The baseline without any other data is a neutral grey, the others go round the palette."""
    place = KNOWN.index(name)
    return MARKERS[place], PALETTE[(place - 1) % len(PALETTE)] if place else NEUTRAL


def _free(name: str, taken: set[Look]) -> Look:
    """A look that follows from the name, or the next one that nobody has; markers are kept apart while they last."""
    every: list[Look] = [(marker, colour) for colour in PALETTE for marker in MARKERS[1:]]
    start = zlib.crc32(name.encode()) % len(every)
    turned = [*every[start:], *every[:start]]
    markers = {marker for marker, _ in taken}
    with_free_marker = [look for look in turned if look[0] not in markers]
    return next(iter([*with_free_marker, *(look for look in turned if look not in taken)]), turned[0])


@contextmanager
def drawing(families: Sequence[str] = (FAMILY,)) -> Iterator[None]:
    """Matplotlib set for small, quiet, reproducible figures: the same input gives the same bytes.

    Args:
        families: Fonts, letter by letter the first that has it.
    """
    settings: dict[str, Any] = {
        "svg.hashsalt": "contrastseg",
        "svg.fonttype": "path",  # no name of anybody's becomes markup
        "image.composite_image": False,  # or the pictures of a figure become one coarse one
        # Journals refuse Type 3 fonts, but another font may have outlines (CFF) that a Type 42 font cannot hold.
        "pdf.fonttype": 42 if len(families) == 1 else 3,
        "text.parse_math": False,  # a dollar in a name is a dollar
        "font.family": list(families),
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
    with matplotlib.rc_context(), warnings.catch_warnings():
        if len(families) == 1:  # a first drawing, to see which letters there are
            warnings.filterwarnings("ignore", r"Glyph .* missing from")
        matplotlib.rcdefaults()  # or a user's matplotlibrc would change the bytes
        matplotlib.rcParams.update(settings)  # type: ignore[arg-type]
        yield


def empty_figure(width: float, text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = Figure(figsize=(width, 1.1))
    figure.text(0.5, 0.5, text, ha="center", va="center", color=INK, fontsize=max(SMALL, 8))
    return figure
