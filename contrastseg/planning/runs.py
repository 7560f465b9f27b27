"""The runs of a suite: every combination of the axes that applies, and the reason for each one that does not."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from contrastseg.checkpoint_names import BEST_VAL, LAST, ORACLE, SNAPSHOTS
from contrastseg.data.splits.folds import pool_patients
from contrastseg.data.splits.split_files import labelled_count
from contrastseg.data.splits.splits import Population
from contrastseg.errors import SplitError, SuiteError
from contrastseg.methods import registry as methods
from contrastseg.methods.contract import Circumstances
from contrastseg.networks.catalogue import check_patch, whatever_the_options
from contrastseg.paths import RESOURCES
from contrastseg.planning.availability import population
from contrastseg.planning.data_folders import DataFolders
from contrastseg.planning.data_paths import prepared_of, split_of
from contrastseg.planning.entered_runs import find_entered
from contrastseg.planning.run_axes import RESULTS, Evaluation, Run, TunedRun, fold_of
from contrastseg.planning.run_snapshots import snapshots_of
from contrastseg.planning.tuning import Trial, TunedCell, cells_of
from contrastseg.suite import DatasetEntry, MethodEntry, Suite
from contrastseg.suite.step_totals import step_totals
from contrastseg.training.pruning import PRUNED


@dataclass(frozen=True)
class Plan:
    """What a suite will run and skip.

    Attributes:
        suite: The suite, as validated.
        runs: All training runs, one seed of everything first and further draws of some methods last.
        skipped: Combinations left out: {dataset, method, labels, reason, provenance}.
        unavailable: Entries whose data is not on this machine, with the steps to get it.
        populations: Training patients and images of each available entry.
        resources: The project's resources folder.
        entered: Evaluations of entered runs, which are scored and not trained.
    """

    suite: Suite
    runs: tuple[Run, ...]
    skipped: tuple[dict[str, str], ...]
    unavailable: dict[str, str] = field(default_factory=dict)
    populations: dict[str, Population] = field(default_factory=dict)
    resources: Path = RESOURCES
    entered: tuple[Evaluation, ...] = ()

    @property
    def entered_runs(self) -> list[Run]:
        """The entered runs, each once."""
        return list(dict.fromkeys(run for run, _, _ in self.entered))

    def records(self) -> list[Path]:
        """The record of every run, entered ones included."""
        return [Path(f"{run.folder}/run.json") for run in (*self.runs, *self.entered_runs)]

    def evaluations(self) -> Iterator[Evaluation]:
        """Run, entry it is evaluated on, checkpoint: one file of scores each.

        The oracle is of the runs that keep snapshots.
        """
        for run in self.runs:
            for other in self.suite.entry(run.entry).evaluate_on:
                if other not in self.unavailable:
                    for checkpoint in self.suite.checkpoints:
                        if checkpoint != ORACLE or self._snapshots[run.entry, run.method, run.variant]:
                            yield run, other, checkpoint
        yield from self.entered

    def predictions(self) -> Iterator[Evaluation]:
        """The evaluations that have predictions: all but those of the oracle, which is selected from score files."""
        return (evaluation for evaluation in self.evaluations() if evaluation[2] != ORACLE)

    def selections(self) -> Iterator[Evaluation]:
        """Run, entry it is evaluated on, name of a file of scores: what the table of selection is made from.

        The candidates of every oracle (`SNAPSHOTS` is the file of all snapshots), and best_val where the suite asks
        for it. Nothing without an oracle.
        """
        besides = [BEST_VAL] if BEST_VAL in self.suite.checkpoints else []
        for run, other, checkpoint in self.evaluations():
            if checkpoint == ORACLE:
                for name in (SNAPSHOTS, LAST, *besides):
                    yield run, other, name

    def pruned(self) -> list[Path]:
        """The records of removed snapshots, one for each run with an oracle; none where the suite keeps them."""
        runs = dict.fromkeys(run for run, _, _ in self.selections())
        return [] if self.suite.keep_snapshots else [run.folder / "checkpoints" / PRUNED for run in runs]

    @cached_property
    def _snapshots(self) -> dict[tuple[str, str, str], tuple[str, ...]]:
        cells = {(run.entry, run.method, run.variant) for run in self.runs}
        return {cell: snapshots_of(self.suite, *cell) for cell in sorted(cells)}

    @property
    def tuned_cells(self) -> list[TunedCell]:
        """What is tuned: every method and variant at every label budget, draw and fold. None in an untuned suite."""
        return cells_of(self.runs) if self.suite.tuning is not None else []

    def trials(self) -> list[Trial]:
        """One job for each trial and fold of each cell."""
        tuning = self.suite.tuning
        return [trial for cell in self.tuned_cells for trial in cell.trials(tuning)] if tuning is not None else []

    def pools(self) -> list[Path]:
        """The pre-training pools that its runs draw from."""
        files = {
            pool_file(run.suite, run.entry, run.fold): None
            for run in self.runs
            if pool_stages(self.suite.entry(run.entry), run.method)
        }
        return list(files)

    def _inside(self, run: Run) -> str:
        return str(run.folder).removeprefix(f"{RESULTS}/{self.suite.name}/")

    def _tuning_json(self) -> dict[str, Any]:
        """The cells of a tuned suite; nothing for others, whose plans stay as they are."""
        tuning = self.suite.tuning
        if tuning is None:
            return {}
        inside = f"{RESULTS}/{self.suite.name}/"
        counts = {cell: (tuning.trials, tuning.inner_folds(cell.labels)) for cell in self.tuned_cells}
        return {
            "tuning": [
                {"folder": str(cell.folder).removeprefix(inside), "trials": trials, "inner_folds": folds}
                for cell, (trials, folds) in counts.items()
            ]
        }

    def to_json(self) -> dict[str, Any]:
        """The plan as `collect` and the report read it."""
        return {
            "suite": self.suite.model_dump(mode="json", exclude={"tables", "figures"}),
            "runs": [
                *({**run.axes, "folder": self._inside(run)} for run in self.runs),
                *({**run.axes, "folder": self._inside(run), "entered": True} for run in self.entered_runs),
            ],
            "evaluations": [
                {"folder": self._inside(run), "evaluated_on": other, "checkpoint": checkpoint}
                for run, other, checkpoint in self.evaluations()
            ],
            "selections": [
                {"folder": self._inside(run), "evaluated_on": other, "checkpoint": checkpoint}
                for run, other, checkpoint in self.selections()
            ],
            **self._tuning_json(),
            "skipped": list(self.skipped),
            "step_totals": step_totals(self.suite),
            "unavailable": self.unavailable,
            "stores": {
                entry.name: {
                    "prepared": prepared_of(entry, self.resources).name,
                    "split": split_of(self.suite, entry, self.resources).stem,
                }
                for entry in self.suite.datasets
                if entry.name not in self.unavailable
            },
        }


def expand(
    suite: Suite,
    unavailable: Mapping[str, str] | None = None,
    data_root: Path | None = None,
    resources: Path = RESOURCES,
    data_folders: DataFolders | None = None,
) -> Plan:
    """All runs of a suite that apply and can run.

    Args:
        suite: What to compare.
        unavailable: Entries to leave out, with the reason (see `missing_data`).
        data_root: The user's folder of data sets; how many patients there are decides which budgets are the same.
        resources: The project's resources folder.
        data_folders: The same folders, where they were listed already.

    Raises:
        SuiteError: A budget asks for more patients than there are, an entry that is to train has no training patients,
            a patch has other dimensions than the images, or no run is left.
    """
    unavailable, data_folders = dict(unavailable or {}), data_folders or DataFolders(data_root, resources)
    runs: list[Run] = []
    skipped: list[dict[str, str]] = []
    populations: dict[str, Population] = {}
    for entry in suite.datasets:
        if entry.name in unavailable:
            cells = _unavailable_cells(suite, entry)
        else:
            known = populations[entry.name] = population(entry, data_folders)
            if known.train == 0 and entry.evaluate_on:
                raise SuiteError(
                    f"{entry.name} has no training patients with labels, so it can only serve other entries",
                    remedy="give it `evaluate_on: []`, and name it in the evaluate_on of those that train, or in their "
                    "pool where its images have no labels",
                )
            _check_patches(suite, entry)
            cells = _cells(suite, entry, known)
        absent = [name for name in entry.pool if name in unavailable]
        for method, (labels, reason) in cells:
            if absent and not reason and (drawing := pool_stages(entry, method.name)):
                pretrains = all(methods.get(method.name).stage(stage).data == "unlabelled" for stage in drawing)
                what = "its pre-training" if pretrains else "it"
                reason = f"{what} draws from {', '.join(absent)}, which is not on this machine"
            if reason:
                left_out = {"dataset": entry.name, "method": method.name, "labels": labels, "reason": reason}
                skipped.append(left_out | {"provenance": methods.get(method.name).card.provenance})
                continue
            replicates = itertools.product(method.variants, suite.draws_of(method), suite.folds, suite.seeds)
            kind = Run if suite.tuning is None else TunedRun
            runs += [kind(suite.name, entry.name, method.name, v, labels, d, f, s) for v, d, f, s in replicates]
    if not runs:
        reasons = "; ".join(dict.fromkeys(item["reason"] for item in skipped)) or "no entry trains anything"
        raise SuiteError(
            f"every run of suite {suite.name} is skipped: {reasons}",
            remedy="change its data sets, methods or labels so that one run applies",
        )
    runs.sort(key=lambda run: replicate_rank(suite, run.draw, run.fold, run.seed))
    entered = find_entered(suite, unavailable)
    skipped += entered.left_out
    return Plan(suite, tuple(runs), tuple(skipped), unavailable, populations, resources, entered.evaluations)


def replicate_rank(suite: Suite, draw: int, fold: int, seed: int) -> int:
    """0 for the first seed of the first draw and fold, then 1, ...: lower ones run first.

    So every cell of a table gets a first number before any gets a second. Further draws of some methods follow after
    all runs of the suite's draws.
    """
    before, draws = 0, suite.draws
    if draw not in draws:
        before, draws = len(suite.seeds) * len(draws) * len(suite.folds), suite.further_draws
    position = (suite.seeds.index(seed) * len(draws) + draws.index(draw)) * len(suite.folds)
    return before + position + suite.folds.index(fold)


def _unavailable_cells(suite: Suite, entry: DatasetEntry) -> Iterator[tuple[MethodEntry, tuple[str, str | None]]]:
    """Every method and label budget of an entry whose data is not on this machine."""
    for method, labels in itertools.product(suite.methods, suite.labels if entry.evaluate_on else ()):
        yield method, (labels, f"{entry.name} is not on this machine")


def _cells(
    suite: Suite, entry: DatasetEntry, known: Population
) -> Iterator[tuple[MethodEntry, tuple[str, str | None]]]:
    """Methods and label budgets of an entry, each with the reason to skip it, or None."""
    if not entry.evaluate_on:
        return
    dims, spec, patients = spatial_dims(entry), entry.spec, known.train
    others = known.usable > 0 or (entry.pool_use == "all" and entry.pool != [entry.name])
    for method in suite.methods:
        first: dict[int, str] = {}
        for labels in suite.labels:
            fraction = float(labels[1:]) if labels[0] == "r" else 0.0
            reason = None
            if patients is not None:
                count = _count(entry, labels, patients)
                fraction = count / patients
                if first.setdefault(count, labels) != labels:
                    reason = f"{labels} is {count} of {patients} patients, as {first[count]} is: run once"
            circumstances = Circumstances(dims, fraction, spec.spatial_dims == 3, len(spec.classes), others)
            reason = reason or methods.get(method.name).applies_to(circumstances)
            yield method, (labels, reason or (suite.tuning.untuned(labels) if suite.tuning else None))


def _check_patches(suite: Suite, entry: DatasetEntry) -> None:
    dims = spatial_dims(entry)
    variants = [(method, variant) for method in suite.methods if entry.evaluate_on for variant in method.variants]
    for method, variant in variants:
        training = suite.training_of(entry, method, variant)
        patch = training.patch_size
        if len(patch) != dims:
            raise SuiteError(
                f"{method.name} ({variant}) on {entry.name} sees {dims}D images, and its patch_size is {patch}",
                remedy=f"give the entry `training: {{patch_size: [{', '.join(['96'] * dims)}]}}`, or another size",
            )
        if methods.get(method.name).engine is None:
            check_patch(training.network, dims, patch)
            if dims in methods.get(method.name).spatial_dims:
                _check_network(entry, method, variant, training.network)


def _check_network(entry: DatasetEntry, method: MethodEntry, variant: str, network: Mapping[str, Any]) -> None:
    """Ask a method whether it can train the network of its variant on an entry, as far as the catalogue knows it."""
    form = whatever_the_options(network, spatial_dims(entry))
    if form is None:
        return
    try:
        methods.get(method.name).check_network(form, method.resolve(variant))
    except SuiteError as error:
        where = f"{method.name} ({variant}) on {entry.name}"
        raise SuiteError(error.reason, case=where, remedy=error.remedy) from error


def _count(entry: DatasetEntry, labels: str, patients: int) -> int:
    try:
        return labelled_count(labels, patients)
    except SplitError as error:
        raise SuiteError(error.reason, case=f"{entry.name}, labels {labels}", remedy=error.remedy) from error


def pool_stages(entry: DatasetEntry, method: str) -> list[str]:
    """The stages of a method that draw from an entry's pool; none where it declares none."""
    drawing = ("unlabelled", "both") if entry.pool_use == "all" else ("unlabelled",)
    return [stage.name for stage in methods.get(method).stages if stage.data in drawing] if entry.pool else []


