"""Three sentences on what was found, generated from the statistics; none says more than they do."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from contrastseg.evaluation.statistics.verdicts import UNTESTED, VERDICTS
from contrastseg.report.content.labels import (
    budget_order,
    budget_title,
    higher_is_better,
    metric_title,
    p_value,
    split_reference,
)
from contrastseg.report.content.report_data import Material, records
from contrastseg.report.page.leaderboard import rows_at, standings, tie
from contrastseg.text import plural

SHOWN = 3  # data sets and findings written out; the tables hold the others


def overview_sentences(material: Material, rankings: pd.DataFrame | None = None) -> list[str]:
    """The highest mean, what the tests found, and what the numbers rest on."""
    return [_highest(material, rankings), _tested(material), _rests_on(material)]


def _highest(material: Material, rankings: pd.DataFrame | None) -> str:
    """The method with the highest mean at the smallest budget of each data set; means, not a test, and it says so."""
    means = material.summary[material.summary["class"] == "mean"] if len(material.summary) else material.summary
    if not len(means):
        return "There are no scores yet."
    metric = material.metrics(["dice"])[0]
    parts = []
    for key, part in material.places(means[means["metric"] == metric]):
        smallest = min(set(part["labels"].astype(str)), key=budget_order)
        tests, ranks = (rows_at(frame, key, smallest, metric) for frame in (material.comparisons, rankings))
        best, _ = standings(material, part[part["labels"] == smallest], tests, ranks, metric)
        if not best:
            continue
        place = f"on {material.block_title(*key)} with {budget_title(smallest, material.labelled(key[0], smallest))}"
        if len(best) > 1:
            parts.append(f"{place} {tie(best)}")
            continue
        first = best[0]
        text = f"{place} it is that of {first.label.plain}, {first.mean} {first.interval}".strip()
        parts.append(f"{text} over {plural(first.patients, 'patient')}")
    if not parts:
        return "No two methods have complete scores on the same structures, so none is ranked."
    more = f"; {plural(len(parts) - SHOWN, 'data set')} more in the table" if len(parts) > SHOWN else ""
    which = "lowest" if higher_is_better(metric) is False else "highest"
    title = metric_title(metric, arrow=False)
    return f"The {which} mean {title}, which by itself is no test: {'; '.join(parts[:SHOWN])}{more}."


def _tested(material: Material) -> str:
    frame = material.comparisons
    tests = frame[~frame["verdict"].isin(UNTESTED)] if len(frame) else frame
    incomplete = int((frame["verdict"] == "incomplete").sum()) if len(frame) else 0
    untested = f" {plural(incomplete, 'comparison')} not tested, because predictions are missing." if incomplete else ""
    if not len(tests):
        return f"No method was tested against a reference.{untested}"
    found = {verdict: tests[tests["verdict"] == verdict] for verdict in VERDICTS}
    reference = material.label(*split_reference(str(tests["reference"].iloc[0]))).plain
    metrics = ", ".join(metric_title(str(name), arrow=False) for name in dict.fromkeys(tests["metric"]))
    text = (
        f"Of {plural(len(tests), 'paired test')} of {metrics} against {reference}, corrected for their number, "
        f"{len(found['better'])} found a method better{_where(material, found['better'])}, "
        f"{len(found['worse'])} worse{_where(material, found['worse'])}, and {len(found['n.s.'])} found no difference"
    )
    text += ", which does not show that there is none" if len(found["n.s."]) else ""
    if identical := len(found["identical"]):
        text += f"; {identical} compared identical scores"
    small = found["n too small"]
    if len(small):
        least = p_value(float(small["p_smallest"].min()), material.facts.alpha)
        text += f"; {len(small)} had too few patients to find any (smallest reachable p {least})"
    if against := int((tests["mean_against"] != "").sum()):
        text += f"; in {against} the means contradict the test of ranks"
    if disagreeing := int((tests["disagreement"] != "").sum()):
        text += f"; {disagreeing} would be judged otherwise on non-empty references or by false positives alone"
    return f"{text}.{untested}"


def _where(material: Material, rows: pd.DataFrame) -> str:
    places = [
        f"{material.label(str(row.method), str(row.variant)).plain} at {budget_title(str(row.labels))} on {title}"
        for title, part in ((material.block_title(*key), part) for key, part in material.places(rows))
        for row in records(part)
    ]
    shown: Sequence[str] = places[:SHOWN] + ([f"{len(places) - SHOWN} more"] if len(places) > SHOWN else [])
    return f" ({', '.join(shown)})" if shown else ""


def _rests_on(material: Material) -> str:
    frame = material.summary
    if not len(frame):
        return "Nothing was scored."
    means = frame[frame["class"] == "mean"]
    metric = material.metrics(["dice"])[0]
    rows = means[means["metric"] == metric]
    missed, invented, holes = (int(rows[name].sum()) for name in ("missed", "invented", "missing"))
    seeds, draws = (int(rows[name].max()) for name in ("n_seeds", "n_draws"))
    subsets = [note for entry in material.facts.entries.values() if (note := entry.subset_note())]
    missing = f"{plural(holes, 'score')} missing and named below" if holes else "no prediction is missing"
    text = (
        f"The numbers rest on {plural(len(material.cards), 'run')} ({plural(seeds, 'seed')}, {plural(draws, 'draw')} "
        f"of labelled patients); {plural(missed, 'structure')} missed and {invented} invented, {missing}"
    )
    return f"{text}; of the published data {'; '.join(subsets)}." if subsets else f"{text}."
