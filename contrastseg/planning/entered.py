"""Where a row of foreign predictions stands in a suite, and whether its protocol is still the present one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split, labelled_count
from contrastseg.errors import DataError, EnterError, SplitError, unknown_name
from contrastseg.evaluation.entered.protocol import RowProtocol, differing_parts
from contrastseg.evaluation.scoring.predictions import INDEX
from contrastseg.files import read_json, require_path, wrap_parse_errors
from contrastseg.methods import registry
from contrastseg.paths import MANIFEST, RESOURCES
from contrastseg.planning.data_paths import prepared_of, split_of
from contrastseg.planning.entered_runs import UNTUNED, comparable_checkpoints
from contrastseg.planning.run_axes import EnteredRun, fold_of
from contrastseg.report.content.results_folder import ResultsFolder
from contrastseg.suite import NAME, Suite
from contrastseg.text import plural

_LONGEST = 100


@dataclass(frozen=True)
class Row:
    """Where an entered run stands in a suite's tables, and what it rests on.

    Attributes:
        run: The run.
        evaluated_on: The entry whose test cases are predicted.
        checkpoint: The checkpoint that it is compared at.
        protocol: The cases, references and patients.
    """

    run: EnteredRun
    evaluated_on: str
    checkpoint: str
    protocol: RowProtocol

    @property
    def predictions(self) -> Path:
        """The folder of its predictions."""
        return self.run.predictions(self.evaluated_on, self.checkpoint)


def check_method(suite: Suite, name: str) -> None:
    """Refuse the name of a method that this project trains, and what cannot be the name of a folder.

    Raises:
        EnterError: It is one, differently capitalised or not.
    """
    if not re.fullmatch(NAME, name) or len(name) > _LONGEST:
        raise EnterError(
            f"name of the row: found {name!r}, expected letters, digits, `_`, `-` and `.`, at most {_LONGEST}",
            remedy="choose another --method",
        )
    known = {method.lower(): method for method in [*registry.names(), *(method.name for method in suite.methods)]}
    if name.lower() in known:
        raise EnterError(
            f"{known[name.lower()]!r} is the name of a method of this benchmark",
            case=name,
            remedy=f"give the row a name of its own, such as --method {name}_own",
        )


def row_of(
    suite: Suite,
    *,
    entry: str,
    method: str,
    labels: str,
    draw: int,
    fold: int,
    seed: int,
    evaluated_on: str | None,
    checkpoint: str | None,
    resources: Path = RESOURCES,
) -> Row:
    """Find the place of a row in a suite, and its protocol in the prepared data.

    Args:
        suite: The suite.
        entry: Name of the entry that was trained on.
        method: The row's name.
        labels: The label budget, in the suite's spelling or in another that comes to the same count.
        draw: Which patients have labels.
        fold: The fold.
        seed: The seed.
        evaluated_on: The entry that was predicted; `entry` by default.
        checkpoint: The checkpoint that the row is compared at; the suite's first by default.
        resources: Folder of prepared data and splits.

    Raises:
        EnterError: The suite is tuned, or has no such entry, budget, draw, fold, seed, evaluation or checkpoint.
        SuiteError: The entry is not prepared and split.
    """
    if suite.tuning is not None:
        raise EnterError(UNTUNED, remedy="enter them in a suite without `tuning`")
    entries = [item.name for item in suite.datasets if item.evaluate_on]
    _require("entry", entry, entries, "--entry")
    other, checkpoint = evaluated_on or entry, checkpoint or comparable_checkpoints(suite)[0]
    _require("evaluation on", other, suite.entry(entry).evaluate_on, "--evaluated-on")
    _require("checkpoint", checkpoint, comparable_checkpoints(suite), "--checkpoint")
    axes = {"draw": (draw, suite.all_draws), "fold": (fold, suite.folds), "seed": (seed, suite.seeds)}
    for axis, (value, known) in axes.items():
        _require(axis, str(value), list(map(str, known)), f"--{axis}")
    dataset, split = load_entry(suite, entry, resources)
    predicted, tested = (dataset, split) if other == entry else load_entry(suite, other, resources)
    labels = _budget(suite, labels, len(split.train(fold)))
    protocol = RowProtocol(predicted, split, tested, labels, draw, fold, fold_of(entry, other, fold))
    run = EnteredRun(suite.name, entry, method, "default", labels, draw, fold, seed)
    return Row(run, other, checkpoint, protocol)


def _require(axis: str, value: str, known: list[str], option: str) -> None:
    if value not in known:
        raise EnterError(unknown_name(axis, value, known), remedy=f"correct {option}, or add it to the suite")


def load_entry(suite: Suite, entry: str, resources: Path = RESOURCES) -> tuple[PreparedDataset, Split]:
    """The prepared data and the split of an entry.

    Raises:
        SuiteError: They are not there.
    """
    prepared, split = prepared_of(suite.entry(entry), resources), split_of(suite, suite.entry(entry), resources)
    remedy = "prepare and split it first: contrastseg run SUITE --until split"
    require_path(prepared / MANIFEST, f"prepared data set {entry!r}", remedy)
    require_path(split, f"split of {entry!r}", remedy)
    return PreparedDataset(prepared), Split.from_file(split)


def _budget(suite: Suite, labels: str, train: int) -> str:
    """The suite's spelling of a label budget: the first that comes to as many patients, which is the one that runs."""
    try:
        count = labelled_count(labels, train)
    except SplitError as error:
        raise EnterError(error.reason, remedy=f"correct --labels; {error.remedy}") from error
    counts = {label: labelled_count(label, train) for label in suite.labels}
    same = [label for label, number in counts.items() if number == count]
    if not same:
        there = ", ".join(f"{label} ({plural(number, 'patient')})" for label, number in counts.items())
        raise EnterError(
            f"label budget: found {labels} ({plural(count, 'patient')}), expected one of the suite: {there}",
            remedy="correct --labels, or add the budget to the suite",
        )
    return same[0]


