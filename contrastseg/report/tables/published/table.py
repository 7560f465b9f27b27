"""A published table in its own layout: the published number, ours, the difference, and how the protocols compare.

Ours is written in the published unit with the published decimals. A difference is taken where the units allow one; it
is an effect of the methods only where the protocols match, and every block says whether they do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from contrastseg.checkpoint_names import ORACLE, ORACLE_MARK
from contrastseg.report.content.labels import MethodLabel, interval, number
from contrastseg.report.content.report_data import ReportData, keep
from contrastseg.report.settings import TableSettings
from contrastseg.report.settings.published import AXES, Axis, PublishedSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Row
from contrastseg.report.tables.published.matching import Match, Matching, matching
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
_NO_FINDING = "printed"  # the audit's mark of a number that nothing speaks against
_OURS = ("unit", "mean", "low", "high", "n_patients", "n_seeds", "missed", "invented", "holes", "missing")
Line = tuple[str, ...]


def _blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """The blocks of the published table; under the rows the source has, our other methods."""
    published = _published(settings)
    matched = matching(data, published)
    groups = _grouped(matched.matches(), published.blocks).values()
    return [_block(matched, _grid(matched, matches), intervals=settings.intervals) for matches in groups]


def _tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    """One line per published number, in the source's wording beside ours; differences in the published unit."""
    rows = []
    for match in matching(data, _published(settings)).matches():
        protocols = match.protocols or Protocols()
        source = {f"printed_{name}": match.published[name] for name in (*AXES[1:], "unit")}
        ours = {} if match.row is None else {name: getattr(match.row, name) for name in _OURS}
        rows.append(
            {
                **dict(zip(("dataset", "evaluated_on", "checkpoint"), match.place, strict=True)),
                **{"labels": match.labels, "method": match.method[0], "variant": match.method[1]},
                **{"metric": match.metric},
                **{name: match.published[name] for name in ("paper", "where", "protocol")},
                **source,
                **{name: match.published[name] for name in ("printed", "mark", "why")},
                **{name: ours.get(name, math.nan) for name in _OURS},
                "ours_in_printed_unit": match.ours,
                "difference": match.difference,
                "protocol_differs": "; ".join(protocols.differs),
                "protocol_not_stated": "; ".join(protocols.not_stated),
            }
        )
    return pd.DataFrame(rows)


def _published(settings: TableSettings) -> PublishedSettings:
    assert settings.published is not None  # the settings' own validator sees to it
    return settings.published


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """The matches of one block as rows and columns.

    Attributes:
        matches: Every published number of the block.
        labels: The label of each row: the source's rows, then our methods that the source does not have.
        columns: The heading of each column with its match in every row.
        own: The matches of the rows that the source does not have.
    """

    matches: Sequence[Match]
    labels: Sequence[MethodLabel]
    columns: Sequence[tuple[str, Sequence[Match]]]
    own: Sequence[Match]


def _grid(matched: Matching, matches: Sequence[Match]) -> _Grid:
    """Lay the published numbers of one block out, and fill in the cells that the source leaves empty."""
    axes = matched.settings
    rows = _grouped(matches, axes.rows, with_source=True)
    by_cell = {(_line(match, axes.rows, with_source=True), _line(match, axes.columns)): match for match in matches}
    own_methods = matched.own_methods(matches) if axes.rows == ["method"] else []
    columns, own_matches = [], []
    for column, members in _grouped(matches, axes.columns).items():
        of_source = [
            by_cell.get((row, column)) or matched.unpublished(members[0], dict(zip(axes.rows, row, strict=False)))
            for row in rows
        ]
        of_ours = [matched.unpublished(members[0], {"method": ""}, method) for method in own_methods]
        columns.append((_heading(members[0], axes.columns), [*of_source, *of_ours]))
        own_matches += of_ours
    repeated = _repeated(rows, len(axes.rows))
    labels = [_label(matched.data, members[0], axes.rows, row in repeated) for row, members in rows.items()]
    labels += [matched.data.label(*method) for method in own_methods]
    return _Grid(matches=matches, labels=labels, columns=columns, own=own_matches)


