"""The cost of a plan, estimated from finished runs, measured steps and the data table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from contrastseg.data.download.download import locate
from contrastseg.data.download.table import published_files
from contrastseg.data.readers.specs import DatasetSpec
from contrastseg.errors import DataError, UnavailableDataError
from contrastseg.files import read_json
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.methods import registry
from contrastseg.methods.contract import Stage
from contrastseg.paths import RESOURCES
from contrastseg.planning import Plan, Run
from contrastseg.planning.data_paths import prepared_of
from contrastseg.planning.lengths import step_counter
from contrastseg.planning.limits import measured_seconds, settings_lookup
from contrastseg.planning.step_times import step_times
from contrastseg.planning.tuning_estimates import tuning_estimate, tuning_jobs
from contrastseg.suite.entries import EQUAL_STEPS
from contrastseg.training.length import counted

_SHOWN = 3


@dataclass(frozen=True)
class TrainingJob:
    """One stage of a run. A stage that serves several runs is one job."""

    run: Run
    stage: str
    folder: Path
    by_budget: bool = False

    @property
    def kind(self) -> tuple[str, ...]:
        """Data set, method and stage: jobs of one kind cost the same.

        A length in epochs adds the label budget, the row of equal steps its variant.
        """
        longer = [EQUAL_STEPS] if self.run.variant == EQUAL_STEPS else []
        return self.run.entry, self.run.method, self.stage, *longer, *([self.run.labels] if self.by_budget else [])

    @property
    def finished(self) -> bool:
        """Whether it is done in the working directory by the present code."""
        now = stage_fingerprint("train", method=self.run.method)
        return self.record is not None and self.record.get("fingerprint", now) == now

    @cached_property
    def record(self) -> dict[str, Any] | None:
        """Its `run.json`, by whatever code; None before it has run."""
        path = self.folder / "run.json"
        return read_json(path) if path.is_file() else None


def estimate(
    plan: Plan, step_times_folder: Path, data_root: Path | None = None, resources: Path = RESOURCES
) -> dict[str, Any]:
    """Jobs, runs still to do, device hours of training, disk, memory of the training data, and downloads.

    A stage is expected to take as long as finished ones of the same data set and method. Without finished ones, its
    time is its number of steps times the measured time of a step, scaled by the pixels of a step. Without measurements
    the time is reported as unknown. Disk is estimated from finished stages alone. Memory is that of one run on the
    largest data set with all its cases, as stored and without padding. Pools are counted separately and added.

    Args:
        plan: The plan.
        step_times_folder: Folder of measured step times, `methods-<hardware>.csv`.
        data_root: The user's folder of data sets.
        resources: Folder of raw and prepared data.
    """
    evaluations = list(plan.evaluations())
    jobs = training_jobs(plan)
    seconds: dict[tuple[str, ...], list[float]] = defaultdict(list)
    sizes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    left: dict[tuple[str, ...], list[TrainingJob]] = defaultdict(list)
    for job in jobs:
        if job.record is not None:
            seconds[job.kind].append(job.record["wall_s"])
            sizes[job.kind].append(sum(file.stat().st_size for file in job.folder.rglob("*") if file.is_file()))
        if not job.finished:
            left[job.kind].append(job)
    hours, unknown, hardware, disk = 0.0, list[str](), set[str](), 0.0
    times, steps_of = step_times(step_times_folder), step_counter(plan)
    for kind, waiting in left.items():
        run, stage = waiting[0].run, waiting[0].stage
        disk += len(waiting) * fmean(sizes[kind]) if kind in sizes else 0.0
        steps = steps_of(run, stage)
        each = fmean(seconds[kind]) if kind in seconds else measured_seconds(plan.suite, run, stage, times, steps)
        if each is None:
            unknown.append("/".join(kind))
            continue
        hours += len(waiting) * each / 3600
        if kind not in seconds:
            hardware.add(times[run.method].hardware)

    def stage_seconds(run: Run, stage: str) -> float | None:
        return measured_seconds(plan.suite, run, stage, times, steps_of(run, stage))

    by = f" (steps measured on {', '.join(sorted(hardware))})" if hardware else ""
    further = sum(run.draw in plan.suite.further_draws for run in plan.runs)
    unfinished = ["/".join(kind) for kind in left if kind not in sizes]
    entries = [entry.name for entry in plan.suite.datasets if entry.name not in plan.unavailable]
    drawings = len(plan.suite.tables) + len(plan.suite.figures)
    drawings += sum(figure.kind == "overlays" for figure in plan.suite.figures)  # slices for the page's slider
    predicted, selections = list(plan.predictions()), list(plan.selections())
    oracles = len(evaluations) - len(predicted)
    reading = 2 * len(predicted) + 3 * oracles  # predict, score; the same of all snapshots, oracle
    reading -= len(plan.entered)  # nothing predicts these
    reading += bool(selections) + len(plan.pruned())  # collected
    if plan.suite.evaluation.conventions:
        reading += len(predicted) + 1  # scored once more, and collected
    return {
        "runs": len(plan.runs),
        **({"entered_runs": len(plan.entered_runs)} if plan.entered else {}),
        **({"further_draw_runs": further} if further else {}),
        "runs_left": sum(not job.finished for job in jobs if job.folder == job.run.folder),
        "jobs": 2 * len(entries) + len(plan.pools()) + len(jobs) + tuning_jobs(plan) + reading + drawings + 5,
        "device_hours_left": _with_gaps(f"{hours:.2f}{by}", unknown, left, "measured step"),
        **tuning_estimate(plan, stage_seconds),
        "disk_left_gb": _with_gaps(f"{disk / 1e9:.2f}", unfinished, left),
        "memory_of_data_gb": _memory(plan, entries, resources),
        "to_download": _downloads(plan, entries, data_root, resources),
    }


def training_jobs(plan: Plan) -> list[TrainingJob]:
    """All stages to train, each once, in the order of the runs and their stages."""
    settings = settings_lookup(plan.suite)

    def job(run: Run, stage: str) -> TrainingJob:
        by_budget = settings(run, stage).epochs is not None and counted(run.method, stage) == "labelled"
        return TrainingJob(run, stage, run.stage_folder(stage), by_budget)

    found = (job(run, stage.name) for run in plan.runs for stage in _stages(run))
    return list({job.folder: job for job in found}.values())


def _stages(run: Run) -> tuple[Stage, ...]:
    return registry.get(run.method).stages


def _with_gaps(number: str, names: Collection[str], left: Mapping[Any, Any], source: str = "") -> str:
    """A number, and the stages that it leaves out because they have neither a finished run nor another source."""
    if not names:
        return number
    lacking = " and no ".join(["no finished run", *([source] if source else [])])
    if len(names) == len(left):
        return f"unknown: {lacking}"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{number} ({lacking} of {', '.join(sorted(names)[:_SHOWN])}{more})"


def _memory(plan: Plan, entries: Collection[str], resources: Path) -> str:
    """The largest memory of one run's data, and the data sets that are not prepared and so not counted."""
    suite = plan.suite
    sizes: dict[str, int] = {}
    unknown = []
    for name in entries:
        entry = suite.entry(name)
        prepared = prepared_of(entry, resources)
        pools = [prepared_of(suite.entry(pool), resources) for pool in entry.pool if pool in entries]
        if not (prepared / "cases").is_dir():
            unknown.append(name)
            continue
        sizes[name] = sum(file.stat().st_size for folder in {prepared, *pools} for file in folder.glob("cases/*/*.npy"))
    if not sizes:
        return "unknown: no prepared data"
    largest = max(sizes, key=sizes.__getitem__)
    more = f"; not prepared: {', '.join(sorted(unknown))}" if unknown else ""
    return f"{sizes[largest] / 1e9:.2f} at most ({largest}){more}"


def _downloads(plan: Plan, entries: Collection[str], data_root: Path | None, resources: Path) -> str:
    """Data sets that the workflow will download, and their size where the data table lists it."""
    specs = [plan.suite.entry(entry).spec for entry in entries]
    names = sorted({spec.name for spec in specs if _is_to_come(spec, data_root, resources)})
    if not names:
        return "nothing"
    files = [file for name in names for file in published_files(name) if file.file or file.client]
    size = sum(file.size or 0 for file in files) / 1e9
    unsized = sum(not file.size for file in files)
    known = f"{size:.2f} GB" if unsized < len(files) else "size unknown"
    more = f", {unsized} of {len(files)} files of unknown size" if 0 < unsized < len(files) else ""
    return f"{known}{more}: {', '.join(names)}"


def _is_to_come(spec: DatasetSpec, data_root: Path | None, resources: Path) -> bool:
    """Whether a data set can be downloaded and is not on this machine."""
    try:
        locate(spec, data_root, resources)
    except UnavailableDataError:
        return False
    except DataError:
        return True
    return False
