"""The files of a results folder, and what can be said without the parts that were left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastseg.files import read_json, require_path, wrap_parse_errors
from contrastseg.paths import SCORES, prepared_folder, split_file

if TYPE_CHECKING:
    import pandas as pd

    from contrastseg.report.content.suite_info import SuiteInfo

# What pandas must not take for numbers or for missing values: a class may be called "NA", a budget "n7".
_TEXT = {"dataset", "evaluated_on", "checkpoint", "labels", "method", "variant", "class", "metric", "unit"}
_TEXT |= {"interval_kind", "holes_named", "reference", "family", "verdict", "direction", "convention", "clipped"}
_TEXT |= {"mean_kind", "mean_clipped", "mean_difference_clipped", "mean_against", "empty_reference", "disagreement"}
_TEXT |= {"nonempty_verdict", "false_positives_verdict", "note", "unknown", "difference_unknown"}
_TEXT |= {"first_draw_verdict"}
_TEXT |= {"values", "validation", "diverged"}
_MADE_BY = {
    "conventions": "collect --conventions",
    "selection": "collect --snapshots",
    "tuned": "collect-tuning",
}  # the command that writes a table; the others are of `compare`
_COLLECT = "run `contrastseg collect` again"
_PLAN = {"suite": dict, "runs": list, "evaluations": list, "skipped": (list, type(None)), "unavailable": dict}
_SUITE = {"name": str, "datasets": list, "methods": list}
_Place = Callable[[str], Path]
_OF_A_SPLIT = ("entry", "name", "source", "hash", "complete_counts", "subset")


@dataclass(frozen=True)
class ResultsFolder:
    """The results of one suite.

    Attributes:
        path: The suite's folder.
        resources: The project's resources; what was prepared and split is read there, or in the copy of `collect`.
        suite: The suite as a plain dict where it is read anew; else the plan's.
        strict: Whether a missing part is an error. Set it to False where only stored scores are shown again.
    """

    path: Path
    resources: Path
    suite: dict[str, Any] | None = None
    strict: bool = True

    @cached_property
    def plan(self) -> dict[str, Any]:
        """The plan; without its file and if that is allowed, what the run cards and the scores say of it."""
        path = self.path / "plan.json"
        if self.strict or path.is_file():
            remedy = f"run `contrastseg plan SUITE --output {path}` first"
            plan = _shaped(require_path(path, "plan", remedy), _PLAN)
            with wrap_parse_errors(path, remedy=remedy):
                _check(plan["suite"], _SUITE)
                for entry in (*plan["suite"]["datasets"], *plan["suite"]["methods"]):
                    _check(entry, {"name": str})
        else:
            plan = self._plan_of_the_scores()
        return plan | {"suite": self.suite} if self.suite else plan

    def _plan_of_the_scores(self) -> dict[str, Any]:
        from contrastseg.evaluation.statistics.draws import shared_draws

        scores = self.all_scores
        draws_of: dict[str, set[int]] = {}
        for run in self.runs:
            draws_of.setdefault(run["method"], set()).add(run.get("draw", 0))
        suite = {
            "name": str(scores["suite"].iloc[0]) if len(scores) else self.path.name,
            "draws": shared_draws(scores),
            "datasets": [{"name": name} for name in dict.fromkeys(scores["dataset"])],
            "methods": [{"name": name, "draws": sorted(draws)} for name, draws in draws_of.items()],
        }
        return {"suite": suite, "runs": [], "evaluations": [], "skipped": None, "unavailable": {}}

    @cached_property
    def all_scores(self) -> pd.DataFrame:
        """`scores.parquet`, further draws of some methods among its rows."""
        from contrastseg.evaluation.scoring.collect import read_table

        return read_table(self.path / SCORES)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The scores of the suite's draws, which all methods have: tables, tests, ranks and figures are of these."""
        from contrastseg.evaluation.statistics.draws import common_draws

        return common_draws(self.all_scores, self.draws)

    @property
    def draws(self) -> list[int]:
        """The draws of labelled patients that all methods have."""
        from contrastseg.evaluation.statistics.draws import shared_draws

        said = self.plan["suite"].get("draws")
        return shared_draws(self.all_scores) if said is None else list(said)

    @property
    def further_draws(self) -> list[int]:
        """The draws that some methods have beside these."""
        own = [draw for method in self.plan["suite"]["methods"] for draw in method.get("draws") or ()]
        return sorted(set(own) - set(self.draws))

    @cached_property
    def runs(self) -> list[dict[str, Any]]:
        """The `run.json` of the runs."""
        path = self.path / "cards.json"
        if not self.strict and not path.is_file():
            return []
        runs = read_json(require_path(path, "run records", "run `contrastseg collect` first"))
        with wrap_parse_errors(path, remedy=_COLLECT):
            for run in runs:
                _check(run, {"method": str})
        return list(runs)

    @property
    def skipped(self) -> list[dict[str, Any]] | None:
        """The combinations that do not apply, and the planned ones without scores; None where the plan is missing."""
        from contrastseg.report.content.pending import pending_runs

        skipped: list[dict[str, Any]] | None = self.plan["skipped"]
        with wrap_parse_errors(self.path / "plan.json", remedy="plan again"):
            return None if skipped is None else [*skipped, *pending_runs(self.plan, self.all_scores, self.runs)]

    @property
    def entries(self) -> Sequence[str]:
        """The data sets that were there."""
        return [entry["name"] for entry in self.plan["suite"]["datasets"] if entry["name"] not in self.unavailable]

    @property
    def unavailable(self) -> dict[str, str]:
        """The data sets that were not, with the reason."""
        unavailable: dict[str, str] = self.plan["unavailable"]
        return unavailable

    @property
    def several_conventions(self) -> bool:
        """Whether the suite scores by other conventions too."""
        return bool(self.plan["suite"].get("evaluation", {}).get("also_conventions"))

    def has(self, name: str) -> bool:
        """Whether the table of this name, without suffix, is there."""
        return (self.path / f"{name}.csv").is_file()

    def frame(self, name: str) -> pd.DataFrame:
        """A CSV table by its name without suffix, text as text.

        Raises:
            ContrastsegError: It is not there, or an earlier version made it.
        """
        import pandas as pd

        command = _MADE_BY.get(name, "compare")
        path = require_path(self.path / f"{name}.csv", "summary of the scores", f"run `contrastseg {command}` first")
        with wrap_parse_errors(path, remedy=f"run `contrastseg {command}` again"):
            columns = pd.read_csv(path, nrows=0).columns
            text = {name: str for name in columns if name in _TEXT}
            if older := [column for column in _columns_of(name) if column not in columns]:
                raise ValueError(f"an earlier version made it, without {', '.join(older[:3])}")
            numbers = {name: ["", "nan"] for name in columns if name not in _TEXT}
            return pd.read_csv(path, dtype=text, keep_default_na=False, na_values=numbers)

    @property
    def infos(self) -> list[dict[str, Any]]:
        """The `dataset.json` of the entries."""
        return self._of_entries("infos", self._description, "prepared data set", "contrastseg prepare")

    @property
    def suite_info(self) -> SuiteInfo:
        """Names, order, splits, convention and level of the suite."""
        from contrastseg.report.content.suite_info import gather_suite_info

        splits = self._of_entries("splits", self.split_file, "split", "contrastseg split")
        totals = self.plan.get("step_totals", ())
        return gather_suite_info(self.plan["suite"], splits, totals, draws=self.draws, further_draws=self.further_draws)

    def _of_entries(self, kept: str, place: _Place, what: str, command: str) -> list[dict[str, Any]]:
        """One file per entry: that of the resources, or the copy beside the scores, or none where that is allowed."""
        path = self.path / "data.json"
        with wrap_parse_errors(path, remedy=_COLLECT):
            copies = {item["entry"]: item for item in read_json(path)[kept]} if path.is_file() else {}
        described = []
        for entry in self.entries:
            file = place(entry)
            if file.is_file():
                described.append(_shaped(file, {"entry": str}))
            elif entry in copies:
                described.append(copies[entry])
            elif self.strict:
                require_path(file, what, f"run `{command}` first")
        return described

    def data_copy(self) -> dict[str, Any]:
        """What `collect` keeps beside the scores, so that the report can be made where the data is not."""
        splits = self._of_entries("splits", self.split_file, "split", "contrastseg split")
        parts = ("train", "val", "test")
        trimmed = [
            {name: split.get(name) for name in _OF_A_SPLIT}
            | {"folds": [{part: fold.get(part, []) for part in parts} for fold in split.get("folds", [])[:1]]}
            for split in splits
        ]
        return {"infos": self.infos, "splits": trimmed}

    @property
    def prepared(self) -> dict[str, Path]:
        """Folder of the prepared data by entry."""
        return {entry: self._prepared(entry) for entry in self.entries}

    def _prepared(self, entry: str) -> Path:
        return prepared_folder(self._store(entry, "prepared"), self.resources)

    def _description(self, entry: str) -> Path:
        return self._prepared(entry) / "dataset.json"

    def split_file(self, entry: str) -> Path:
        """The split file of an entry."""
        return split_file(self._store(entry, "split"), self.resources)

    def _store(self, entry: str, kind: str) -> str:
        """The name that the plan says; plans of older versions, and none at all, know the entry's alone."""
        with wrap_parse_errors(self.path / "plan.json", remedy="plan again"):
            return str(self.plan.get("stores", {}).get(entry, {}).get(kind, entry))

    @cached_property
    def run_folders(self) -> dict[str, Path]:
        """Folder of each run by `run_keys.run_key`."""
        from contrastseg.report.content.run_keys import run_key

        with wrap_parse_errors(self.path / "plan.json", remedy="plan again"):
            return {run_key(run): self.path / run["folder"] for run in self.plan["runs"]}

    def logs(self) -> dict[str, pd.DataFrame]:
        """`log.csv` of each run of the suite's draws; entered runs have none."""
        import pandas as pd

        from contrastseg.report.content.run_keys import run_key

        by_run = {}
        entered = {run_key(run) for run in self.plan["runs"] if run.get("entered")}
        compared = {run_key(run) for run in self.plan["runs"] if run["draw"] in self.draws}
        for key, folder in self.run_folders.items():
            path = folder / "log.csv"
            if key in compared and key not in entered and (self.strict or path.is_file()):
                with wrap_parse_errors(path, remedy="train the run again"):
                    by_run[key] = pd.read_csv(of_run(path))
        return by_run


def _columns_of(name: str) -> Sequence[str]:
    """The columns that tables and figures rely on in a CSV of `compare`."""
    if name not in ("summary", "comparisons"):
        return ()
    from contrastseg.evaluation.statistics import COMPARISON_COLUMNS, SUMMARY_COLUMNS

    return SUMMARY_COLUMNS if name == "summary" else COMPARISON_COLUMNS


def of_run(path: Path) -> Path:
    """The file of a run of the plan.

    Raises:
        ContrastsegError: It is not there.
    """
    return require_path(path, "record of a run of the plan", "run `contrastseg train` for it, or the workflow")


def _shaped(path: Path, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping in a JSON file, when it has these parts of these types.

    Raises:
        FileError: It has not.
    """
    value: dict[str, Any] = read_json(path)
    with wrap_parse_errors(path):
        _check(value, parts)
    return value


def _check(value: Any, parts: Mapping[str, Any]) -> None:
    for name, kind in parts.items():
        if not isinstance(value[name], kind):
            raise TypeError(f"{name} is {value[name]!r:.100}")
