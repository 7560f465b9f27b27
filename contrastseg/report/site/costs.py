"""The page of costs, made from suites, measured steps and run cards: `docs/_hooks.py` hands it to the site."""

from __future__ import annotations

import csv
import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from contrastseg.files import read_json
from contrastseg.methods import registry
from contrastseg.paths import CHECKOUT, MEASURED
from contrastseg.planning import Plan, expand
from contrastseg.planning.estimates import TrainingJob, training_jobs
from contrastseg.planning.lengths import step_counter
from contrastseg.planning.limits import measured_seconds, settings_lookup
from contrastseg.planning.runs import spatial_dims
from contrastseg.planning.step_times import step_costs, step_times
from contrastseg.report.site.markdown import line
from contrastseg.suite import parse_suite
from contrastseg.suite.parsing import read_yaml
from contrastseg.training.settings import TrainingSettings

DEVICES = (1, 4, 64)
CHANNELS = (16, 32, 64, 128, 256)
"""Of the default U-Net, two convolutions a level: what the steps were measured with."""

_INTRODUCTION = """# Costs of the benchmark

This page is made from the suites under `benchmarks/`, the measured steps under `benchmarks/speed/results/` and the run
cards under `results/reference/`. Steps were measured only on a CPU so far: **every number here is of a CPU**. Hours on
a GPU differ. Measure your machine, and `contrastseg plan` uses the result:

```sh
OMP_NUM_THREADS=1 python benchmarks/speed/methods.py
contrastseg plan benchmarks/full.yaml
```

## Training, by suite

A *device* is one thread on one idle core of {hardware}. The hours of a stage are its steps times the measured time of
a step, in proportion to the pixels of a batch. On several devices, a stage waits for the stages that it starts from.
Downloads, preparation, prediction and scoring are left out. `nnunet` is left out too, because it plans its own patch
and batch. *Stages* are those counted.

| suite | runs | stages | {titles} | longest run | network |
| --- | ---: | ---: | {rulers} | ---: | --- |
{rows}

- *Network*: steps were measured with the default U-Net ({channels} channels, two convolutions a level) in
  32 bits. A suite with a smaller U-Net, or with fewer bits, takes at most (≤) the hours shown. A suite with another
  network was not measured; its hours are unknown (–).
- *Runs* are planned without the data. Two budgets with the same number of patients run once, so there may be fewer.
{notes}
## Disk

A finished stage keeps one checkpoint of its weights, four bytes a number. During training there are two more, each
three times as large with AdamW (weights and two averages). The table has a lower bound for the checkpoints of all
finished stages. It leaves out the copies of averaging methods, predictions, prepared data and downloads:

| suite | checkpoints |
| --- | ---: |
{disk}

`contrastseg plan` estimates the disk of a suite from its finished runs.

## Memory

Every training job requests this much main memory. The numbers are declared, not measured:

| memory | methods |
| ---: | --- |
{memory}

Memory on a GPU was not measured.
"""
_STEPS = """
## A step of each method

The default U-Net in 32 bits on {hardware}, one thread. Everything is a multiple of a step of `supervised` with the same
batch size, in the same dimensions.

- *Images*: samples of a step, labelled and unlabelled together, each once however many views it has.
- *Step*: the time of a step.
- *As many*: the time, beside a step of `supervised` on as many labelled images.
- *Arithmetic*: operations of convolutions and matrix products, forward and backward. They are those of the passes
  through networks that the method asks for.
- *Beyond*: how much longer a step takes than its arithmetic explains: losses, views, averages of networks. Layers that
  do little arithmetic for their time, such as norms, count as well.
- *Memory*: the largest size of the process, with torch itself. Later stages follow earlier ones in one process.

| method | stage | dimensions | images | step | as many | arithmetic | beyond | memory |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}
"""
_REFERENCE = """
## Measured costs of the reference runs

The numbers are from the run cards, for the last stage of training, in wall-clock time. Other work on the machine makes
them larger. Seconds a step are the median over runs. Memory is the largest size of a process.
"""


