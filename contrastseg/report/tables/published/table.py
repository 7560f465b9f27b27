"""A table in the layout of the paper that printed it: its number, its mark, ours, the difference, and both protocols.

Ours is written in the printed unit with the printed decimals. A difference is taken where the units allow one; it is an
effect of the methods only where the protocols match, and every block says whether they do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from contrastseg.report.content.labels import MethodLabel, interval, number
from contrastseg.report.content.report_data import Material, keep
from contrastseg.report.settings import TableSettings
from contrastseg.report.settings.published import AXES, Axis, PaperSettings
from contrastseg.report.tables.footnotes import block_notes, skipped_item
from contrastseg.report.tables.model import Block, Cell, Column, Row
from contrastseg.report.tables.published.matching import Pair, Pairing, pairing
from contrastseg.report.tables.published.protocol import Protocols, comparable
from contrastseg.report.tables.scores import empty_cell, mark_best, rows_of_class

TITLES = {"dice": "Dice", "jaccard": "Jaccard", "pixel_accuracy": "Accuracy", "miou": "mIoU", "hd": "HD"}
TITLES |= {"hd95": "HD95", "asd": "ASD"}
HEADS: dict[Axis, str] = {
    "where": "Table",
    "method": "Method",
    "dataset": "Data",
    "labelled": "Labelled",
    "class": "Class",
}
_LOWER = ("hd", "hd95", "asd")
_MARKS = {"printed": "p", "suspect": "s", "inconsistent": "i"}
Line = tuple[str, ...]


def paper_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """The blocks of the printed table; under the rows the source has, our other methods."""
    paper = _paper(settings)
    pairs = pairing(material, paper)
    return [_block(pairs, settings, part) for part in _grouped(pairs.printed(), paper.blocks).values()]


def paper_rows(material: Material, settings: TableSettings) -> pd.DataFrame:
    """One line per printed number, in the source's wording beside ours; differences in the printed unit."""
    rows = []
    for pair in pairing(material, _paper(settings)).printed():
        protocols = pair.protocols or Protocols()
        given = {f"printed_{name}": pair.printed[name] for name in (*AXES[1:], "unit")}
        ours = {} if pair.row is None else {name: getattr(pair.row, name) for name in _OURS}
        rows.append(
            {
                **dict(zip(("dataset", "evaluated_on", "checkpoint"), pair.place, strict=True)),
                **{"labels": pair.labels, "method": pair.method[0], "variant": pair.method[1], "metric": pair.metric},
                **{name: pair.printed[name] for name in ("paper", "where", "protocol")},
                **given,
                **{"printed": pair.printed["printed"], "mark": pair.printed["mark"], "why": pair.printed["why"]},
                **{name: ours.get(name, math.nan) for name in _OURS},
                "ours_in_printed_unit": pair.ours,
                "difference": pair.difference,
                "protocol_differs": "; ".join(protocols.differs),
                "protocol_not_stated": "; ".join(protocols.unstated),
            }
        )
    return pd.DataFrame(rows)


_OURS = ("unit", "mean", "low", "high", "n_patients", "n_seeds", "missed", "invented", "holes", "missing")


def _paper(settings: TableSettings) -> PaperSettings:
    assert settings.published is not None  # the settings' own validator sees to it
    return settings.published