def pool_file(suite: str, entry: str, fold: int) -> Path:
    """The file of an entry's pool in a fold. The pool depends on the test patients of the suite."""
    return RESULTS / suite / "pools" / entry / f"fold{fold}.json"


def pool_settings(suite: Suite, entry: str, fold: int, unavailable: Collection[str] = ()) -> dict[str, Any]:
    """The settings of a pool (see `PoolSettings`).

    The pool leaves out the test patients of the entry and of every evaluation of this fold, of all entries' models.
    """
    tests: dict[str, set[int]] = {entry: {fold}}
    for item in suite.datasets:
        if item.name not in unavailable:
            for other in item.evaluate_on:
                if other not in unavailable:
                    tests.setdefault(other, set()).add(fold_of(item.name, other, fold))
    folds = {name: sorted(folds) for name, folds in sorted(tests.items())}
    own = suite.entry(entry)
    settings = {"entry": entry, "fold": fold, "sources": own.pool, "tests": folds}
    if own.pool_list is not None:
        settings["patients"] = pool_patients(own.split.name, own.pool_list)
    return settings


def spatial_dims(entry: DatasetEntry) -> int:
    """Dimensions of the images that networks see of an entry: 2 or 3."""
    return entry.spatial_dims or entry.spec.spatial_dims


@cache
def initial_checkpoints(run: Run, stage: str) -> dict[str, Path]:
    """Checkpoints that a stage takes its initial weights from, by the name of the earlier stage."""
    earlier = methods.get(run.method).stage(stage).init_from
    return {item.stage: run.stage_folder(item.stage) / "checkpoints" / "last.ckpt" for item in earlier}