def _block(matched: Matching, grid: _Grid, *, intervals: bool) -> Block:
    """A block with three columns of cells for each column of the grid: published, ours, difference."""
    settings = matched.settings
    heads: list[Column] = []
    cells: list[list[Cell]] = []
    for heading, column in grid.columns:
        heads += [Column(name, heading) for name in ("published", "ours", "difference")]
        cells += [
            _published_cells(column, settings),
            _our_cells(matched, column, intervals=intervals),
            [_difference(match) for match in column],
        ]
    rows = [Row(label, tuple(column[at] for column in cells)) for at, label in enumerate(grid.labels)]
    title = _heading(grid.matches[0], settings.blocks)
    head = " · ".join(HEADS[axis] for axis in settings.rows if axis in HEADS)
    return Block(
        title or settings.where or settings.source,
        tuple(heads),
        tuple(rows),
        tuple(_block_footnotes(matched, grid)),
        head,
    )


def _published_cells(column: Sequence[Match], settings: PublishedSettings) -> list[Cell]:
    """The published numbers with the audit's marks; marked ones are not ranked."""
    cells, ranked = [], []
    for at, match in enumerate(column):
        if not match.published["printed"]:
            cells.append(Cell("–", kind="skipped"))
            continue
        mark = str(match.published["mark"])
        if mark == _NO_FINDING:
            ranked.append(at)
        value = float(match.published["value"])
        cells.append(Cell(str(match.published["printed"]), "" if mark == _NO_FINDING else mark, sort=value))
    return mark_best(cells, ranked, _places(column), _higher(column[0], settings))


def _our_cells(matched: Matching, column: Sequence[Match], *, intervals: bool) -> list[Cell]:
    """Our means in the published unit, or why there is none; the best of the complete ones marked."""
    places = _places(column)
    most_patients = max((match.row.n_patients for match in column if match.row is not None), default=0)
    cells, ranked = [], []
    for at, match in enumerate(column):
        if math.isnan(match.ours):
            cells.append(_empty(matched, match))
            continue
        row = match.row
        oracle = match.place[2] == ORACLE
        if row.holes == 0 and row.missing == 0 and row.n_patients == most_patients and not oracle:
            ranked.append(at)
        small = [ORACLE_MARK] if oracle else []
        small += [] if comparable(str(match.published["unit"]), str(row.unit)) else [str(row.unit)]
        if intervals:
            small.append(interval(match.scale * row.low, match.scale * row.high, places, str(row.clipped)))
        text = number(match.ours, places)
        cells.append(Cell(text, " ".join(filter(None, small)), matched.star(match), sort=match.ours))
    units = {str(match.row.unit) for match in column if match.row is not None}
    return mark_best(cells, ranked, places, _higher(column[0], matched.settings)) if len(units) == 1 else cells


def _empty(matched: Matching, match: Match) -> Cell:
    """A cell of ours without a number says why."""
    if not match.published["labelled"]:
        return Cell("–", kind="skipped")  # the source does not state its budget, so ours is unknown
    if not match.method[0] or not match.labels:
        return Cell("not run", kind="skipped")
    if not match.metric or (matched.metrics and match.metric not in matched.metrics):
        return Cell("not scored", kind="skipped")
    return empty_cell(match.row, footnotes.skipped_item(matched.data, match.place[0], match.method, match.labels))


def _difference(match: Match) -> Cell:
    if math.isnan(match.difference):
        return Cell("–", kind="skipped")
    places = int(match.published["decimals"])
    text = number(match.difference, places)
    return Cell(f"+{text}" if float(f"{match.difference:.{places}f}") > 0 else text, sort=match.difference)


