"""The stored results of reference runs, as the page of findings asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.methods import registry
from contrastseg.report.content.labels import (
    PROVENANCE,
    UNKNOWN_PROVENANCE,
    Pair,
    budget_order,
    budget_title,
    provenances,
)
from contrastseg.report.content.report_data import records
from contrastseg.report.content.results_folder import ResultsFolder

MAIN_SUITES = ("acdc_reduced", "la_reduced")
"""What findings are drawn from: complete data, every method."""
RECIPE_CHOICE = "recipe_sweep"  # what the names of suites that choose a recipe begin with
EQUAL_STEPS = "equal_steps"  # variant of the row that trains as long as the longest method


@dataclass(frozen=True)
class ComparedPlace:
    """One data set at one label budget, under one checkpoint rule, in Dice.

    Attributes:
        title: The data set's name in words.
        entry: Its entry in the suite.
        labels: The label budget.
        rows: The rows of `comparisons.csv`, one per method and variant with scores.
    """

    title: str
    entry: str
    labels: str
    rows: pd.DataFrame

    @property
    def name(self) -> str:
        """Such as "ACDC, 3 labelled patients"."""
        return f"{self.title}, {budget_title(self.labels)}"

    @property
    def baseline(self) -> Any:
        """The row of the method that all are compared with."""
        return self.of("reference")[0]

    @property
    def leader(self) -> Any:
        """The row with the highest mean, of the methods without missing predictions."""
        return max((row for row in self._by_pair.values() if not row.missing), key=lambda row: row.mean)

    @cached_property
    def _by_pair(self) -> dict[Pair, Any]:
        return {(str(row.method), str(row.variant)): row for row in records(self.rows)}

    def row(self, method: str, variant: str = "default") -> Any | None:
        """A method's row; None where it has no scores."""
        return self._by_pair.get((method, variant))

    def others(self) -> dict[Pair, Any]:
        """(method, variant) -> its row, of all but the baseline, in their order."""
        return {pair: row for pair, row in self._by_pair.items() if row.verdict != "reference"}

    def of(self, *verdicts: str) -> list[Any]:
        """The rows of these verdicts, best first."""
        found = [row for row in self._by_pair.values() if row.verdict in verdicts]
        return sorted(found, key=lambda row: -row.mean)