def _block(pairs: Pairing, settings: TableSettings, part: list[Pair]) -> Block:
    paper, material = pairs.paper, pairs.material
    rows, columns = _grouped(part, paper.rows, of_source=True), _grouped(part, paper.columns)
    here = {(_line(pair, paper.rows, of_source=True), _line(pair, paper.columns)): pair for pair in part}
    own = pairs.own_methods(part) if paper.rows == ["method"] else []
    heads: list[Column] = []
    series: list[list[Cell]] = []
    added: list[Pair] = []
    for column, members in columns.items():
        cells = [
            here.get((row, column)) or pairs.beside(members[0], dict(zip(paper.rows, row, strict=False)))
            for row in rows
        ]
        beneath = [pairs.beside(members[0], {"method": ""}, method) for method in own]
        cells, added = [*cells, *beneath], [*added, *beneath]
        for name, made in (("printed", _printed(cells, paper)), ("ours", _ours(pairs, settings, cells))):
            heads.append(Column(name, _title(members[0], paper.columns)))
            series.append(made)
        heads.append(Column("difference", heads[-1].group))
        series.append([_difference(pair) for pair in cells])
    twice = _repeated(rows, len(paper.rows))
    labels = [_label(material, members[0], paper.rows, row in twice) for row, members in rows.items()]
    labels += [material.label(*method) for method in own]
    lines = tuple(Row(label, tuple(one[i] for one in series)) for i, label in enumerate(labels))
    title = " · ".join(_value(part[0], axis) for axis in paper.blocks)
    head = " · ".join(HEADS[axis] for axis in paper.rows if axis in HEADS)
    return Block(title or paper.where or paper.source, tuple(heads), lines, tuple(_notes(pairs, part, added)), head)


def _printed(cells: Sequence[Pair], paper: PaperSettings) -> list[Cell]:
    """What the source printed; numbers that it cannot have measured so are not ranked."""
    made, ranked = [], []
    for i, pair in enumerate(cells):
        if not pair.printed["printed"]:
            made.append(Cell("–", kind="skipped"))
            continue
        if pair.printed["mark"] == "printed":
            ranked.append(i)
        mark = f"[{_MARKS[str(pair.printed['mark'])]}]"
        made.append(Cell(str(pair.printed["printed"]), mark, sort=float(pair.printed["value"])))
    return mark_best(made, ranked, _places(cells), _higher(cells[0], paper))


def _ours(pairs: Pairing, settings: TableSettings, cells: Sequence[Pair]) -> list[Cell]:
    """Our means in the printed unit, or why there is none; the best of the complete ones marked."""
    places = _places(cells)
    most = max((pair.row.n_patients for pair in cells if pair.row is not None), default=0)
    made, ranked = [], []
    for i, pair in enumerate(cells):
        if math.isnan(pair.ours):
            made.append(_hole(pairs, pair))
            continue
        if pair.row.holes == 0 and pair.row.missing == 0 and pair.row.n_patients == most:
            ranked.append(i)
        low, high = pair.scale * pair.row.low, pair.scale * pair.row.high
        unit = "" if comparable(str(pair.printed["unit"]), str(pair.row.unit)) else str(pair.row.unit)
        small = " ".join(
            filter(None, [unit, interval(low, high, places, str(pair.row.clipped)) if settings.intervals else ""])
        )
        made.append(Cell(number(pair.ours, places), small, pairs.star(pair), sort=pair.ours))
    units = {str(pair.row.unit) for pair in cells if pair.row is not None}
    return mark_best(made, ranked, places, _higher(cells[0], pairs.paper)) if len(units) == 1 else made


def _hole(pairs: Pairing, pair: Pair) -> Cell:
    """A cell of ours without a number says why."""
    if not pair.printed["labelled"]:
        return Cell("–", kind="skipped")  # nobody knows which budget of ours it is
    if not pair.method[0] or not pair.labels:
        return Cell("not run", kind="skipped")
    if not pair.metric or (pairs.metrics and pair.metric not in pairs.metrics):
        return Cell("not scored", kind="skipped")
    return empty_cell(pair.row, skipped_item(pairs.material, pair.place[0], pair.method, pair.labels))


def _difference(pair: Pair) -> Cell:
    if math.isnan(pair.difference):
        return Cell("–", kind="skipped")
    places = int(pair.printed["decimals"])
    text = number(pair.difference, places)
    return Cell(f"+{text}" if float(f"{pair.difference:.{places}f}") > 0 else text, sort=pair.difference)