def page(measured: Path = MEASURED, root: Path = CHECKOUT) -> str:
    """The whole page.

    Args:
        measured: Folder of measured steps, `methods-<hardware>.csv`.
        root: Where `benchmarks/*.yaml` and `results/reference/` lie.
    """
    times, parameters = step_times(measured), _parameters(measured)
    rows, disk, notes = [], [], []
    for path in sorted((root / "benchmarks").glob("*.yaml")):
        plan = expand(parse_suite(read_yaml(path), path)[0], {}, None, root / "no-data")
        jobs = [job for job in training_jobs(plan) if registry.get(job.run.method).engine is None]
        steps_of, settings = step_counter(plan), settings_lookup(plan.suite)
        steps = {job.folder: steps_of(job.run, job.stage) for job in jobs}
        seconds = {
            job.folder: measured_seconds(plan.suite, job.run, job.stage, times, steps[job.folder], settings=settings)
            for job in jobs
        }
        unmeasured = [job for job in jobs if seconds[job.folder] is None and steps[job.folder] is not None]
        for lacking, why in (
            (unmeasured, "its steps were not measured"),
            ([job for job in jobs if steps[job.folder] is None], "their length is in epochs, and known with the data"),
        ):
            if names := sorted({f"`{job.run.method}/{job.stage}`" for job in lacking}):
                notes.append(f"- `{plan.suite.name}` leaves out {', '.join(names)}: {why}.\n")
        if trials := plan.trials():
            notes.append(f"- `{plan.suite.name}` leaves out its {len(trials)} trials: see `contrastseg plan`.\n")
        sign, network = _network([settings(job.run, job.stage) for job in jobs])
        chains = [[(job.folder, seconds[job.folder] or 0.0) for job in chain] for chain in _chains(plan, jobs)]
        spans = [makespan(chains, devices) for devices in (*DEVICES, len(jobs))]
        shown = [f"{sign}{hours(span)}" if sign is not None else "–" for span in spans]
        rows.append(line(f"`{plan.suite.name}`", f"{len(plan.runs):,}", f"{len(jobs):,}", *shown, network))
        disk.append(line(f"`{plan.suite.name}`", _size(plan, jobs, parameters) if sign is not None else "unknown"))
    text = _INTRODUCTION.format(
        hardware=", ".join(f"`{name}`" for name in sorted({known.hardware for known in times.values()})),
        channels=", ".join(map(str, CHANNELS)),
        titles=" | ".join(f"{n} device{'s' if n > 1 else ''}" for n in DEVICES),
        rulers=" | ".join(["---:"] * len(DEVICES)),
        rows="\n".join(rows),
        notes="".join(notes),
        disk="\n".join(disk),
        memory="\n".join(_memory()),
    )
    return text + _steps(measured) + _reference(root / "results" / "reference")


def _steps(measured: Path) -> str:
    """Steps beside `supervised`, of the last file by name that has them."""
    files = [(path, costs) for path in sorted(measured.glob("methods-*.csv")) if (costs := step_costs(path))]
    if not files:
        return ""
    path, costs = files[-1]
    rows = [
        line(
            f"`{cost.method}`",
            cost.stage,
            str(cost.spatial_dims),
            str(cost.images),
            f"{cost.step:.2f}",
            f"{cost.as_many:.2f}",
            f"{cost.arithmetic:.2f}",
            f"{100 * cost.beyond:+.0f} %",
            f"{cost.memory / 1e9:.2f} GB",
        )
        for cost in costs
    ]
    return _STEPS.format(hardware=f"`{path.stem.removeprefix('methods-')}`", rows="\n".join(rows))


def makespan(chains: Sequence[Sequence[tuple[Path, float]]], devices: int) -> float:
    """Seconds until the last stage is done, each device taking the next stage that can start.

    Args:
        chains: The stages of every run in order: where each lies and the seconds it takes. A stage that several runs
            share is trained once, for the first that comes to it.
        devices: How many stages run at once.
    """
    done: dict[Path, float] = {}
    free = [0.0] * max(devices, 1)
    # In order of the time at which a run's next stage can start: as the workflow's queue does.
    waiting = [(0.0, number, 0) for number, chain in enumerate(chains) if chain]
    while waiting:
        ready, number, at = heapq.heappop(waiting)
        place, seconds = chains[number][at]
        if place not in done:
            done[place] = max(ready, heapq.heappop(free)) + seconds
            heapq.heappush(free, done[place])
        if at + 1 < len(chains[number]):
            heapq.heappush(waiting, (max(ready, done[place]), number, at + 1))
    return max(done.values(), default=0.0)


