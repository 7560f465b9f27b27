"""Submitted rows beside the stored ones: tested here against the baseline of the reference results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.evaluation.entered.submission import Submission, check, folders, read
from contrastseg.evaluation.scoring.collect import COLUMNS
from contrastseg.evaluation.statistics.comparison import compare
from contrastseg.evaluation.statistics.summary import summarise
from contrastseg.paths import CHECKOUT, EXTERNAL
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import ReferenceRuns
from contrastseg.report.site.stored_rows import METRIC, StoredRow, all_reference_runs, placed, rows_of, tested


def all_rows(root: Path = CHECKOUT) -> list[StoredRow]:
    """The rows of the reference results and the submitted ones, in order, with their places among each other."""
    runs = all_reference_runs(root)
    return placed([*(row for run in runs for row in rows_of(run)), *submitted_rows(runs, root)])


def submitted_rows(runs: Sequence[ReferenceRuns], root: Path = CHECKOUT) -> Iterator[StoredRow]:
    """The submitted rows that are in order, not yet placed. `contrastseg submitted` names the others.

    A row is tested against the baseline of the first reference results of its suite that have the same data, budget and
    checkpoint, corrected over nothing: it is one comparison. Without such results it has a mean alone.

    Args:
        runs: The reference results.
        root: Where `results/submitted/` lies.
    """
    top = root / "results" / "submitted"
    for folder in folders(top) if top.is_dir() else ():
        if not check(folder, top):
            yield _row(read(folder, top), runs)


def _row(row: Submission, runs: Sequence[ReferenceRuns]) -> StoredRow:
    record = row.record
    axes = {
        **{name: record[name] for name in ("suite", "dataset", "method", "variant", "labels")},
        **{name: record[name] for name in ("draw", "fold", "seed", "evaluated_on", "checkpoint", "label_ratio")},
        "split": record["split_name"],
        "labelled_patients": record["labelled_count"],
    }
    scores = row.scores[row.scores["metric"] == METRIC].assign(**axes)[list(COLUMNS)].astype(dict(COLUMNS))
    (whole,) = records((table := summarise(scores))[table["class"] == "mean"])
    run = next((run for run in runs if run.suite == record["suite"] and _baseline(run, axes) is not None), None)
    title = str(row.protocol.get("title") or record["dataset"])
    found = StoredRow(
        suite=str(record["suite"]),
        machine="submitted" if run is None else run.folder.name,
        data=title if run is None else run.titles.get(str(record["dataset"]), title),
        labels=str(record["labels"]),
        method=str(record["method"]),
        variant=str(record["variant"]),
        provenance=EXTERNAL,
        checkpoint=str(record["checkpoint"]),
        mean=float(whole.mean),
        low=float(whole.low),
        high=float(whole.high),
        patients=int(whole.n_patients),
        seeds=1,
        draws=1,
        steps=None,
        missing=0,
    )
    if run is None:
        return found
    baseline = _baseline(run, axes)
    assert baseline is not None
    name = "/".join(baseline[["method", "variant"]].iloc[0])
    table = compare(pd.concat([baseline, scores], ignore_index=True), name, family="methods")
    (test,) = records(table[table["method"] == record["method"]])
    return replace(found, **tested(test))


def _baseline(run: ReferenceRuns, axes: dict[str, Any]) -> pd.DataFrame | None:
    """The scores of the suite's baseline at the place of a row; None where there are none."""
    table = run.results.frame("comparisons")
    table = table[table["verdict"] == "reference"]
    scores = run.results.all_scores
    at = scores["metric"] == METRIC
    for name in ("dataset", "evaluated_on", "checkpoint", "labels", "draw", "fold"):
        at &= scores[name] == axes[name]
        if name in table:
            table = table[table[name] == axes[name]]
    if not len(table):
        return None
    found = scores[at & (scores["method"] == table["method"].iloc[0]) & (scores["variant"] == table["variant"].iloc[0])]
    return found if len(found) else None
