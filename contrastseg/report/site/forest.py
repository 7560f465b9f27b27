"""The figure of the findings: each method's difference from `supervised` at equal steps, with its interval, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

from contrastseg.report.content.labels import PROVENANCE, UNKNOWN_PROVENANCE, Pair, budget_title, number
from contrastseg.report.site.equal_steps import EqualSteps, pairs_of

COLOURS = {"better": "#0072B2", "worse": "#D55E00"}
_OTHER = "#6B7280"
_NAMES, _PANEL, _GAP, _ROW, _TOP, _BOTTOM = 190, 170, 14, 17, 58, 52
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_LEGEND = (("better", "significantly better"), ("worse", "significantly worse"), ("", "difference not significant"))


def forest(places: Sequence[EqualSteps]) -> str:
    """A panel for each budget, a line for each method: more often significantly better first, then the larger mean.

    Args:
        places: The comparisons of one suite; at least one.

    Returns:
        An SVG with its own white paper. Equal scores give equal text.
    """
    pairs = pairs_of(places)
    width = _NAMES + len(places) * (_PANEL + _GAP)
    height = _TOP + _ROW * len(pairs) + _BOTTOM
    low, high, step = _range(places)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="11.5" fill="#111827">',
        f"<title>{escape(_title(places))}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number_of_row, pair in enumerate(pairs):
        at = _TOP + _ROW * number_of_row
        if number_of_row % 2:
            parts.append(f'<rect x="0" y="{at}" width="{width}" height="{_ROW}" fill="#F3F4F6"/>')
        parts.append(_text(8, at + 12.5, _name(places[0], pair)))
    for panel, place in enumerate(places):
        parts += _panel(place, pairs, _NAMES + panel * (_PANEL + _GAP), (low, high, step))
    parts += _legend(height)
    return "\n".join([*parts, "</svg>", ""])


def _title(places: Sequence[EqualSteps]) -> str:
    data = " and ".join(dict.fromkeys(place.place.title for place in places))
    return f"{data}: difference in Dice from supervised with at least as many steps, with 95 % intervals"


def _name(place: EqualSteps, pair: Pair) -> str:
    method, variant = pair
    mark = PROVENANCE.get(place.run.provenances.get(method, ""), UNKNOWN_PROVENANCE)[0]
    return f"{method if variant == 'default' else f'{method}/{variant}'} [{mark}]"


def _range(places: Sequence[EqualSteps]) -> tuple[float, float, float]:
    """The ends of the axis that all panels share, with 0 inside, and the distance of its ticks."""
    ends = [0.0]
    for place in places:
        for row in place.rows.values():
            drawn = (row.mean_difference, row.mean_difference_low, row.mean_difference_high)
            ends += [float(value) for value in drawn if not math.isnan(value)]
    span = max(max(ends) - min(ends), 0.02)
    step = next((step for step in _STEPS if span / step <= 5), 1.0)
    return min(ends) - span / 20, max(ends) + span / 20, step


def _panel(place: EqualSteps, pairs: Sequence[Pair], left: float, axis: tuple[float, float, float]) -> Iterator[str]:
    low, high, step = axis
    bottom = _TOP + _ROW * len(pairs)

    def x(value: float) -> float:
        return round(left + _PANEL * (value - low) / (high - low), 2)

    middle = left + _PANEL / 2
    yield _text(middle, 18, place.place.title, anchor="middle", weight="bold")
    yield _text(middle, 33, budget_title(place.place.labels), anchor="middle")
    yield _text(middle, 48, f"supervised: {_baselines(place)}", anchor="middle", colour=_OTHER)
    for tick in range(math.ceil(low / step), math.floor(high / step) + 1):
        value = tick * step
        colour = "#111827" if tick == 0 else "#D1D5DB"
        yield f'<line x1="{x(value)}" y1="{_TOP}" x2="{x(value)}" y2="{bottom}" stroke="{colour}"/>'
        label = "0" if tick == 0 else ("+" if tick > 0 else "") + number(value, 2)
        yield _text(x(value), bottom + 14, label, anchor="middle", size=10)
    for row, pair in enumerate(pairs):
        if pair in place.rows:
            yield from _mark(place.rows[pair], _TOP + _ROW * row + _ROW / 2, x)


def _baselines(place: EqualSteps) -> str:
    """The means of the supervised rows that methods are compared with."""
    means = dict.fromkeys(number(float(row.reference_mean), 3) for row in place.rows.values())
    return " or ".join(means)


def _mark(row: Any, y: float, x: Any) -> Iterator[str]:
    colour = COLOURS.get(row.verdict, _OTHER)
    low, high = float(row.mean_difference_low), float(row.mean_difference_high)
    if not (math.isnan(low) or math.isnan(high)):
        yield f'<line x1="{x(low)}" y1="{y}" x2="{x(high)}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
    if not math.isnan(row.mean_difference):
        fill = colour if row.verdict in COLOURS else "#ffffff"
        yield f'<circle cx="{x(row.mean_difference)}" cy="{y}" r="4" fill="{fill}" stroke="{colour}" stroke-width="2"/>'


def _legend(height: int) -> Iterator[str]:
    left = 8
    for verdict, words in _LEGEND:
        colour = COLOURS.get(verdict, _OTHER)
        fill = colour if verdict else "#ffffff"
        yield f'<circle cx="{left + 4}" cy="{height - 18}" r="4" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
        yield _text(left + 14, height - 14, words)
        left += 30 + 6 * len(words)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "", colour: str = "", size: float = 0
) -> str:
    extra = f' font-weight="{weight}"' if weight else ""
    extra += f' fill="{colour}"' if colour else ""
    extra += f' font-size="{size}"' if size else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{extra}>{escape(text)}</text>'
