"""Methods with several stages beside `supervised` with as many steps as the longest, for the page of findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from contrastseg.evaluation.statistics.comparison import compare
from contrastseg.methods import registry
from contrastseg.report.content.labels import number
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import EQUAL_STEPS, ComparedPlace, ReferenceRuns
from contrastseg.report.site.wording import beside, table_of

_AS_LONG = """`{suite}`: the Dice of the row `supervised/equal_steps`, which trains as long as the longest method, and
the difference of the methods with several stages from it. Methods with fewer stages than the longest train for fewer
steps than this row. Tests are corrected over all of them at that budget. Equal steps can take unequal time: see
[costs of a method](#costs-of-a-method).
"""


def as_long(run: ReferenceRuns) -> Iterator[str]:
    """Methods with several stages beside the row of equal steps."""
    places = run.places()
    found = [{row.method: row for row in against_equal_steps(run, place)} for place in places]
    staged = {name: len(registry.get(name).stages) for name in run.methods if any(name in rows for rows in found)}
    if not staged:
        return
    means = (next((number(row.reference_mean, 3) for row in at.values()), "–") for at in found)
    totals = dict.fromkeys(f"{total:,}" for place in places if (total := run.equal_total(place.entry)) is not None)
    rows = [[run.named("supervised", EQUAL_STEPS), f"{' or '.join(totals)} steps", *means]]
    for name, stages in sorted(staged.items(), key=lambda item: item[1]):
        usual = dict.fromkeys(f"{steps:,}" for place in places if (steps := run.usual_steps(place.entry)))
        told = (beside(at[name]) if name in at else "–" for at in found)
        rows.append([run.named(name), f"{stages} × {' or '.join(usual)} steps", *told])
    yield _AS_LONG.format(suite=run.suite)
    yield from table_of(["method", "trained for", *(place.name for place in places)], rows, 2)


def against_equal_steps(run: ReferenceRuns, place: ComparedPlace) -> list[Any]:
    """Rows of `compare` for the methods with several stages against the row of equal steps, in the runs it has."""
    key = (place.entry, place.labels)
    if key not in run.against_longer:
        run.against_longer[key] = _against_equal_steps(run, place)
    return run.against_longer[key]


def _against_equal_steps(run: ReferenceRuns, place: ComparedPlace) -> list[Any]:
    """Rows of `compare` for the methods with several stages against the row of equal steps, in the runs it has."""
    longer = run.dice(place, EQUAL_STEPS)
    longer = longer[longer["method"] == "supervised"]
    dice = run.dice(place)
    staged = [name for name in run.methods if len(registry.get(name).stages) > 1]
    methods = dice[dice["method"].isin(staged) & dice["seed"].isin(longer["seed"].unique())]
    if not len(longer) or not len(methods):
        return []
    table = compare(pd.concat([methods, longer]), f"supervised/{EQUAL_STEPS}", family="methods")
    return list(records(table[table["verdict"] != "reference"]))
