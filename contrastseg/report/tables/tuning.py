"""The table of a tuned suite's choices: which settings won, by how much, and what it cost."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import LAST, SELECTED_BY
from contrastseg.report.content.labels import budget_order, budget_title, decimals, metric_title, number
from contrastseg.report.content.report_data import Place, ReportData, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes, wording
from contrastseg.report.tables.kind import TableKind
from contrastseg.report.tables.model import Block, Cell, Column, Row

_REPLICATE = ("draw", "fold")


def tuned_sentence(data: ReportData) -> str:
    """The number of trials and their hours; empty in an untuned suite."""
    if data.suite.trials is None:
        return ""
    hours = float(data.tuned["hours"].sum()) if len(data.tuned) else math.nan
    return wording.tuned(data.suite.trials, data.suite.validation, hours)


def with_tuning(caption: str, data: ReportData) -> str:
    """A caption that says of a tuned suite how its rows are tuned."""
    return " ".join(filter(None, (caption, tuned_sentence(data))))


def _blocks(data: ReportData, settings: TableSettings) -> list[Block]:
    """One block per data set and label budget: methods down, with their choice."""
    return [
        _block(data, settings, key, labels, rows[rows["labels"] == labels])
        for key, rows in data.places(_placed(data.tuned))
        for labels in sorted(set(rows["labels"].astype(str)), key=budget_order)
    ]


def _placed(frame: pd.DataFrame) -> pd.DataFrame:
    """The choices where the tables of their scores stand."""
    return frame.assign(evaluated_on=frame["dataset"], checkpoint=LAST, metric=SELECTED_BY) if len(frame) else frame


def _block(data: ReportData, settings: TableSettings, key: Place, labels: str, rows: pd.DataFrame) -> Block:
    places = decimals(SELECTED_BY, settings.decimals)
    several = [name for name in _REPLICATE if rows[name].nunique() > 1]
    order = data.pair_order({(str(row.method), str(row.variant)) for row in records(rows)})
    ordered = sorted(
        records(rows), key=lambda row: (order.index((str(row.method), str(row.variant))), row.draw, row.fold)
    )
    dice = f"validation {metric_title(SELECTED_BY)}"
    columns = [*map(Column, several), *map(Column, wording.TUNING_COLUMNS[:2])]
    columns += [Column(name, dice) for name in wording.TUNING_COLUMNS[2:5]] + [Column(wording.TUNING_COLUMNS[5])]
    lines = [Row(data.label(str(row.method), str(row.variant)), _cells(row, several, places)) for row in ordered]
    patients = sorted({int(count) for count in rows["n_patients"]})
    notes = [wording.tuning_sample(patients, sorted({int(count) for count in rows["inner_folds"]}))]
    diverged = [
        f"{data.label(str(row.method), str(row.variant)).name} {row.diverged}" for row in ordered if row.diverged
    ]
    notes += [wording.diverged(diverged)] if diverged else []
    budget = budget_title(labels, data.labelled(key[0], labels))
    return Block(f"{data.block_title(*key)} · {budget}", tuple(columns), tuple(lines), tuple(notes))


def _cells(row: Any, several: Sequence[str], places: int) -> tuple[Cell, ...]:
    error = "" if math.isnan(row.standard_error) else f"± {number(row.standard_error, places)}"
    rival = "" if math.isnan(row.rival) else f"trial {int(row.rival)}"
    return (
        *(Cell(str(int(getattr(row, name))), sort=float(getattr(row, name))) for name in several),
        Cell(str(int(row.trial)), sort=float(row.trial)),
        Cell(_settings(str(row.values))),
        Cell(number(row.dice, places), sort=float(row.dice)),
        Cell(number(row.dice_defaults, places), sort=None if math.isnan(row.dice_defaults) else row.dice_defaults),
        Cell(number(row.difference, places), " ".join(filter(None, (error, rival and f"({rival})")))),
        Cell(number(row.hours, 2), sort=float(row.hours)),
    )


def _settings(values: str) -> str:
    """Settings as a reader would write them: `weight: 0.1, decay: 0.99`, or that they are the defaults."""
    chosen = json.loads(values)
    return ", ".join(f"{name}: {value}" for name, value in chosen.items()) or wording.DEFAULTS


def _tidy(data: ReportData, settings: TableSettings) -> pd.DataFrame:
    return _placed(data.tuned)


def _footnotes(data: ReportData, blocks: Sequence[Block]) -> list[str]:
    return [*wording.TUNING_READING, *footnotes.provenance_legend(blocks)]


TUNING = TableKind(wording.TUNING_CAPTION, _blocks, _tidy, _footnotes, reads=("tuned",), tested=False)
