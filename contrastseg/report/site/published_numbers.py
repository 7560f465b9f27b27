"""Published numbers beside ours, for the page of findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pandas as pd

from contrastseg.report.content.labels import budget_title, metric_title, number
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import ReferenceRuns
from contrastseg.report.site.wording import table_of

THEIRS = "ssl4mis"
_INTRODUCTION = """`{suite}`: the published means of {source}, ours, and the same predictions of ours scored as
`{convention}`. That is the released code of many semi-supervised methods ([policy](evaluation.md)). Dice is in per
cent, distances are in {unit}.

- Protocol differs: {differs}.
- Not stated there: {silent}.

Differences between the numbers are therefore not evidence about either code. [Published numbers](published.md) explains
the marks behind published numbers.
"""


def published_numbers(run: ReferenceRuns) -> Iterator[str]:
    """Published means with ours, by our convention and by theirs."""
    ranks = run.results.frame("conventions") if run.results.has("conventions") else None
    rows: dict[tuple[str, ...], dict[str, list[str]]] = {}
    differs, silent, sources, metrics = dict[str, None](), dict[str, None](), dict[str, None](), dict[str, None]()
    units = set()
    for path in sorted((run.folder / "tables").glob("published*.csv")):
        pairs = pd.read_csv(path).fillna({"protocol_differs": "nothing known", "protocol_not_stated": "nothing"})
        for row in records(pairs[pairs["ours_in_printed_unit"].notna()]):
            differs |= dict.fromkeys(str(row.protocol_differs).split("; "))
            silent |= dict.fromkeys(str(row.protocol_not_stated).split("; "))
            sources[f"{row.paper}, {row.where}"] = None
            units |= {str(row.printed_unit)} - {"%"}
            metrics[row.metric] = None
            theirs = None if ranks is None else _by_theirs(ranks, row)
            mark = "" if row.mark == "printed" else f" ({row.mark})"
            data = f"{run.titles[row.dataset]}, {budget_title(row.labels)}"
            who = (run.named(row.method), str(row.printed_method), data)
            rows.setdefault(who, defaultdict(lambda: ["–"] * 3))[row.metric] = [
                f"{number(float(row.printed), 1)}{mark}",
                number(float(row.ours_in_printed_unit), 1),
                "–" if theirs is None else number(theirs, 1),
            ]
    if rows:
        yield _INTRODUCTION.format(
            suite=run.suite,
            source=" and ".join(sources),
            convention=THEIRS,
            differs="; ".join(differs),
            silent="; ".join(silent),
            unit=" or ".join(sorted(units)) or "voxels",
        )
        wide = [name for name in metrics if any(found[name][1] != found[name][2] for found in rows.values())]
        shown = {name: ("published", "ours", f"by `{THEIRS}`")[: 3 if name in wide else 2] for name in metrics}
        heads = [f"{metric_title(name, arrow=False)}: {what}" for name, columns in shown.items() for what in columns]
        cells = [
            [*who, *(cell for name in metrics for cell in found[name][: len(shown[name])])]
            for who, found in rows.items()
        ]
        yield from table_of(["method", "published as", "data", *heads], cells, 3)


def _by_theirs(ranks: pd.DataFrame, row: Any) -> float | None:
    """Our mean under their convention in the published unit; None where it was not scored."""
    at = ranks["convention"] == THEIRS
    for name in ("dataset", "evaluated_on", "checkpoint", "labels", "metric", "method", "variant"):
        at &= ranks[name] == getattr(row, name)
    means = ranks.loc[at, "mean"]
    return float(means.iloc[0]) * row.ours_in_printed_unit / row.mean if len(means) and row.mean else None
