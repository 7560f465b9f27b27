"""The figures as they stand inside the page: drawings inlined, and the slices to look through under the overlays."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from contrastseg.files import read_json
from contrastseg.report.content.labels import budget_title, in_order, metric_title
from contrastseg.report.content.report_data import ReportData
from contrastseg.report.figures._style import ERRORS
from contrastseg.report.figures.kind import figure_caption, figure_kind
from contrastseg.report.figures.overlay_cases import RANKS
from contrastseg.report.page import wording
from contrastseg.report.page.slices import SUFFIX
from contrastseg.report.page.svg import inline_svg
from contrastseg.report.settings import FigureSettings
from contrastseg.report.tables.tuning import with_tuning

# as opaque as a swatch has to be
LEGEND = tuple((name, f"{colour}{round(255 * min(1, alpha + 0.2)):02x}") for name, (colour, alpha) in ERRORS.items())


def page_figures(settings: Sequence[FigureSettings], folder: Path, data: ReportData) -> list[dict[str, Any]]:
    """Title, caption, drawing and slices of every figure, in the suite's order."""
    return [
        {
            "kind": figure.kind,
            "title": _title(figure),
            "caption": with_tuning(figure_caption(figure), data),
            "drawing": _drawing(folder, figure, data),
            "not_drawn": wording.not_drawn(figure_kind(figure.kind).needs),
            "stacks": _stacks(folder / f"{figure.name}{SUFFIX}", data) if figure.kind == "overlays" else None,
        }
        for figure in settings
    ]


def _title(figure: FigureSettings) -> str:
    return figure.name.replace("_", " ").capitalize()


def _drawing(folder: Path, figure: FigureSettings, data: ReportData) -> Markup | None:
    """The SVG in the page's colours; the PNG where only that was kept."""
    title, caption = _title(figure), with_tuning(figure_caption(figure), data)
    svg, png = folder / f"{figure.name}.svg", folder / f"{figure.name}.png"
    if svg.is_file():
        return inline_svg(svg, f"fig-{figure.name}", f"{title}. {caption}")
    if png.is_file():
        encoded = base64.b64encode(png.read_bytes()).decode("ascii")
        return Markup('<img class="drawing" alt="{}" src="data:image/png;base64,{}">').format(
            f"{title}. {caption}", encoded
        )
    return None


def _stacks(file: Path, data: ReportData) -> dict[str, Any] | None:
    """The volumes of a figure: by data set, then by method, worst to best; None where none were cut."""
    if not file.is_file():
        return None
    stored = read_json(file)
    volumes = stored["volumes"]
    datasets = in_order([str(volume["dataset"]) for volume in volumes], data.suite.datasets)
    methods = data.method_order([str(volume["method"]) for volume in volumes])

    def place(volume: Mapping[str, Any]) -> tuple[Any, ...]:
        return datasets.index(volume["dataset"]), volume["evaluated_on"], volume["checkpoint"]

    def order(volume: Mapping[str, Any]) -> tuple[Any, ...]:
        return *place(volume), methods.index(volume["method"]), volume["variant"], RANKS.index(volume["rank"])

    groups = []
    for _, members in groupby(sorted(volumes, key=order), key=place):
        of_block = list(members)
        first = of_block[0]
        budget = budget_title(first["labels"], data.labelled(first["dataset"], first["labels"]))
        title = data.block_title(first["dataset"], first["evaluated_on"], first["checkpoint"])
        pairs = groupby(of_block, key=lambda volume: (str(volume["method"]), str(volume["variant"])))
        rows = [(data.label(*pair), [_volume(volume, data) for volume in volumes]) for pair, volumes in pairs]
        groups.append({"title": f"{title} · {budget}", "rows": rows})
    return {"groups": groups, "left_out": stored["left_out"]}


def _volume(stored: Mapping[str, Any], data: ReportData) -> dict[str, Any]:
    score = f"{metric_title(stored['metric'], arrow=False)} {stored['score']:.3f}"
    about = f"{data.label(stored['method'], stored['variant']).plain}, {stored['rank']} case {stored['case']}, {score}"
    return {
        "rank": stored["rank"],
        "case": stored["case"],
        "score": score,
        "about": about,
        "of": stored["of"],
        "main": next(index for index, cut in enumerate(stored["slices"]) if cut["main"]),
        "slices": [{"at": cut["at"], "main": cut["main"], "image": _image(cut["image"])} for cut in stored["slices"]],
    }


def _image(address: str) -> str:
    """An address that holds its picture; any other would be a request."""
    return address if address.startswith("data:image/jpeg;base64,") else "data:,"
