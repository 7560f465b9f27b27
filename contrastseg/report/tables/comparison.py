"""The table of paired comparisons: what was tested, on how many patients, and what could have been found at all."""

from __future__ import annotations

from typing import Any

import pandas as pd

from contrastseg.report.content.labels import (
    VERDICTS,
    budget_order,
    budget_short,
    decimals,
    effect,
    effect_interval,
    metric_order,
    metric_title,
    number,
    p_value,
)
from contrastseg.report.content.report_data import Material, records
from contrastseg.report.settings import TableSettings
from contrastseg.report.tables import footnotes
from contrastseg.report.tables.model import Block, Cell, Column, Row
from contrastseg.text import plural

# What was found first: on a phone the rest lies to the right.
FOUND, COUNTS = (
    ("labels", "verdict"),
    ("p (Holm)", "smallest p", "n", "zeros", "ref. mean", "mean diff.", "median diff."),
)
BESIDE = ("verdict", "mean diff.", "p (Holm)", "n", "rate", "reference", "verdict")
_FULL, _EMPTY = "non-empty references alone", "false positives per empty reference"
_GROUPS = (*[_FULL] * 4, *[_EMPTY] * 3)


def comparison_blocks(material: Material, settings: TableSettings) -> list[Block]:
    """One block per data set and metric: each method against the reference at each label budget."""
    frame = material.comparisons
    if not len(frame):
        return []
    frame = frame[frame["verdict"] != "reference"]
    wanted = settings.metrics or metric_order(frame["metric"].astype(str))
    blocks = []
    for key, part in material.places(frame):
        order = material.pair_order([(str(row.method), str(row.variant)) for row in records(part)])
        for metric in wanted:
            rows = part[part["metric"] == metric]
            if not len(rows):
                continue
            places = decimals(metric, settings.decimals)
            beside = bool((rows["empty_references"] > 0).any())
            titles = (*FOUND, f"HL shift [{material.facts.level}]", *COUNTS)
            columns = [Column(title) for title in titles]
            columns += [Column(*one) for one in zip(BESIDE, _GROUPS, strict=True)] if beside else []
            ordered = sorted(
                records(rows),
                key=lambda row: (budget_order(str(row.labels)), order.index((str(row.method), str(row.variant)))),
            )
            blocks.append(
                Block(
                    f"{material.block_title(*key)} · {metric_title(metric, str(rows['unit'].iloc[0]))}",
                    tuple(columns),
                    tuple(_row(row, material, places, beside) for row in ordered),
                    tuple(footnotes.comparison_notes(material, rows)),
                )
            )
    return blocks


def _row(row: Any, material: Material, places: int, beside: bool) -> Row:
    labels, alpha = str(row.labels), material.facts.alpha
    cells = [
        Cell(budget_short(labels), sort=budget_order(labels)[1]),
        _verdict(str(row.verdict), flags(row)),
        Cell(
            effect(row.hl_estimate, places),
            effect_interval(row.hl_low, row.hl_high, places),
            sort=float(row.hl_estimate),
        ),
        Cell(p_value(row.p_holm, alpha), sort=float(row.p_holm)),
        Cell(p_value(row.p_smallest, alpha), sort=float(row.p_smallest)),
        _count(row.n),
        _count(row.zeros),
        Cell(number(row.reference_mean, places), sort=float(row.reference_mean)),
        Cell(effect(row.mean_difference, places), sort=float(row.mean_difference)),
        Cell(effect(row.median_difference, places), sort=float(row.median_difference)),
    ]
    if beside:
        cells += [
            _verdict(str(row.nonempty_verdict)),
            Cell(effect(row.nonempty_mean_difference, places), sort=float(row.nonempty_mean_difference)),
            Cell(p_value(row.nonempty_p_holm, alpha), sort=float(row.nonempty_p_holm)),
            _count(row.nonempty_n),
            Cell(number(row.false_positives, 2), sort=float(row.false_positives)),
            Cell(number(row.reference_false_positives, 2), sort=float(row.reference_false_positives)),
            _verdict(str(row.false_positives_verdict), f"(p {p_value(row.false_positives_p_holm, alpha)})"),
        ]
    return Row(material.label(str(row.method), str(row.variant)), tuple(cells))


def flags(row: Any) -> str:
    """What has to stand beside the verdict of a comparison, or its word would not agree with its numbers."""
    n, zeros, missing, of_reference, structures, undefined = (
        0 if pd.isna(value) else int(value)
        for value in (row.n, row.zeros, row.missing, row.reference_missing, row.structures, row.undefined)
    )
    said = [str(row.mean_against)] if row.mean_against else []
    if row.verdict == "n too small" and zeros:
        said.append(f"{n - zeros} of {n} differ")
    if row.verdict == "incomplete":
        said += [f"{missing} missing"] if missing else []
        said += [f"{of_reference} missing of the reference"] if of_reference else []
        said.append(f"described on {plural(structures, 'common structure')}")
    elif undefined:
        said.append(f"{plural(undefined, 'structure')} undefined for one")
    said += [str(row.disagreement)] if row.disagreement else []
    return f"({'; '.join(said)})" if said else ""


def _verdict(verdict: str, small: str = "") -> Cell:
    if not verdict:
        return Cell("–")
    return Cell(VERDICTS.get(verdict, verdict), small, kind=f"verdict-{verdict.replace(' ', '-')}")


def _count(value: Any) -> Cell:
    """A count, empty where nothing could be paired."""
    return Cell("–") if pd.isna(value) else Cell(str(int(value)), sort=float(value))
