"""The footnotes of tables: patients, seeds, split, subset, missing predictions, skipped combinations, marks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import ORACLE
from contrastseg.evaluation.metrics.catalogue import METRICS, bounds
from contrastseg.report.content.labels import (
    PROVENANCE,
    UNKNOWN_PROVENANCE,
    budget_title,
    label_counts,
    p_value,
    split_baseline,
)
from contrastseg.report.content.pending import NOT_RUN, OUTDATED, PARTLY_RUN
from contrastseg.report.content.report_data import Place, ReportData, absent_share, records
from contrastseg.report.tables import wording
from contrastseg.report.tables.external import external_footnotes
from contrastseg.report.tables.model import Block
from contrastseg.report.tables.pretrained import weight_footnotes
from contrastseg.text import plural

AGAINST = "!"  # behind a star: the means contradict the test of ranks
_STATES = {NOT_RUN: "Not run", PARTLY_RUN: "Partly run", OUTDATED: "Outdated and not compared"}
NAMED = 6  # missing predictions; more are counted, and the CSV and the page name them all


def skipped_item(data: ReportData, dataset: str, pair: tuple[str, str], labels: str) -> Mapping[str, Any] | None:
    """Why a method has no score on a data set at a budget; None when it should have one."""
    for item in data.skipped:
        same = (item["dataset"], item["method"], item["labels"]) == (dataset, pair[0], labels)
        if same and item.get("variant", pair[1]) == pair[1] and item.get("state") != PARTLY_RUN:
            return item
    return None


def prediction_names(value: Any) -> list[str]:
    """The missing predictions of one row of the summary, which keeps them as a list or joined by semicolons."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    parts = value.split(";") if isinstance(value, str) else [str(item) for item in value]
    return [name.strip() for name in parts if name.strip()]