def _chains(plan: Plan, jobs: Sequence[TrainingJob]) -> list[list[TrainingJob]]:
    """The stages of every run, in order."""
    by_folder = {job.folder: job for job in jobs}
    stages = {run: registry.get(run.method).stages for run in plan.runs}
    folders = [[run.stage_folder(stage.name) for stage in stages[run]] for run in plan.runs]
    return [[by_folder[folder] for folder in chain if folder in by_folder] for chain in folders]


def hours(seconds: float) -> str:
    """Minutes below an hour; hours with a decimal below ten, whole ones above."""
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.0f} h" if seconds >= 36000 else f"{seconds / 3600:.1f} h"


def _network(settings: Sequence[TrainingSettings]) -> tuple[str | None, str]:
    """The hours' sign (empty as measured, ≤ at most that, None not known), and the network in words."""
    networks = {str(one.network): one.network for one in settings}.values()
    if any(network["name"] != "unet" for network in networks):
        return None, ", ".join(sorted({str(network["name"]) for network in networks}))
    widths = {tuple(network.get("channels", CHANNELS)) for network in networks}
    thin = {network.get("convolutions", 2) for network in networks} != {2}
    words = [f"U-Net {'-'.join(map(str, channels))}" for channels in sorted(widths) if channels != CHANNELS]
    words += ["one convolution a level"] if thin else []
    words += sorted({one.precision for one in settings} - {"auto", "32-true"})
    larger = any(len(c) > len(CHANNELS) or any(a > b for a, b in zip(c, CHANNELS, strict=False)) for c in widths)
    return (None if larger else "≤ " if words else ""), ", ".join(words) or "as measured"


def _parameters(measured: Path) -> dict[tuple[str, str, int], int]:
    """Trained parameters by method, stage and dimension, from the last file by name that has them."""
    found = {}
    for path in sorted(measured.glob("methods-*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["parameters"]:
                    found[row["method"], row["stage"], int(row["spatial_dims"])] = int(row["parameters"])
    return found


def _size(plan: Plan, jobs: Sequence[TrainingJob], parameters: Mapping[tuple[str, str, int], int]) -> str:
    keys = [(job.run.method, job.stage, spatial_dims(plan.suite.entry(job.run.entry))) for job in jobs]
    return f"{sum(4 * parameters.get(key, 0) for key in keys) / 1e9:.1f} GB"


def _memory() -> list[str]:
    """Methods by the memory their jobs ask for."""
    found: dict[int, list[str]] = defaultdict(list)
    for name in registry.names():
        found[registry.get(name).memory_mb].append(f"`{name}`")
    return [line(f"{size / 1000:g} GB", ", ".join(names)) for size, names in sorted(found.items())]


def _reference(folder: Path) -> str:
    """What stored runs took, a table for each folder of run cards."""
    tables = []
    for path in sorted(folder.glob("*/*/cards.json")):
        cards: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for card in read_json(path):
            cards[card["method"]].append(card)
        rows = [_taken(f"`{name}`", ours) for name, ours in cards.items()]
        titles = "| method | runs | steps | s a step | memory | hours |\n| --- | ---: | ---: | ---: | ---: | ---: |"
        tables.append(f"\n### {path.parent.parent.name}, {path.parent.name}\n\n{titles}\n" + "\n".join(rows) + "\n")
    return _REFERENCE + "".join(tables) if tables else ""


def _taken(name: str, cards: Sequence[Mapping[str, Any]]) -> str:
    steps = " or ".join(f"{count:,}" for count in sorted({card["steps"] for card in cards}))
    seconds = [card["seconds_per_step"] for card in cards if card["seconds_per_step"] is not None]
    memory = [card["peak_memory_bytes"] for card in cards if card["peak_memory_bytes"] is not None]
    return line(
        name,
        str(len(cards)),
        steps,
        f"{median(seconds):.3f}" if seconds else "",
        f"{max(memory) / 1e9:.2f} GB" if memory else "",
        f"{sum(card['wall_s'] for card in cards) / 3600:.2f}",
    )
