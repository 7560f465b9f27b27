"""The summary text of the overview, generated from the statistics; no sentence says more than they do."""

from __future__ import annotations

import pandas as pd

from contrastseg.evaluation.statistics.verdicts import UNTESTED, VERDICTS
from contrastseg.report.content.labels import (
    budget_order,
    budget_title,
    higher_is_better,
    metric_title,
    p_value,
    split_baseline,
)
from contrastseg.report.content.report_data import PLACE, ReportData, records
from contrastseg.report.page import wording
from contrastseg.report.page.leaderboard import best_means, comparable_means, rows_at, tie
from contrastseg.report.tables.tuning import tuned_sentence

NAMED = 3  # data sets and significant results that are written out; the tables hold the others


def overview_sentences(data: ReportData) -> list[str]:
    """The best means, the results of the tests, what one seed or draw would say, and what the numbers rest on."""
    parts = (_highest_means(data), _tests(data), _alone(data), _over_draws(data), tuned_sentence(data), _rests_on(data))
    return [text for text in parts if text]


def _highest_means(data: ReportData) -> str:
    """The best mean at the smallest budget of each data set."""
    means = comparable_means(data)
    if not len(means):
        return wording.NO_SCORES
    metric = data.metrics(["dice"])[0]
    places = []
    for key, rows in data.places(means[means["metric"] == metric]):
        smallest = min(set(rows["labels"].astype(str)), key=budget_order)
        tests, ranks = (rows_at(frame, key, smallest, metric) for frame in (data.comparisons, data.rankings))
        best, _ = best_means(data, rows[rows["labels"] == smallest], tests=tests, ranks=ranks, metric=metric)
        place = f"{data.block_title(*key)} with {budget_title(smallest, data.labelled(key[0], smallest))}"
        if len(best) > 1:
            places.append(f"{place}: {tie(best)}")
        elif best:
            mean = f"{best[0].mean} {best[0].interval}".strip()
            places.append(wording.best_at(place, best[0].label.plain, mean, best[0].patients))
    if not places:
        return wording.NO_RANKING + "."
    highest = higher_is_better(metric) is not False
    title = metric_title(metric, arrow=False)
    return wording.highest_means(title, highest=highest, places=places[:NAMED], more=max(0, len(places) - NAMED))


def _tests(data: ReportData) -> str:
    """How many tests found what, and how many could not."""
    comparisons = data.comparisons
    incomplete = int((comparisons["verdict"] == "incomplete").sum()) if len(comparisons) else 0
    tests = comparisons[~comparisons["verdict"].isin(UNTESTED)] if len(comparisons) else comparisons
    if not len(tests):
        return wording.no_test(incomplete)
    by_verdict = {verdict: tests[tests["verdict"] == verdict] for verdict in VERDICTS}
    baseline = data.label(*split_baseline(str(tests["reference"].iloc[0]))).plain
    metrics = ", ".join(metric_title(str(name), arrow=False) for name in dict.fromkeys(tests["metric"]))
    counts = [
        *(
            wording.significant(len(by_verdict[verdict]), verdict, _methods(data, by_verdict[verdict]))
            for verdict in ("better", "worse")
        ),
        f"{len(by_verdict['n.s.'])} not significant",
    ]
    if identical := len(by_verdict["identical"]):
        counts.append(f"{identical} of identical scores")
    small = by_verdict["n too small"]
    if len(small):
        smallest = p_value(float(small["p_smallest"].min()), data.suite.alpha)
        counts.append(wording.too_small(len(small), smallest))
    if against := int((tests["mean_against"] != "").sum()):
        counts.append(wording.means_contradict(against))
    if disagreeing := int((tests["disagreement"] != "").sum()):
        counts.append(wording.another_verdict(disagreeing))
    sentences = [f"{wording.tested(len(tests), metrics, baseline)}: {', '.join(counts)}."]
    sentences += [wording.NOT_EQUALITY] if len(by_verdict["n.s."]) else []
    return " ".join(filter(None, [*sentences, wording.not_tested(incomplete)]))


def _alone(data: ReportData) -> str:
    """How often one seed or one draw alone says what all runs say, where they find a method better; else empty."""
    if not len(data.variance) or not len(data.comparisons):
        return ""
    better = data.comparisons[data.comparisons["verdict"] == "better"]
    found = better.merge(data.variance, on=[*PLACE, "metric", "labels", "method", "variant"])
    counts = {
        axis: (int(found[f"one_{axis}_better"].sum()), int(found[f"one_{axis}"].sum())) for axis in ("seed", "draw")
    }
    return wording.alone({axis: count for axis, count in counts.items() if count[1]})


def _over_draws(data: ReportData) -> str:
    """What the comparison averaged over draws finds, which has a family of its own; empty where there is none."""
    frame = data.draws
    tests = frame[~frame["verdict"].isin(UNTESTED)] if len(frame) else frame
    if not len(tests):
        return ""
    by_verdict = {verdict: tests[tests["verdict"] == verdict] for verdict in ("better", "worse")}
    return wording.over_draws(
        [*data.suite.draws, *data.suite.further_draws],
        methods=len(tests[["method", "variant"]].drop_duplicates()),
        tests=len(tests),
        significant=[
            wording.significant(len(rows), verdict, _methods(data, rows)) for verdict, rows in by_verdict.items()
        ],
    )


def _methods(data: ReportData, tests: pd.DataFrame) -> str:
    """The methods of these tests with budget and data set, in brackets; empty where there is none."""
    named = [
        f"{data.label(str(row.method), str(row.variant)).plain} at {budget_title(str(row.labels))} on {title}"
        for title, rows in ((data.block_title(*key), rows) for key, rows in data.places(tests))
        for row in records(rows)
    ]
    more = [f"{len(named) - NAMED} more"] if len(named) > NAMED else []
    return f" ({'; '.join([*named[:NAMED], *more])})" if named else ""


def _rests_on(data: ReportData) -> str:
    """Runs, seeds and draws, and the structures and predictions that are missing."""
    if not len(data.summary):
        return wording.NO_SCORES
    means = comparable_means(data)
    rows = means[means["metric"] == data.metrics(["dice"])[0]]
    text = wording.rests_on(
        runs=sum(run.get("draw") not in data.suite.further_draws for run in data.runs),
        seeds=int(rows["n_seeds"].max()),
        draws=int(rows["n_draws"].max()),
        missed=int(rows["missed"].sum()),
        false_positives=int(rows["invented"].sum()),
        missing=int(rows["missing"].sum()),
    )
    notes = [note for entry in data.suite.entries.values() if (note := entry.subset_note())]
    return f"{text} {wording.subsets(notes)}" if notes else text
