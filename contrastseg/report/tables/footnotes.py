"""What stands under every table: patients, seeds, split, subset, holes, what did not apply, and what the marks mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from contrastseg.evaluation.metrics.catalogue import METRICS, bounds
from contrastseg.evaluation.metrics.conventions import get_convention
from contrastseg.report.content.labels import (
    PROVENANCE,
    UNKNOWN_PROVENANCE,
    budget_title,
    label_counts,
    p_value,
    split_reference,
)
from contrastseg.report.content.pending import NOT_RUN, PARTLY_RUN
from contrastseg.report.content.report_data import Material, Place, absent_share, records
from contrastseg.report.tables.model import Block
from contrastseg.text import plural

PAPER_NOTES = (
    "Printed: as the source has it. [p] printed, nothing is known against it; [s] suspect; [i] inconsistent: it cannot "
    "come from one set of predictions together with the numbers beside it.",
    "Ours: our mean in the printed unit. not run: the source's method or label budget is not part of this comparison, "
    "or waits; not scored: we have no such metric; missing: it should be there and is not.",
    "Difference: ours minus printed, where the units allow one. It is no effect of a method while the protocols differ "
    "or are not known to match; under every block stands which.",
    "Best bold, second underlined: printed among printed marked [p], ours among ours without holes.",
)
INCOMPLETE = "Methods with missing predictions are neither ranked nor tested there."
UNLIKE = (
    "No best is marked where one method found something in an empty reference and another did not: their means are "
    "over unlike structures. The comparison counts empty references."
)
UNCLIPPED = (
    "These scores were stored without the size of their images: upper ends of intervals of distances are not clipped, "
    "and may lie beyond what is possible."
)
EMPTY_REFERENCES = {
    "best_or_worst": "an empty prediction counts best and any other worst (empty_reference: best_or_worst), and "
    "precision and recall leave the structure out",
    "leave_out": "the structure is left out for every method (empty_reference: leave_out)",
}
AGAINST = "!"  # behind a star: the means contradict the test of ranks
HOLES_NAMED = 6  # more than these are counted; the CSV and the page name them all


def skipped_item(material: Material, dataset: str, pair: tuple[str, str], labels: str) -> Mapping[str, Any] | None:
    """Why a method has no score on a data set at a budget; None when it should have one."""
    for item in material.skipped:
        same = (item["dataset"], item["method"], item["labels"]) == (dataset, pair[0], labels)
        if same and item.get("variant", pair[1]) == pair[1] and item.get("state") != PARTLY_RUN:
            return item
    return None


def hole_names(value: Any) -> list[str]:
    """The holes of one row of the summary, which keeps them as a list or joined by semicolons."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    parts = value.split(";") if isinstance(value, str) else [str(item) for item in value]
    return [part.strip() for part in parts if part.strip()]


