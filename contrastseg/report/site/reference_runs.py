"""The stored results of reference runs, as the page of findings asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.report.content.labels import PROVENANCE, UNKNOWN_PROVENANCE, budget_order, budget_title, provenances
from contrastseg.report.content.report_data import records
from contrastseg.report.content.results_folder import ResultsFolder

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
        return max(records(self.rows[self.rows["missing"] == 0]), key=lambda row: row.mean)

    def row(self, method: str, variant: str = "default") -> Any | None:
        """A method's row; None where it has no scores."""
        found = self.rows[(self.rows["method"] == method) & (self.rows["variant"] == variant)]
        return next(records(found), None)

    def of(self, *verdicts: str) -> list[Any]:
        """The rows of these verdicts, best first."""
        found = self.rows[self.rows["verdict"].isin(verdicts)]
        return list(records(found.sort_values("mean", ascending=False)))


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

    @cached_property
    def methods(self) -> list[str]:
        """The suite's methods that it has a run for, in its order."""
        planned = {run["method"] for run in self.results.plan["runs"]}
        return [entry["name"] for entry in self.results.plan["suite"]["methods"] if entry["name"] in planned]

    @cached_property
    def _provenances(self) -> dict[str, str]:
        return provenances(self.results.runs)

    @cached_property
    def draws(self) -> int:
        """Draws of labelled patients that were trained with."""
        return len({card["draw"] for card in self.results.runs})

    def named(self, method: str, variant: str = "default") -> str:
        """A method, its variant where it is not the default, and the mark of where it comes from."""
        name = method if variant == "default" else f"{method}/{variant}"
        return f"`{name}` [{PROVENANCE.get(self._provenances.get(method, ''), UNKNOWN_PROVENANCE)[0]}]"

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
