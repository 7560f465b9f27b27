"""The one entry to the report: results of a suite as frames and records, with the look-ups tables and figures share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from contrastseg.checkpoint_names import ORACLE, ORACLE_MARK
from contrastseg.evaluation.scoring.collect import COLUMNS
from contrastseg.report.content.labels import (
    MethodLabel,
    display_names,
    in_order,
    labelled_counts,
    method_label,
    metric_order,
    provenances,
)
from contrastseg.report.content.results_folder import ResultsFolder
from contrastseg.report.content.suite_info import SuiteInfo
from contrastseg.report.settings import FigureSettings, TableSettings

PLACE = ("dataset", "evaluated_on", "checkpoint")
OPTIONAL = (
    "conventions",
    "draws",
    "rankings",
    "tuned",
    "variance",
)  # tables of the results folder that are read where they are there
Place = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """The results of one suite: what tables, figures and the page are made from.

    Attributes:
        summary: One row per (dataset, evaluated_on, checkpoint, labels, method, variant, class, metric, unit), as
            `evaluation.statistics.summarise` makes it.
        comparisons: One row per comparison with the baseline, as `evaluation.statistics.compare` makes it.
        runs: The `run.json` of each run.
        infos: The `dataset.json` of each entry.
        suite: Names, order, splits, convention and level.
        skipped: `{dataset, method, labels, reason}` of the combinations that do not apply, and with a `state` of
            those that were planned and have no scores.
        skipped_known: False where the plan was left behind, so that `skipped` is empty for want of knowledge.
        scores: The collected scores of the suite's draws, one row per case, class and metric; figures and the choice of
            cases need them.
        frames: Other tables of the results folder by file name without suffix, such as `conventions`.
        unavailable: Data sets that were not on the machine, with the reason.
    """

    summary: pd.DataFrame
    comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    runs: Sequence[Mapping[str, Any]] = ()
    infos: Sequence[Mapping[str, Any]] = ()
    suite: SuiteInfo = field(default_factory=lambda: SuiteInfo("suite"))
    skipped: Sequence[Mapping[str, Any]] = ()
    skipped_known: bool = True
    scores: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(COLUMNS)))
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, results_folder: str | Path, *, resources: str | Path = "resources") -> ReportData:
        """The results in a folder that `contrastseg collect` and `contrastseg compare` have written.

        Args:
            results_folder: A suite's folder, such as `results/demo` or `results/reference/phantoms/<machine>`.
            resources: The project's resources. Descriptions of data sets and splits are read there, else from the
                copies beside the scores.

        Raises:
            ContrastsegError: The scores, the summary or the comparisons are not there, or not as they were written.
        """
        return cls.of(ResultsFolder(Path(results_folder), Path(resources), strict=False))

    @classmethod
    def of(cls, folder: ResultsFolder, needed: Collection[str] = ()) -> ReportData:
        """The results in an opened folder.

        Args:
            folder: The folder, with its rule for missing parts.
            needed: Tables that must be there beside summary and comparisons, by file name without suffix.

        Raises:
            ContrastsegError: A part that is needed is not there, or not as it was written.
        """
        there = {name for name in OPTIONAL if folder.has(name)}
        skipped = folder.skipped
        return cls(
            summary=folder.frame("summary"),
            comparisons=folder.frame("comparisons"),
            runs=folder.runs,
            infos=folder.infos,
            suite=folder.suite_info,
            skipped=skipped or (),
            skipped_known=skipped is not None,
            scores=folder.scores,
            frames={name: folder.frame(name) for name in sorted(there | set(needed))},
            unavailable=folder.unavailable,
        )

    @property
    def conventions(self) -> pd.DataFrame:
        """Ranks by scoring convention; empty where the suite scores by one."""
        return self.frames.get("conventions", pd.DataFrame())

    @property
    def selection(self) -> pd.DataFrame:
        """What selection of a checkpoint on the test cases is worth; empty where the suite asks for no oracle."""
        return self.frames.get("selection", pd.DataFrame())

    @property
    def tuned(self) -> pd.DataFrame:
        """The choices of a tuned suite; empty in others."""
        return self.frames.get("tuned", pd.DataFrame())

    @property
    def rankings(self) -> pd.DataFrame:
        """How often each method is first when patients are resampled; empty where that was not computed."""
        return self.frames.get("rankings", pd.DataFrame())

    @property
    def draws(self) -> pd.DataFrame:
        """The comparison averaged over all draws; empty where no method has further draws."""
        return self.frames.get("draws", pd.DataFrame())

    @property
    def variance(self) -> pd.DataFrame:
        """Variance components, and what one seed or draw alone would say; empty where that was not computed."""
        return self.frames.get("variance", pd.DataFrame())

    @cached_property
    def _names(self) -> tuple[dict[str, str], dict[tuple[str, str], tuple[str, str]]]:
        # A method that applies nowhere has no run; the plan knows where it comes from.
        skipped = {str(item["method"]): str(item["provenance"]) for item in self.skipped if item.get("provenance")}
        return skipped | provenances(self.runs), display_names(self.runs)

    @cached_property
    def _labelled(self) -> dict[tuple[str, str], int]:
        return labelled_counts(self.runs)

    @cached_property
    def training(self) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
        """(entry, method) -> the training settings of its runs."""
        trainings: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for run in self.runs:
            trainings.setdefault((str(run["dataset"]), str(run["method"])), []).append(run.get("training") or {})
        return trainings

    def label(self, method: str, variant: str) -> MethodLabel:
        """The label of a method with its provenance mark."""
        return method_label(method, variant, *self._names)

    def dataset_title(self, entry: str, in_full: bool = False) -> str:
        """The title of an entry's data set; with the entry's name in full, or where two have the same title."""
        titles = {str(info.get("entry")): str(info.get("title") or info.get("entry")) for info in self.infos}
        title = titles.get(entry, entry)
        shared = list(titles.values()).count(title) > 1
        return f"{title} ({entry})" if (in_full or shared) and title != entry else title

    def labelled(self, entry: str, labels: str) -> int | None:
        """Number of labelled patients of a budget."""
        return self._labelled.get((entry, labels))

    def metrics(self, chosen: Sequence[str] | None = None) -> list[str]:
        """The metrics to print: those chosen that were scored, else all that were."""
        present = metric_order(self.summary["metric"].astype(str)) if len(self.summary) else []
        return [metric for metric in chosen or () if metric in present] or present

    def method_order(self, methods: Sequence[str]) -> list[str]:
        """These methods in the suite's order."""
        return in_order(methods, self.suite.methods)

    def pair_order(self, pairs: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
        """These (method, variant) in the suite's order, variants behind their method's default."""
        order = self.method_order([method for method, _ in pairs])
        return sorted(pairs, key=lambda pair: (order.index(pair[0]), pair[1] != "default", pair[1]))

    def class_order(self, rows: pd.DataFrame, entry: str) -> list[str]:
        """The classes of these rows in the data set's order; what it does not know, such as `mean`, comes last."""
        present = list(dict.fromkeys(rows["class"].astype(str)))
        known = [str(name) for info in self.infos if info.get("entry") == entry for name in info.get("classes", ())]
        return sorted(present, key=lambda name: known.index(name) if name in known else len(known))

    def chosen(self, settings: TableSettings | FigureSettings) -> ReportData:
        """The part that the settings of a table or a figure ask for; the suite's order stays that of all methods."""
        wanted = {
            "dataset": settings.datasets,
            "method": settings.methods,
            "labels": settings.labels,
            "checkpoint": settings.checkpoints,
        }
        return replace(
            self,
            summary=keep(self.summary, wanted),
            comparisons=keep(self.comparisons, wanted),
            scores=keep(self.scores, wanted),
            frames={name: keep(frame, wanted) for name, frame in self.frames.items()},
            skipped=[
                item
                for item in self.skipped
                if all(names is None or key == "checkpoint" or item[key] in names for key, names in wanted.items())
            ],
        )

    def places(self, frame: pd.DataFrame) -> list[tuple[Place, pd.DataFrame]]:
        """The rows by (data set, evaluated on, checkpoint), data sets in the suite's order, last checkpoints first."""
        if not len(frame):
            return []
        rows_by_place = [((str(a), str(b), str(c)), rows) for (a, b, c), rows in frame.groupby(list(PLACE), sort=True)]
        order = in_order([key[0] for key, _ in rows_by_place], self.suite.datasets)
        return sorted(rows_by_place, key=lambda item: (order.index(item[0][0]), item[0][1], item[0][2] != "last"))

    def block_title(self, dataset: str, evaluated_on: str, checkpoint: str) -> str:
        """Such as "ISIC 2016 · evaluated on PH2 · checkpoint best_val".

        The mark of the oracle comes first, where no narrow panel cuts it off.
        """
        parts = [ORACLE_MARK] if checkpoint == ORACLE else []
        parts.append(self.dataset_title(dataset))
        if evaluated_on != dataset:
            parts.append(f"evaluated on {self.dataset_title(evaluated_on)}")
        if checkpoint != "last":
            parts.append(f"checkpoint {checkpoint}")
        return " · ".join(parts)


def absent_share(rows: pd.DataFrame) -> pd.Series:
    """The share of structures that are absent, by row of the summary; means of unlike shares do not compare."""
    counted = rows["scored"] + rows["missed"] + rows["invented"] + rows["absent"]
    return (rows["absent"] / counted).round(12)


def records(frame: pd.DataFrame) -> Iterator[Any]:
    """The rows as named tuples (typed as anything: the columns are the contract, not the type checker's to know)."""
    return iter(frame.itertuples())


def keep(frame: pd.DataFrame, wanted: Mapping[str, Sequence[str] | None]) -> pd.DataFrame:
    """The rows whose columns hold one of the wanted values (None: any)."""
    for column, values in wanted.items():
        if values is not None and column in frame:
            frame = frame[frame[column].isin(list(values))]
    return frame


def complete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows that may be ranked: no prediction is missing, and all means are over the same structures.

    Rows of the oracle checkpoint are never ranked.

    Scores leave absent structures out. Where one method found something in an empty reference and another did not,
    their means are over unlike structures and say nothing of the order: no row is left.
    """
    rows = rows[rows["mean"].notna() & (rows["holes"] == 0) & (rows["checkpoint"] != ORACLE)]
    rows = rows[rows["missing"] == 0] if "missing" in rows else rows
    if absent_share(rows).nunique() > 1:
        return rows.iloc[:0]
    return rows[rows["n_patients"] == rows["n_patients"].max()]