def block_notes(material: Material, key: Place, part: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The notes of one data set's block.

    Args:
        material: What the table is made from.
        key: Data set, what it is evaluated on, checkpoint.
        part: The block's rows of the summary.
        pairs: The methods and variants of the block.
    """
    dataset = key[0]
    lines = [_sample(part, material.facts.level), *_splits(material, dataset, key[1])]
    named = [*holes(part, material), *without_rows(part, material)]
    absent = missing_cells(material, key, part, pairs)
    if named or absent:
        shown = named[:HOLES_NAMED]
        more = [f"and {len(named) - len(shown)} more, named in the CSV"] if len(named) > len(shown) else []
        lines.append(f"missing: {'; '.join([*absent, *shown, *more])}. {INCOMPLETE}")
    lines += [*_unlike(part), *_intervals(part)]
    reasons: dict[tuple[str, str], dict[str, list[str]]] = {}
    for item in material.skipped:
        if item["dataset"] == dataset:
            name = material.label(str(item["method"]), str(item.get("variant", "default"))).name
            state = {NOT_RUN: "Not run", PARTLY_RUN: "Partly run"}.get(str(item.get("state")), "Does not apply")
            budgets = reasons.setdefault((state, str(item["reason"])), {}).setdefault(name, [])
            budgets.append(budget_title(str(item["labels"])))
    every = {material.label(*pair).name for pair in pairs}
    lines += [f"{state}: {_where(cells, every)}: {reason}." for (state, reason), cells in reasons.items()]
    return [line for line in lines if line]


def _where(cells: Mapping[str, Sequence[str]], every: Collection[str]) -> str:
    """The methods of a reason with their budgets; those with the same budgets together, and all by that word.

    Args:
        cells: Method -> its budgets.
        every: The methods of the block.
    """
    together: dict[tuple[str, ...], list[str]] = {}
    for name, budgets in cells.items():
        together.setdefault(tuple(budgets), []).append(name)
    return "; ".join(
        f"{'every method' if len(names) > 1 and set(names) == set(every) else ', '.join(names)} at {', '.join(budgets)}"
        for budgets, names in together.items()
    )


def without_rows(part: pd.DataFrame, material: Material) -> list[str]:
    """Methods that lack scores beyond their missing predictions: a part of their runs has not been scored."""
    rows = part[part["missing"] > part["holes"]]
    rows = rows.assign(lacking=rows["missing"] - rows["holes"]).drop_duplicates(["method", "variant", "labels"])
    return [
        f"{material.label(str(row.method), str(row.variant)).name} {row.labels}: {plural(int(row.lacking), 'score')}"
        for row in records(rows)
    ]


def _unlike(part: pd.DataFrame) -> list[str]:
    """That means over unlike structures have no best, where some methods invent what others leave absent."""
    rows = part[(part["holes"] == 0) & (part["missing"] == 0)]
    found = absent_share(rows).groupby([rows[name] for name in ("labels", "metric", "unit")]).nunique()
    return [UNLIKE] if (found > 1).any() else []


def _intervals(part: pd.DataFrame) -> list[str]:
    """What must be known of the intervals of these rows: clipped ends, samples that hardly vary, unknown ranges."""
    lines = []
    if (part["clipped"] != "").any():
        longest = sorted({f"{value:.4g}" for value in part["longest"].dropna()})
        most = f", distances at {' and '.join(longest)}, the longest that the largest case has" if longest else ""
        lines.append(f"c: this end of an interval was clipped to what is possible{most}.")
    if len(rows := part[part["interval_kind"] == "degenerate"]):
        ends = sorted({int(rows["equal_scores"].min()), int(rows["equal_scores"].max())})
        span = " to ".join(map(str, ends))
        lines.append(
            f"{plural(len(rows), 'interval')} of samples that hardly vary ({span} of the patients share one score): "
            "Student's t, no coverage is claimed."
        )
    distances = part["metric"].map(lambda name: name in METRICS and METRICS[name].kind == "distance").astype(bool)
    if (part["longest"].isna() & distances & part["high"].notna()).any():
        lines.append(UNCLIPPED)
    return lines


def holes(part: pd.DataFrame, material: Material) -> list[str]:
    """Every missing prediction in these rows, named once, with its method and budget."""
    found: dict[str, None] = {}
    for row in records(part):
        for name in hole_names(getattr(row, "holes_named", None)):
            found.setdefault(f"{material.label(str(row.method), str(row.variant)).name} {row.labels}: {name}")
    return list(found)


def missing_cells(material: Material, key: Place, part: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Method and budget of the cells that should hold scores and hold none."""
    present = {
        (str(row.method), str(row.variant), str(row.labels))
        for row in records(part)
        if not math.isnan(row.mean) or row.holes == 0
    }
    return [
        f"{material.label(*pair).name} at {budget_title(labels)}"
        for labels in dict.fromkeys(part["labels"].astype(str))
        for pair in pairs
        if (*pair, labels) not in present and skipped_item(material, key[0], pair, labels) is None
    ]


def table_notes(material: Material, kind: str, blocks: Sequence[Block]) -> list[str]:
    """The notes under the whole table: how to read the numbers and the marks."""
    marks = {row.label.mark for block in blocks for row in block.rows}
    legend = [f"[{mark}] {meaning}" for mark, meaning in (*PROVENANCE.values(), UNKNOWN_PROVENANCE) if mark in marks]
    policy = (
        f"Scored on the native grid, convention {material.facts.convention}; the unit of statistics is the patient."
    )
    if kind == "comparison":
        tests = (
            "Two-sided paired Wilcoxon signed-rank tests per patient, Holm-corrected in their family; zeros are "
            "dropped and counted; HL is the Hodges–Lehmann shift. Smallest p is the smallest corrected p that this "
            "comparison could reach; where it is above the level the verdict is “n too small”, not a finding. Pairs "
            "are means over the structures that both methods have. Where a method lacks predictions nothing is tested."
        )
        counted = EMPTY_REFERENCES[material.facts.empty_reference]
        empty = f"Where the reference is empty, {counted}. Tables of scores keep what the convention scores."
        return [tests, empty, policy, *legend]
    if kind == "paper":
        stars = _stars_note(material)
        return [line for line in (*PAPER_NOTES, stars, policy, *legend) if line]
    if kind == "conventions":
        reading = (
            "Nothing but the scoring differs between the columns. In brackets: places lost (+) or won (−) against the "
            "first convention. Ranks of means are no test. Methods with missing predictions are not ranked."
        )
        return [reading, *_sources(blocks), *legend]
    reading = "Best bold, second underlined, by the printed number."
    if kind == "main":
        reading += " miss / inv / holes: structures missed and invented, predictions missing."
    stars = _stars_note(material) if kind == "main" else None
    return [line for line in (reading, stars, policy, *legend) if line]


def _sources(blocks: Sequence[Block]) -> list[str]:
    """Where the rules of each convention in the table are from."""
    names = dict.fromkeys(column.group for block in blocks for column in block.columns)
    return [f"{name}: {get_convention(name).source}." for name in names]


def comparison_notes(material: Material, rows: pd.DataFrame) -> list[str]:
    """The notes of one block of comparisons."""
    reference = str(rows["reference"].iloc[0])
    first = rows.iloc[0]
    sizes = sorted({int(size) for size in rows["family_size"]})
    words = "family" if len(sizes) == 1 else "families", "test" if sizes == [1] else "tests"
    family = f"{words[0]} of {' and '.join(map(str, sizes))} {words[1]}"
    lines = [f"Reference: {material.label(*split_reference(reference)).plain}; {family}."]
    if (rows["hl_low"].isna() & rows["p"].notna()).any():
        lines.append("No Hodges–Lehmann interval is claimed below n = 6.")
    if not (rows["empty_references"] > 0).any():
        lines.append("No reference is empty here.")
    else:
        lines.append(
            f"Empty references: {int(rows['empty_references'].max())}. Beside the comparison stand the same without "
            "them, and the false positives per empty reference (exact signed-rank test of the patients' shares), each "
            "corrected in its own family."
        )
    if disagreeing := int((rows["disagreement"] != "").sum()):
        lines.append(f"In {plural(disagreeing, 'row')} these disagree with the verdict, and the row says so.")
    if (rows["mean_against"] != "").any():
        lines.append(
            "Lower or higher mean: the means contradict the test of ranks (few large differences, many small)."
        )
    return [*lines, *_splits(material, str(first["dataset"]), str(first["evaluated_on"]))]


def _sample(part: pd.DataFrame, level: str) -> str:
    def span(column: str, word: str) -> str:
        values = part[column].dropna()
        if not len(values):
            return ""
        low, high = int(values.min()), int(values.max())
        return plural(low, word) if low == high else f"{low}–{high} {word}s"

    parts = [span("n_patients", "patient"), span("n_seeds", "seed"), span("n_draws", "draw")]
    named = dict.fromkeys(part["interval_kind"].dropna().astype(str))
    kinds = ", ".join(kind for kind in named if kind not in ("", "none"))
    text = ", ".join(value for value in parts if value)
    return f"{text}; {level} intervals: {kinds}{_coverage(part)}." if kinds else f"{text}."


def _coverage(part: pd.DataFrame) -> str:
    """What such intervals were measured to be worth, of overlaps and of distances apart; the lowest of the rows."""
    known = part[part["coverage"].notna()]
    bounded = known["metric"].map(lambda name: math.isfinite(bounds(str(name))[1])).astype(bool)
    shown = [
        f"{100 * rows['coverage'].min():.0f} % of {what}, {100 * rows['coverage_missed'].min():.0f} % "
        "where one patient in twelve is missed"
        for what, rows in (("overlaps", known[bounded]), ("distances", known[~bounded]))
        if len(rows)
    ]
    return f" (measured coverage: {'; '.join(shown)})" if shown else ""


def _splits(material: Material, dataset: str, evaluated_on: str) -> list[str]:
    """Subset, split and pool of the data trained on, and of the data evaluated on where that is another."""
    lines = [_split(material, dataset)]
    if evaluated_on != dataset and (tested := _split(material, evaluated_on)):
        lines.append(f"Evaluated on {material.dataset_title(evaluated_on)}: {tested}")
    if pool := material.facts.entry(dataset).pool:
        lines.append(f"Stages without labels draw from {' and '.join(pool)}, without any case that is tested on.")
    return [line for line in lines if line]


def _split(material: Material, entry_name: str) -> str:
    entry = material.facts.entry(entry_name)
    subset = entry.subset_note()
    split = f"Split {entry.split_name} ({entry.split_hash})." if entry.split_hash else ""
    return " ".join(
        text for text in (f"Subset: {subset}." if subset else "", _images(material, entry_name), split) if text
    )


def _images(material: Material, entry_name: str) -> str:
    """How many images have a label, where some have none."""
    info = next((info for info in material.infos if info.get("entry") == entry_name), {})
    source = info.get("source") or {}
    bare = source.get("unlabelled")
    return f"Images: {label_counts(int(source['cases']) - int(bare), int(bare))}." if bare else ""


def _stars_note(material: Material) -> str | None:
    frame = material.comparisons
    if not len(frame):
        return None
    tested = frame[frame["verdict"] != "reference"]
    if not len(tested):
        return None
    reference = ", ".join(
        material.label(*split_reference(name)).name for name in dict.fromkeys(tested["reference"].astype(str))
    )
    level = f"p < {material.facts.alpha:g}"
    text = f"* better, † worse than {reference} at a corrected {level} (paired Wilcoxon per patient, Holm)."
    small = tested[tested["verdict"] == "n too small"]
    if len(small):
        least = p_value(float(small["p_smallest"].min()), material.facts.alpha)
        text += (
            f" {len(small)} of {plural(len(tested), 'comparison')} could not earn a mark: n too small "
            f"(smallest reachable p {least})."
        )
    if against := int((tested["mean_against"] != "").sum()):
        text += f" {AGAINST} behind {plural(against, 'mark')}: the means contradict the test of ranks."
    if incomplete := int((tested["verdict"] == "incomplete").sum()):
        text += f" {plural(incomplete, 'comparison')} not tested: predictions are missing."
    if disagreeing := int((tested["disagreement"] != "").sum()):
        text += (
            f" {plural(disagreeing, 'comparison')} would be judged otherwise on non-empty references or by false "
            "positives alone: see the paired comparison."
        )
    return text