def _block_footnotes(matched: Matching, grid: _Grid) -> list[str]:
    """Source, protocols, audit findings, then the footnotes of every table of ours."""
    published = [match.published for match in grid.matches]
    sources = dict.fromkeys(f"{row['paper']}, {row['where']}" for row in published)
    stated = dict.fromkeys(str(row["protocol"]) for row in published if row["protocol"])
    compared = [match.protocols for match in (*grid.matches, *grid.own) if match.protocols is not None]
    lines = [wording.published_in(list(sources))]
    lines += [wording.published_protocol("; ".join(stated))] if stated else []
    lines.append(Protocols.merged(compared).verdict if compared else wording.NOT_MAPPED)
    methods_by_finding: dict[tuple[str, str], dict[str, None]] = {}
    for row in published:
        if row["mark"] != _NO_FINDING:
            finding = str(row["mark"]), str(row["why"])
            methods_by_finding.setdefault(finding, {})[str(row["method"])] = None
    lines += [wording.audit_finding(list(methods), *finding) for finding, methods in methods_by_finding.items()]
    return [*lines, *_footnotes_of_ours(matched.data, grid)]


def _footnotes_of_ours(data: ReportData, grid: _Grid) -> list[str]:
    budgets = list(dict.fromkeys(match.labels for match in grid.matches if match.labels))
    methods = list(dict.fromkeys(match.method for match in (*grid.matches, *grid.own) if match.method[0]))
    places = {match.place for match in grid.matches}
    means = keep(rows_of_class(data.summary, "mean"), {"labels": budgets})
    return [
        line
        for place, rows in data.places(means)
        if place in places
        for line in footnotes.block_footnotes(data, place, rows, methods)
    ]


def _grouped(matches: Iterable[Match], axes: Sequence[Axis], with_source: bool = False) -> dict[Line, list[Match]]:
    """The matches by their values on these axes, in the source's order."""
    groups: dict[Line, list[Match]] = {}
    for match in matches:
        groups.setdefault(_line(match, axes, with_source), []).append(match)
    return groups


def _line(match: Match, axes: Sequence[Axis], with_source: bool = False) -> Line:
    """A match's values on these axes, with its source where one source's rows must not run into another's."""
    number = match.published
    values = tuple(str(number[axis]) for axis in axes)
    return (*values, str(number["paper"]), str(number["where"])) if with_source else values


def _repeated(rows: Mapping[Line, object], axes: int) -> set[Line]:
    """The rows whose names another row has, too."""
    names = [row[:axes] for row in rows]
    return {row for row in rows if names.count(row[:axes]) > 1}


def _label(data: ReportData, match: Match, axes: Sequence[Axis], with_source: bool) -> MethodLabel:
    """The row's published name, with the name of ours that stands beside it and its provenance mark."""
    name = _heading(match, axes)
    name += f", {match.published['paper']}" if with_source else ""
    label = data.label(*match.method) if match.method[0] else MethodLabel("", "", "", wording.PUBLISHED_ONLY)
    return replace(label, published_name=name)


def _heading(match: Match, axes: Sequence[Axis]) -> str:
    return " · ".join(_value(match, axis) for axis in axes)


def _value(match: Match, axis: Axis) -> str:
    """A match's value on an axis, as a heading."""
    value = str(match.published[axis])
    if axis == "labelled":
        return f"{re.sub('^1 patients$', '1 patient', value)} labelled" if value else "labels not stated"
    if axis != "metric":
        return value or f"{axis} not stated"
    unit = str(match.published["unit"])
    return f"{TITLES.get(value, value)} [{unit}] {'↓' if value in _LOWER else '↑'}"


def _higher(match: Match, settings: PublishedSettings) -> bool | None:
    """Whether more is better; None where the rows are no methods to rank."""
    return match.published["metric"] not in _LOWER if "method" in settings.rows else None


def _places(column: Sequence[Match]) -> int:
    return max(int(match.published["decimals"]) for match in column)


def _footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    policy = wording.policy(data.suite.convention)
    legend = footnotes.provenance_legend(blocks)
    return [*wording.PUBLISHED_FOOTNOTES, *footnotes.star_footnotes(data), policy, *legend]


PUBLISHED = TableKind(wording.PUBLISHED_CAPTION, _blocks, _tidy, _footnotes, tested=False)
