"""Every stored row of the reference results: one method at one budget and checkpoint, with its test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import ORACLE
from contrastseg.paths import CHECKOUT
from contrastseg.report.content.labels import budget_order
from contrastseg.report.content.report_data import records
from contrastseg.report.site.reference_runs import MAIN_SUITES, RECIPE_CHOICE, ReferenceRuns, reference_runs

METRIC = "dice"


@dataclass(frozen=True)
class StoredRow:
    """One method and variant at one data set, label budget and checkpoint, in mean Dice.

    Attributes:
        suite: The suite.
        machine: Folder of the results: hardware, and a commit where there are several.
        data: The data set in words, with what it is evaluated on where that is another entry.
        labels: The label budget, such as `n7`.
        method: The method.
        variant: Its variant.
        provenance: Official, published, reconstructed or external; empty where the stored runs do not say.
        checkpoint: Which checkpoint predicted.
        mean: Over classes, cases, runs, then patients.
        low: Lower end of the interval of the mean; NaN where none is claimed.
        high: Upper end.
        patients: Test patients.
        seeds: Seeds of training.
        draws: Draws of the labelled patients.
        steps: Training steps over all stages; None where they are unknown.
        missing: Missing predictions; such a row is neither tested nor ranked.
        baseline: The method that it is tested against; empty where it is not compared.
        difference: Of the means, from the baseline.
        difference_low: Lower end of its interval.
        difference_high: Upper end.
        verdict: As `compare` stores it; empty where it is not compared.
        p: Corrected p; NaN where nothing was tested.
        place: By the mean, among comparable rows of its group; None where the row is not ranked.
        trials: K of a tuned row; 0 where nothing was tuned. The two never stand in one table.
    """

    suite: str
    machine: str
    data: str
    labels: str
    method: str
    variant: str
    provenance: str
    checkpoint: str
    mean: float
    low: float
    high: float
    patients: int
    seeds: int
    draws: int
    steps: int | None
    missing: int
    baseline: str = ""
    difference: float = math.nan
    difference_low: float = math.nan
    difference_high: float = math.nan
    verdict: str = ""
    p: float = math.nan
    place: int | None = None
    trials: int = 0

    @property
    def group(self) -> tuple[Any, ...]:
        """What rows are compared within: suite, machine, data, budget, checkpoint. It sorts by budget as a number."""
        return self.suite, self.machine, self.data, budget_order(self.labels), self.labels, self.checkpoint

    @property
    def comparable(self) -> bool:
        """Whether the row may be ranked: not one of the oracle, and without missing predictions."""
        return self.checkpoint != ORACLE and not self.missing and not math.isnan(self.mean)


def stored_rows(root: Path = CHECKOUT) -> list[StoredRow]:
    """The rows of all reference results, by suite, data, budget and checkpoint, best first; those not ranked last.

    Args:
        root: Where `results/reference/` lies.
    """
    return placed(row for run in all_reference_runs(root) for row in rows_of(run))


def all_reference_runs(root: Path = CHECKOUT) -> list[ReferenceRuns]:
    """The stored results of every suite, by name, but for those that chose a recipe: on patients who are no test's."""
    suites = sorted(path.name for path in (root / "results" / "reference").glob("*") if path.is_dir())
    return reference_runs(root, [name for name in suites if not name.startswith(RECIPE_CHOICE)])


def _order(row: StoredRow) -> tuple[object, ...]:
    """Groups in order, those of the main suites first."""
    return row.suite not in MAIN_SUITES, *row.group


def placed(rows: Iterable[StoredRow]) -> list[StoredRow]:
    """Rows in order, with their place by the mean among the comparable ones of their group; equal means share it."""
    found: list[StoredRow] = []
    for _, members in groupby(sorted(rows, key=_order), key=_order):
        group = sorted(members, key=lambda row: (not row.comparable, -row.mean if row.mean == row.mean else 0.0))
        means = [row.mean for row in group if row.comparable]
        for row in group:
            better = sum(mean > row.mean + 1e-12 for mean in means)
            found.append(replace(row, place=better + 1 if row.comparable else None))
    return found


def rows_of(run: ReferenceRuns) -> Iterator[StoredRow]:
    """The rows of one suite's stored results, not yet placed."""
    summary = run.results.frame("summary")
    summary = summary[(summary["class"] == "mean") & (summary["metric"] == METRIC)]
    comparisons = run.results.frame("comparisons")
    comparisons = comparisons[comparisons["metric"] == METRIC]
    keys = ["dataset", "evaluated_on", "checkpoint", "labels", "method", "variant"]
    tests = {tuple(getattr(row, key) for key in keys): row for row in records(comparisons)}
    for row in records(summary):
        yield _row(run, row, tests.get(tuple(getattr(row, key) for key in keys)))


def _row(run: ReferenceRuns, row: Any, test: Any | None) -> StoredRow:
    data = run.titles.get(str(row.dataset), str(row.dataset))
    if row.evaluated_on != row.dataset:
        data = f"{data} → {run.titles.get(str(row.evaluated_on), str(row.evaluated_on))}"
    found = StoredRow(
        suite=run.suite,
        machine=run.folder.name,
        data=data,
        labels=str(row.labels),
        method=str(row.method),
        variant=str(row.variant),
        provenance=run.provenances.get(str(row.method), ""),
        checkpoint=str(row.checkpoint),
        mean=float(row.mean),
        low=float(row.low),
        high=float(row.high),
        patients=int(row.n_patients),
        seeds=int(row.n_seeds),
        draws=int(row.n_draws),
        steps=run.total_steps(str(row.dataset), str(row.method), str(row.variant)),
        missing=int(row.missing if pd.notna(row.missing) else 0),
        trials=run.trials,
    )
    if test is None or row.checkpoint == ORACLE:
        return found
    return replace(found, **tested(test))


def tested(test: Any) -> dict[str, Any]:
    """The fields of a row that a comparison with the baseline fills in; its mean and interval are those tested."""
    fields: dict[str, Any] = {
        "baseline": str(test.reference).removesuffix("/default"),
        "verdict": str(test.verdict),
    }
    if test.n and not math.isnan(test.mean):
        fields |= {"mean": float(test.mean), "low": float(test.mean_low), "high": float(test.mean_high)}
    if test.verdict != "reference":
        fields |= {
            "difference": float(test.mean_difference),
            "difference_low": float(test.mean_difference_low),
            "difference_high": float(test.mean_difference_high),
            "p": float(test.p_holm),
        }
    return fields