def block_footnotes(data: ReportData, key: Place, rows: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The footnotes of one data set's block.

    Args:
        data: What the table is made from.
        key: Data set, what it is evaluated on, checkpoint.
        rows: The block's rows of the summary.
        pairs: The methods and variants of the block.
    """
    lines = [wording.ORACLE_FOOTNOTE] if key[2] == ORACLE else []
    lines += [_sample(rows, data.suite.level), *split_footnotes(data, key[0], key[1])]
    predictions = [*missing_predictions(rows, data), *missing_scores(rows, data)]
    cells = _missing_cells(data, key, rows, pairs)
    if predictions or cells:
        lines.append(wording.missing(cells, predictions[:NAMED], max(0, len(predictions) - NAMED)))
    lines += [*_unlike_means(rows), *_intervals(rows)]
    if key[2] != ORACLE:
        lines += _skipped(data, key[0], pairs)
    lines += external_footnotes(data, key[0], pairs) + weight_footnotes(data, key[0], pairs)
    return [line for line in lines if line]


def _skipped(data: ReportData, dataset: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The combinations without runs on a data set, one line for each state and reason."""
    budgets_by_reason: dict[tuple[str, str], dict[str, list[str]]] = {}
    for item in data.skipped:
        if item["dataset"] == dataset:
            name = data.label(str(item["method"]), str(item.get("variant", "default"))).name
            state = _STATES.get(str(item.get("state")), "Not applicable")
            budgets = budgets_by_reason.setdefault((state, str(item["reason"])), {}).setdefault(name, [])
            budgets.append(budget_title(str(item["labels"])))
    every_method = {data.label(*pair).name for pair in pairs}
    return [
        f"{state}: {_methods_at(budgets, every_method)}: {reason}."
        for (state, reason), budgets in budgets_by_reason.items()
    ]


def _methods_at(budgets: Mapping[str, Sequence[str]], every_method: Collection[str]) -> str:
    """Methods with their budgets; those with the same budgets together, and all of them as "every method"."""
    methods_by_budgets: dict[tuple[str, ...], list[str]] = {}
    for name, titles in budgets.items():
        methods_by_budgets.setdefault(tuple(titles), []).append(name)
    return "; ".join(
        f"{'every method' if len(names) > 1 and set(names) == set(every_method) else ', '.join(names)}"
        f" at {', '.join(titles)}"
        for titles, names in methods_by_budgets.items()
    )


def missing_scores(rows: pd.DataFrame, data: ReportData) -> list[str]:
    """Methods that lack scores beyond their missing predictions: a part of their runs has not been scored."""
    partly = rows[rows["missing"] > rows["holes"]]
    partly = partly.assign(lacking=partly["missing"] - partly["holes"]).drop_duplicates(["method", "variant", "labels"])
    return [
        f"{data.label(str(row.method), str(row.variant)).name} {row.labels}: {plural(int(row.lacking), 'score')}"
        for row in records(partly)
    ]


def _unlike_means(rows: pd.DataFrame) -> list[str]:
    """That means over unlike structures have no best, where some methods find what others leave absent."""
    complete = rows[(rows["holes"] == 0) & (rows["missing"] == 0)]
    shares = absent_share(complete).groupby([complete[name] for name in ("labels", "metric", "unit")]).nunique()
    return [wording.UNLIKE] if (shares > 1).any() else []


def _intervals(rows: pd.DataFrame) -> list[str]:
    """What must be known of the intervals of these rows: clipped ends, samples that hardly vary, unknown ranges."""
    lines = []
    if (rows["clipped"] != "").any():
        lines.append(wording.clipped_ends(sorted({f"{value:.4g}" for value in rows["longest"].dropna()})))
    if len(degenerate := rows[rows["interval_kind"] == "degenerate"]):
        equal_scores = sorted({int(degenerate["equal_scores"].min()), int(degenerate["equal_scores"].max())})
        lines.append(wording.degenerate_intervals(len(degenerate), equal_scores))
    distances = rows["metric"].map(lambda name: name in METRICS and METRICS[name].kind == "distance").astype(bool)
    if (rows["longest"].isna() & distances & rows["high"].notna()).any():
        lines.append(wording.UNCLIPPED)
    return lines


def missing_predictions(rows: pd.DataFrame, data: ReportData) -> list[str]:
    """Every missing prediction in these rows, named once, with its method and budget."""
    named: dict[str, None] = {}
    for row in records(rows):
        for name in prediction_names(getattr(row, "holes_named", None)):
            named.setdefault(f"{data.label(str(row.method), str(row.variant)).name} {row.labels}: {name}")
    return list(named)


def _missing_cells(data: ReportData, key: Place, rows: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Method and budget of the cells that should hold scores and hold none."""
    present = {
        (str(row.method), str(row.variant), str(row.labels))
        for row in records(rows)
        if not math.isnan(row.mean) or row.holes == 0
    }
    return [
        f"{data.label(*pair).name} at {budget_title(labels)}"
        for labels in dict.fromkeys(rows["labels"].astype(str))
        for pair in pairs
        if (*pair, labels) not in present and skipped_item(data, key[0], pair, labels) is None
    ]


def provenance_legend(blocks: Sequence[Block]) -> list[str]:
    """What the provenance letters behind the methods of these blocks mean."""
    marks = {row.label.mark for block in blocks for row in block.rows}
    return [f"[{mark}] {meaning}" for mark, meaning in (*PROVENANCE.values(), UNKNOWN_PROVENANCE) if mark in marks]


def comparison_footnotes(data: ReportData, rows: pd.DataFrame) -> list[str]:
    """The footnotes of one block of comparisons."""
    first = rows.iloc[0]
    baseline = data.label(*split_baseline(str(first["reference"]))).plain
    lines = [wording.baseline_and_family(baseline, sorted({int(size) for size in rows["family_size"]}))]
    if (rows["hl_low"].isna() & rows["p"].notna()).any():
        lines.append(wording.SMALL_INTERVALS)
    if (rows["empty_references"] > 0).any():
        lines.append(wording.with_empty_references(int(rows["empty_references"].max())))
    else:
        lines.append(wording.NO_EMPTY_REFERENCE)
    if disagreeing := int((rows["disagreement"] != "").sum()):
        lines.append(wording.rows_disagree(disagreeing))
    if (rows["mean_against"] != "").any():
        lines.append(wording.MEANS_DISAGREE)
    return [*lines, *split_footnotes(data, str(first["dataset"]), str(first["evaluated_on"]))]


def _sample(rows: pd.DataFrame, level: str) -> str:
    def span(column: str, word: str) -> str:
        values = rows[column].dropna()
        if not len(values):
            return ""
        low, high = int(values.min()), int(values.max())
        return plural(low, word) if low == high else f"{low}–{high} {word}s"

    spans = [span("n_patients", "patient"), span("n_seeds", "seed"), span("n_draws", "draw")]
    named = dict.fromkeys(rows["interval_kind"].dropna().astype(str))
    kinds = ", ".join(kind for kind in named if kind not in ("", "none"))
    text = ", ".join(value for value in spans if value)
    return f"{text}; {level} intervals: {kinds}{_coverage(rows)}." if kinds else f"{text}."


def _coverage(rows: pd.DataFrame) -> str:
    """The measured coverage of such intervals, of overlaps and of distances apart; the lowest of the rows."""
    known = rows[rows["coverage"].notna()]
    bounded = known["metric"].map(lambda name: math.isfinite(bounds(str(name))[1])).astype(bool)
    shares = []
    for what, of_kind in (("overlaps", known[bounded]), ("distances", known[~bounded])):
        if len(of_kind):
            plain, one_missed = (100 * of_kind[name].min() for name in ("coverage", "coverage_missed"))
            shares.append(f"{plain:.0f} % of {what}, {one_missed:.0f} % where one patient in twelve is missed")
    return f" (measured coverage: {'; '.join(shares)})" if shares else ""


def split_footnotes(data: ReportData, dataset: str, evaluated_on: str) -> list[str]:
    """Subset, split and pool of the data trained on, and of the data evaluated on where that is another."""
    lines = [_split(data, dataset)]
    if evaluated_on != dataset and (tested := _split(data, evaluated_on)):
        lines.append(f"Evaluated on {data.dataset_title(evaluated_on)}: {tested}")
    if (entry := data.suite.entry(dataset)).pool:
        lines.append(
            wording.unlabelled_pool(entry.pool) if entry.pool_for_all else wording.pretraining_pool(entry.pool)
        )
    lines += step_totals(data, dataset)
    return [line for line in lines if line]


def step_totals(data: ReportData, dataset: str) -> list[str]:
    """The steps of methods with a total, on one data set: of all by a budget, or of the row of equal steps."""
    totals = [item for item in data.suite.step_totals if item["dataset"] == dataset]
    budgets = dict.fromkeys(int(item["total"]) for item in totals if not item["as_long_as"])
    lines = [wording.equal_steps(total) for total in budgets]
    for item in totals:
        if longest := str(item["as_long_as"]):
            name = data.label(str(item["method"]), str(item["variant"])).name
            lines.append(wording.as_long_as(name, int(item["total"]), longest))
    return lines


def _split(data: ReportData, entry_name: str) -> str:
    entry = data.suite.entry(entry_name)
    subset = entry.subset_note()
    split = f"Split {entry.split_name} ({entry.split_hash})." if entry.split_hash else ""
    rule = _info(data, entry_name).get("preparation") or {}
    texts = (
        f"Subset: {subset}." if subset else "",
        _images(data, entry_name),
        split,
        wording.CROPPED if rule.get("crop") else "",
        wording.recipe(data.suite.recipe) if data.suite.recipe else "",
    )
    return " ".join(text for text in texts if text)


def _info(data: ReportData, entry_name: str) -> Mapping[str, Any]:
    """The card of an entry's prepared data; empty where there is none."""
    return next((info for info in data.infos if info.get("entry") == entry_name), {})


def _images(data: ReportData, entry_name: str) -> str:
    """How many images have a label, where some have none."""
    source = _info(data, entry_name).get("source") or {}
    unlabelled = source.get("unlabelled")
    if not unlabelled:
        return ""
    return f"Images: {label_counts(int(source['cases']) - int(unlabelled), int(unlabelled))}."


def family_footnotes(data: ReportData, tested: bool | None, comparisons: pd.DataFrame | None = None) -> list[str]:
    """What Holm's correction covers in a table, or that it has no test.

    Args:
        data: What the table is made from.
        tested: Whether its kind shows tests; None where it does not say.
        comparisons: The tests; those of the comparison with the baseline by default.
    """
    rows = data.comparisons if comparisons is None else comparisons
    tests = rows[rows["p"].notna()] if tested and len(rows) else rows.iloc[:0]
    if not len(tests):
        return [] if tested is None else [wording.NO_TESTS]
    return [wording.family(data.suite.family, sorted({int(size) for size in tests["family_size"]}))]


def star_footnotes(data: ReportData) -> list[str]:
    """What the marks behind means say, and how many comparisons have none for want of patients or predictions."""
    comparisons = data.comparisons
    tested = comparisons[comparisons["verdict"] != "reference"] if len(comparisons) else comparisons
    if not len(tested):
        return []
    baseline = ", ".join(
        data.label(*split_baseline(name)).name for name in dict.fromkeys(tested["reference"].astype(str))
    )
    alpha = data.suite.alpha
    sentences = [wording.stars(baseline, alpha)]
    if against := int((tested["mean_against"] != "").sum()):
        sentences.append(wording.means_against(AGAINST, against))
    small = tested[tested["verdict"] == "n too small"]
    if len(small):
        smallest = p_value(float(small["p_smallest"].min()), alpha)
        sentences.append(wording.small_samples(len(small), len(tested), smallest))
    if incomplete := int((tested["verdict"] == "incomplete").sum()):
        sentences.append(wording.not_tested(incomplete))
    if disagreeing := int((tested["disagreement"] != "").sum()):
        sentences.append(wording.disagreeing(disagreeing))
    return [" ".join(sentences)]