@dataclass(frozen=True)
class EnteredState:
    """What is known of entered predictions now.

    Attributes:
        outdated: Why they are no longer of the present protocol; empty where they are, or where the data is not here.
        moved: The number of maps that were brought to the grid of their reference.
    """

    outdated: str
    moved: int


def entered_states(folder: ResultsFolder) -> dict[tuple[str, str, str], EnteredState]:
    """The state of each entered run, by folder, entry that is evaluated on, checkpoint.

    Args:
        folder: The results of the suite, with its plan.

    Raises:
        FileError: The index of an entered run is damaged.
    """
    plan = folder.plan
    entered = {run["folder"]: run for run in plan["runs"] if run.get("entered")}
    states = {}
    for item in plan["evaluations"]:
        if item["folder"] in entered:
            other, checkpoint = item["evaluated_on"], item["checkpoint"]
            index = folder.path / item["folder"] / "predictions" / other / checkpoint / INDEX
            with wrap_parse_errors(index, remedy="enter the predictions again with --replace"):
                stored = read_json(index)["entered"]
                protocol, moved = stored["protocol"], len(stored["moved"])
            outdated = _outdated(folder, {**entered[item["folder"]], **item}, protocol)
            states[item["folder"], other, checkpoint] = EnteredState(outdated, moved)
    return states


def _outdated(folder: ResultsFolder, run: Mapping[str, Any], stored: Mapping[str, Any]) -> str:
    entry, other, fold = run["dataset"], run["evaluated_on"], run["fold"]
    prepared, split, tested = folder.prepared[other], folder.split_file(entry), folder.split_file(other)
    if not ((prepared / MANIFEST).is_file() and split.is_file() and tested.is_file()):
        return ""
    try:
        present = RowProtocol(
            PreparedDataset(prepared),
            Split.from_file(split),
            Split.from_file(tested),
            run["labels"],
            run["draw"],
            fold,
            fold_of(entry, other, fold),
        ).stored()
    except (DataError, SplitError) as error:
        return f"the split changed after the predictions were entered: {error.reason}"
    changed = differing_parts(stored, present)
    return f"{' and '.join(changed)} changed after the predictions were entered" if changed else ""


def suite_protocols(suite: Suite, entry: str, resources: Path = RESOURCES) -> dict[str, Any]:
    """What `evaluation.entered.export.export` takes: the protocol of every row that an entry has in a suite.

    Args:
        suite: The suite.
        entry: Name of the entry.
        resources: Folder of prepared data and splits.

    Raises:
        EnterError: The suite is tuned, or has no such entry, or it is only evaluated on.
        SuiteError: An entry is not prepared and split.
    """
    if suite.tuning is not None:
        raise EnterError(UNTUNED, remedy="enter them in a suite without `tuning`")
    entries = [item.name for item in suite.datasets if item.evaluate_on]
    _require("entry", entry, entries, "--entry")
    loaded = {name: load_entry(suite, name, resources) for name in {entry, *suite.entry(entry).evaluate_on}}
    _, split = loaded[entry]
    rows = [
        (other, RowProtocol(loaded[other][0], split, loaded[other][1], labels, draw, fold, fold_of(entry, other, fold)))
        for other in suite.entry(entry).evaluate_on
        for fold in suite.folds
        for draw in suite.all_draws
        for labels in dict.fromkeys(_budget(suite, labels, len(split.train(fold))) for labels in suite.labels)
    ]
    return {"suite": suite.name, "entry": entry, "rows": rows, "scoring": suite.evaluation.model_dump(mode="json")}
