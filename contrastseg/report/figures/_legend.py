"""Styles of the methods in a frame, the legend below all panels, titles of panels."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from contrastseg.report.content.labels import Pair
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures._style import INK, MethodStyle, method_styles
from contrastseg.report.figures._text import distinct, fitted, width_of
from contrastseg.report.figures.wording import MISSING_CROSSED

_PANEL_TITLE = 8.5  # points
CROSS: dict[str, Any] = {"linestyle": "none", "marker": "x", "color": INK, "markersize": 8, "markeredgewidth": 1.2}


def styles_of(frame: pd.DataFrame, data: ReportData) -> dict[Pair, MethodStyle]:
    """The style of each method and variant of a frame, in drawing order."""
    table = frame[["method", "variant"]].drop_duplicates()
    pairs = [(str(m), str(v)) for m, v in zip(table["method"], table["variant"], strict=True)]
    order = data.method_order([method for method, _ in pairs])
    styles = method_styles(pairs, data.suite.methods or order)
    return {pair: styles[pair] for pair in data.pair_order(pairs)}


def legend(
    figure: Figure, styles: dict[Pair, MethodStyle], data: ReportData, lines: bool = True, crossed: bool = False
) -> None:
    """One legend below all panels: line, marker, name and provenance mark of each method, and what a cross means."""
    width, key = figure.get_figwidth(), 0.55 if lines else 0.4
    names = distinct([data.label(*pair).plain for pair in styles], width / 2 - key, 7.5)
    handles = [
        Line2D([], [], linestyle=style.line if lines else "none", label=name, **style.point)
        for name, style in zip(names, styles.values(), strict=True)
    ]
    if crossed:
        handles.append(Line2D([], [], label=MISSING_CROSSED, **CROSS))
        names.append(MISSING_CROSSED)
    widest = max((width_of(name, 7.5) for name in names), default=1.0) + key
    columns = max(1, min(len(handles), int(width / widest)))
    figure.legend(handles=handles, loc="outside lower left", ncols=columns, handlelength=2.8 if lines else 1.2)


def panel_title(text: str, width: float) -> str:
    """The title of a panel, in two lines of this many inches at most."""
    return fitted(text, width, _PANEL_TITLE, True, 2)