@dataclass(frozen=True)
class ReferenceRuns:
    """The stored results of one suite on one machine.

    Attributes:
        folder: `results/reference/<suite>/<machine>`.
    """

    folder: Path

    @cached_property
    def results(self) -> ResultsFolder:
        """Everything in the folder."""
        return ResultsFolder(self.folder, self.folder / "no-resources", strict=False)

    @property
    def suite(self) -> str:
        """The suite's name."""
        return self.folder.parent.name

    @property
    def trials(self) -> int:
        """K of a tuned suite; 0 where nothing was tuned."""
        tuning = self.results.plan["suite"].get("tuning") or {}
        return int(tuning.get("trials", 0))

    @cached_property
    def methods(self) -> list[str]:
        """The suite's methods that it has a run for, in its order."""
        planned = {run["method"] for run in self.results.plan["runs"]}
        return [entry["name"] for entry in self.results.plan["suite"]["methods"] if entry["name"] in planned]

    @cached_property
    def provenances(self) -> dict[str, str]:
        """Method -> its provenance, as its runs state it."""
        return provenances(self.results.runs)

    @cached_property
    def draws(self) -> int:
        """Draws of labelled patients that every method was trained with."""
        return len({card["draw"] for card in self.results.runs} & set(self.results.draws))

    def named(self, method: str, variant: str = "default") -> str:
        """A method, its variant where it is not the default, and the mark of where it comes from."""
        name = method if variant == "default" else f"{method}/{variant}"
        return f"`{name}` [{PROVENANCE.get(self.provenances.get(method, ''), UNKNOWN_PROVENANCE)[0]}]"

    @cached_property
    def titles(self) -> dict[str, str]:
        """Entry -> the data set's name in words."""
        return {info["entry"]: info["title"] for info in self.results.infos}

    @cached_property
    def rankings(self) -> pd.DataFrame:
        """Ranks in Dice with their intervals, of last checkpoints."""
        table = self.results.frame("rankings")
        return table[(table["metric"] == "dice") & (table["checkpoint"] == "last")]

    def rank(self, place: ComparedPlace, method: str, variant: str) -> Any | None:
        """A method's rank at a place; None where it has none."""
        at = (self.rankings["dataset"] == place.entry) & (self.rankings["labels"] == place.labels)
        who = (self.rankings["method"] == method) & (self.rankings["variant"] == variant)
        return next(records(self.rankings[at & who]), None)

    @cached_property
    def seeds(self) -> dict[str, str]:
        """Method -> the seeds it was trained with, in words."""
        found: dict[str, set[int]] = {}
        for card in self.results.runs:
            found.setdefault(card["method"], set()).add(card["seed"])
        return {method: ", ".join(map(str, sorted(seeds))) for method, seeds in found.items()}

    @property
    def usual_seeds(self) -> str:
        """The seeds of most methods, then those of the others by name."""
        methods: dict[str, list[str]] = {}
        for method, seeds in self.seeds.items():
            methods.setdefault(seeds, []).append(f"`{method}`")
        usual, *others = sorted(methods, key=lambda seeds: -len(methods[seeds]))
        return "; ".join([usual, *(f"{', '.join(methods[seeds])}: {seeds}" for seeds in others)])

    @cached_property
    def against_longer(self) -> dict[tuple[str, str], list[Any]]:
        """(entry, label budget) -> the comparisons with the row of equal steps, once they are computed (`longer`)."""
        return {}

    def dice(self, place: ComparedPlace, variant: str = "default") -> pd.DataFrame:
        """The stored Dice of a place's last checkpoints."""
        scores = self.results.scores
        at = (scores["dataset"] == place.entry) & (scores["labels"] == place.labels)
        of = (scores["metric"] == "dice") & (scores["checkpoint"] == "last") & (scores["variant"] == variant)
        return scores[at & of & (scores["evaluated_on"] == place.entry)]

    def usual_steps(self, entry: str) -> int:
        """Steps of one stage on an entry, as the plan has them."""
        suite = self.results.plan["suite"]
        own = next((item.get("training") or {} for item in suite["datasets"] if item["name"] == entry), {})
        return int(own.get("steps", suite["training"]["steps"]))

    def total_steps(self, entry: str, method: str, variant: str = "default") -> int | None:
        """Steps over all stages of a method on an entry.

        Returns:
            The total that the plan has; otherwise the sum of the lengths of its stages. None for a length of the
            method's own, such as nnU-Net's schedule, and for an entered row.
        """
        plan = self.results.plan
        for item in plan.get("step_totals", ()):
            if (item["dataset"], item["method"], item["variant"]) == (entry, method, variant):
                return int(item["total"])
        if plan["suite"].get("budget") == "steps" or method not in registry.names():
            return None
        kind = registry.get(method)
        entries: list[dict[str, Any]] = plan["suite"]["methods"]
        own: dict[str, Any] = next((item for item in entries if item["name"] == method), {})
        if kind.engine is not None:
            return None
        usual, stages = self.usual_steps(entry), own.get("stages") or {}
        return sum(int((stages.get(stage.name) or {}).get("steps", usual)) for stage in kind.stages)

    def equal_total(self, entry: str) -> int | None:
        """Steps of the row `supervised/equal_steps` on an entry; None where the plan has no such row."""
        totals = (item for item in self.results.plan.get("step_totals", ()) if item["dataset"] == entry)
        return next((int(item["total"]) for item in totals if item["variant"] == EQUAL_STEPS), None)

    def further_seeds(self, place: ComparedPlace) -> pd.DataFrame | None:
        """Dice of methods with more seeds than the others, seed 0 included: `control/further-seeds-<labels>.csv`.

        They stay out of the suite's own table, where every method has the same seeds; None where there are none.
        """
        path = self.folder.parent / "control" / f"further-seeds-{place.labels}.csv"
        if not path.is_file():
            return None
        table = pd.read_csv(path, dtype={"patient": str, "case": str})
        table = table[table["metric"] == "dice"]
        usual = self.dice(place)
        usual = usual[usual["method"].isin(table["method"]) & (usual["seed"] == 0)]
        keys = ["method", "patient", "case", "class", "metric"]
        further = usual.drop(columns=["seed", "value"]).merge(table[[*keys, "seed", "value"]], on=keys)
        if len(further) != len(usual) * table["seed"].nunique():
            raise ValueError(f"{path}: it has {len(further)} scores of the cases that the suite's own runs have")
        return pd.concat([usual, further], ignore_index=True)

    def places(self, checkpoint: str = "last") -> list[ComparedPlace]:
        """Data sets in the suite's order, small budgets first."""
        table = self.results.frame("comparisons")
        table = table[(table["metric"] == "dice") & (table["checkpoint"] == checkpoint) & (table["n"] > 0)]
        found = []
        for entry, rows in table[table["dataset"] == table["evaluated_on"]].groupby("dataset", sort=False):
            for labels in sorted(set(rows["labels"]), key=budget_order):
                found.append(ComparedPlace(self.titles[str(entry)], str(entry), labels, rows[rows["labels"] == labels]))
        return found


def reference_runs(root: Path, suites: Iterable[str]) -> list[ReferenceRuns]:
    """The reference runs of these suites that are there.

    Args:
        root: Where `results/reference/` lies.
        suites: Their names, in the order wanted.
    """
    folder = root / "results" / "reference"
    folders = (path for name in suites for path in sorted((folder / name).glob("*/rankings.csv")))
    return [ReferenceRuns(path.parent) for path in folders]
