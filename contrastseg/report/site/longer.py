"""Methods with several stages beside `supervised` with as many steps, for the page of findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from contrastseg.evaluation.statistics.comparison import compare
from contrastseg.evaluation.statistics.paired import holm, smallest_p
from contrastseg.evaluation.statistics.verdicts import mean_against, verdict_of
from contrastseg.methods import registry
from contrastseg.report.content.labels import number
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import ComparedPlace, ReferenceRuns
from contrastseg.report.site.wording import beside, table_of

_AS_LONG = """`{suite}`, seed 0: the Dice of `supervised` with two or three times the steps, and the difference of the
methods with two or three stages from it. Tests are corrected over all of them at that budget. Equal steps can take
unequal time: see [costs of a method](#costs-of-a-method).
"""


def as_long(run: ReferenceRuns) -> Iterator[str]:
    """Methods with several stages beside `supervised` with as many steps as all their stages have."""
    places = run.places()
    found = [{row.method: row for row in against_controls(run, place)} for place in places]
    usual = run.results.plan["suite"]["training"]["steps"]
    staged = {name: len(registry.get(name).stages) for name in run.methods if any(name in rows for rows in found)}
    rows = []
    for stages in sorted(set(staged.values())):
        names = [name for name in staged if staged[name] == stages]
        means = ([number(at[name].reference_mean, 3) for name in names if name in at] for at in found)
        rows.append([run.named("supervised"), f"{stages * usual:,} steps", *(next(iter(mean), "–") for mean in means)])
        for name in names:
            told = (beside(at[name]) if name in at else "–" for at in found)
            rows.append([run.named(name), f"{stages} × {usual:,} steps", *told])
    if rows:
        yield _AS_LONG.format(suite=run.suite)
        yield from table_of(["method", "trained for", *(place.name for place in places)], rows, 2)


def against_controls(run: ReferenceRuns, place: ComparedPlace) -> list[Any]:
    """Rows of `compare` for the methods of k stages against the control of k times the steps, seed 0 of both."""
    usual, dice = run.results.plan["suite"]["training"]["steps"], run.dice(place)
    tables: list[pd.DataFrame] = []
    for steps, control in run.controls(place).items():
        methods = [name for name in run.methods if len(registry.get(name).stages) * usual == steps]
        part = dice[dice["method"].isin(methods) & (dice["seed"] == 0)]
        if steps > usual and len(part):
            table = compare(pd.concat([part, control]), f"supervised/{steps}_steps", family="methods")
            tables.append(table[table["verdict"] != "reference"])
    return list(records(one_family(pd.concat(tables)))) if tables else []


def one_family(table: pd.DataFrame, alpha: float = 0.05) -> pd.DataFrame:
    """Rows of several `compare`, with other references each, corrected over all of them.

    The sign of the Hodges-Lehmann estimate is that of the rank sums that a verdict asks for.
    """
    tested = table[table["p"].notna()]
    differing = (tested["n"] - tested["zeros"]).astype(int)
    p, reach = holm(tested["p"].to_numpy()), smallest_p(differing.to_numpy())
    judged = zip(p, reach, tested["hl_estimate"], tested["direction"], [alpha] * len(p), differing, strict=True)
    found = tested.assign(p_holm=p, verdict=[verdict_of(*row) for row in judged])
    said = zip(found["verdict"], found["mean_difference"], found["direction"], strict=True)
    return pd.concat([found.assign(mean_against=[mean_against(*one) for one in said]), table[table["p"].isna()]])