def _notes(pairs: Pairing, part: Sequence[Pair], added: Sequence[Pair]) -> list[str]:
    """Source, protocols, marks, then what stands under every table of ours; `added` are the rows of ours alone."""
    material = pairs.material
    sources = dict.fromkeys(f"{pair.printed['paper']}, {pair.printed['where']}" for pair in part)
    compared = [pair.protocols for pair in (*part, *added) if pair.protocols is not None]
    lines = [f"Printed in: {'; '.join(sources)}."]
    if stated := "; ".join(dict.fromkeys(str(pair.printed["protocol"]) for pair in part if pair.printed["protocol"])):
        lines.append(f"Protocol there: {stated}.")
    if compared:
        lines.append(Protocols().merged(compared).verdict)
    else:
        lines.append("Nothing of ours is mapped to these rows.")
    reasons: dict[str, dict[str, None]] = {}
    for pair in part:
        if pair.printed["mark"] != "printed":
            why = f"[{_MARKS[str(pair.printed['mark'])]}] {pair.printed['why']}"
            reasons.setdefault(why, {})[str(pair.printed["method"])] = None
    lines += [f"{', '.join(methods)}: {why}." for why, methods in reasons.items()]
    budgets = list(dict.fromkeys(pair.labels for pair in part if pair.labels))
    methods = list(dict.fromkeys(pair.method for pair in (*part, *added) if pair.method[0]))
    means = keep(rows_of_class(material.summary, "mean"), {"labels": budgets})
    for place, rows in material.places(means):
        if place in {pair.place for pair in part}:
            lines += block_notes(material, place, rows, methods)
    return lines


def _grouped(pairs: Iterable[Pair], axes: Sequence[Axis], of_source: bool = False) -> dict[Line, list[Pair]]:
    """The pairs by their values on these axes, in the source's order."""
    found: dict[Line, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(_line(pair, axes, of_source), []).append(pair)
    return found


def _line(pair: Pair, axes: Sequence[Axis], of_source: bool = False) -> Line:
    """A pair's values on these axes, with its source where one source's rows must not run into another's."""
    values = tuple(str(pair.printed[axis]) for axis in axes)
    return (*values, str(pair.printed["paper"]), str(pair.printed["where"])) if of_source else values


def _repeated(rows: Mapping[Line, object], axes: int) -> set[Line]:
    """The rows whose names another row has, too."""
    names = [row[:axes] for row in rows]
    return {row for row in rows if names.count(row[:axes]) > 1}


def _label(material: Material, pair: Pair, axes: Sequence[Axis], with_source: bool) -> MethodLabel:
    """The row's name as printed, with the name of ours that stands beside it and its provenance mark."""
    name = " · ".join(_value(pair, axis) for axis in axes)
    name += f", {pair.printed['paper']}" if with_source else ""
    label = material.label(*pair.method) if pair.method[0] else MethodLabel("", "", "", "printed there, not run here")
    return replace(label, beside=name)


def _title(pair: Pair, axes: Sequence[Axis]) -> str:
    return " · ".join(_value(pair, axis) for axis in axes)


def _value(pair: Pair, axis: Axis) -> str:
    """A pair's value on an axis, as a heading."""
    value = str(pair.printed[axis])
    if axis == "labelled":
        return f"{re.sub('^1 patients$', '1 patient', value)} labelled" if value else "labels not stated"
    if axis != "metric":
        return value or f"{axis} not stated"
    unit = str(pair.printed["unit"])
    return f"{TITLES.get(value, value)} [{unit}] {'↓' if value in _LOWER else '↑'}"


def _higher(pair: Pair, paper: PaperSettings) -> bool | None:
    """Whether more is better; None where the rows are no methods to rank."""
    return pair.printed["metric"] not in _LOWER if "method" in paper.rows else None


def _places(cells: Sequence[Pair]) -> int:
    return max(int(pair.printed["decimals"]) for pair in cells)
