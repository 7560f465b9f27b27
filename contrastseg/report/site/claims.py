"""What other rules would have claimed of the stored runs: selection on test cases, and other scoring conventions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import LAST, ORACLE_MARK
from contrastseg.report.content.labels import higher_is_better, metric_title, number
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import ComparedPlace, ReferenceRuns
from contrastseg.report.site.wording import signed, table_of

METRICS = ("dice", "hd95")
_SELECTION = """`{suite}`: mean Dice of the checkpoint with the best score on the test cases ({mark}), minus that of
the last checkpoint, over all methods. *Optimism* is the part that vanishes when each patient is scored at a checkpoint
selected on the others. *Above `supervised`* counts the methods with a higher mean than the last checkpoint of
`supervised`: by their last checkpoint, and if only they were selected on the test cases. None of this is tested.
"""
_CONVENTIONS = """`{suite}`, {metric}: the same predictions scored by each convention. A cell has the mean of
`supervised`, the method with the best mean, and how many methods have a better mean than `supervised`. A star marks
another best method than ours.
"""


def by_selection(run: ReferenceRuns) -> Iterator[str]:
    """The oracle beside the last checkpoint, at every data set and budget."""
    if not run.results.has("selection"):
        yield f"- `{run.suite}`: not run. The stored runs keep no snapshots to select from."
        return
    table = run.results.frame("selection")
    table = table[table["missing"] == 0]
    rows = [_selected(place, _of(table, place)) for place in run.places() if len(_of(table, place))]
    yield _SELECTION.format(suite=run.suite, mark=ORACLE_MARK)
    heads = ["data", "oracle minus last: median (range)", "optimism: median (range)", "above `supervised`"]
    yield from table_of(heads, rows, 1)


def _of(table: pd.DataFrame, place: ComparedPlace) -> pd.DataFrame:
    at = (table["dataset"] == place.entry) & (table["evaluated_on"] == place.entry)
    return table[at & (table["labels"] == place.labels)]


def _selected(place: ComparedPlace, rows: pd.DataFrame) -> list[str]:
    base = rows[(rows["method"] == place.baseline.method) & (rows["variant"] == place.baseline.variant)]
    above = "–"
    if len(base):
        others = rows.drop(index=base.index)
        line = float(base["last"].iloc[0])
        before, after = (int((others[name] > line).sum()) for name in ("last", "oracle"))
        above = f"{before} of {len(others)}; selected: {after}"
    return [place.name, _spread(rows["oracle"] - rows["last"]), _spread(rows["optimism"]), above]


def _spread(values: pd.Series) -> str:
    return f"{signed(values.median())} ({signed(values.min())} to {signed(values.max())})"


def by_conventions(run: ReferenceRuns) -> Iterator[str]:
    """Mean of the baseline and best method by each convention, for every metric that a convention changes."""
    if not run.results.has("conventions"):
        yield f"- `{run.suite}`: not run. The stored runs were scored by one convention."
        return
    table = run.results.frame("conventions")
    table = table[(table["checkpoint"] == LAST) & (table["dataset"] == table["evaluated_on"])]
    names = list(dict.fromkeys(table["convention"]))
    for metric in METRICS:
        rows = table[table["metric"] == metric]
        title = metric_title(metric, arrow=False)
        if not len(rows):
            continue
        spread = rows.groupby(["dataset", "labels", "method", "variant"])["mean"].agg(
            lambda means: means.max() - means.min()
        )
        if spread.max() < 1e-12:
            yield f"- `{run.suite}`, {title}: every convention gives the same numbers.\n"
            continue
        yield _CONVENTIONS.format(suite=run.suite, metric=title)
        cells = [[place.name, *_by_each(run, place, _at(rows, place), names)] for place in run.places()]
        yield from table_of(["data", *(f"`{name}`" for name in names)], cells, 1)


def _at(rows: pd.DataFrame, place: ComparedPlace) -> pd.DataFrame:
    return rows[(rows["dataset"] == place.entry) & (rows["labels"] == place.labels)]


def _by_each(run: ReferenceRuns, place: ComparedPlace, rows: pd.DataFrame, names: list[str]) -> Iterator[str]:
    """A cell for each convention: the baseline's mean, and the best method; `rows` are of one metric."""
    ours = ""
    for name in names:
        here = rows[(rows["convention"] == name) & rows["mean"].notna()]
        if not len(here):
            yield "–"
            continue
        metric = str(here["metric"].iloc[0])
        best = next(records(here.sort_values("mean", ascending=not higher_is_better(metric), kind="stable")))
        first = run.named(str(best.method), str(best.variant))
        ours = ours or first
        yield f"{_baseline(place, here, metric)}<br>{first}{'' if first == ours else chr(92) + '*'}"


def _baseline(place: ComparedPlace, rows: pd.DataFrame, metric: str) -> str:
    """The baseline's mean, and how many methods have a better one."""
    base: Any = place.baseline
    own = (rows["method"] == base.method) & (rows["variant"] == base.variant)
    if not own.any():
        return "–"
    mean, others = float(rows.loc[own, "mean"].iloc[0]), rows.loc[~own, "mean"]
    better = others > mean if higher_is_better(metric) else others < mean
    return f"{number(mean, 3 if metric == 'dice' else 1)}; {int(better.sum())} of {len(others)} better"
