"""What the workflow's rules ask about a job: its settings, its inputs by content, and what it needs of the machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

from contrastseg.data import recipe
from contrastseg.data.stores import spelled
from contrastseg.evaluation.predictions import missing_predictions
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.methods import registry as methods
from contrastseg.places import MANIFEST
from contrastseg.planning.availability import needs_download
from contrastseg.planning.content import content_text, data_digest, names_digest, pool_digest, split_digest
from contrastseg.planning.limits import limit_minutes, measured_seconds
from contrastseg.planning.measured import StepTimes, step_times
from contrastseg.planning.runs import (
    Run,
    fold_of,
    pool_file,
    pool_settings,
    replicate_rank,
    spatial_dims,
    unlabelled_stages,
)
from contrastseg.planning.sources import Sources
from contrastseg.planning.stores import prepared_of, split_of, split_settings
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.suite import Suite


class Wildcards(Protocol):
    """The wildcards of a job, as text."""

    def __getattr__(self, name: str) -> str: ...


class Jobs:
    """Answers about the jobs of one suite; the methods take a job's wildcards, as Snakemake's functions do."""

    def __init__(
        self,
        suite: Suite,
        data_root: Path | None,
        unavailable: Collection[str] = (),
        measured: Path = Path("benchmarks/speed/results"),
        sources: Sources | None = None,
    ) -> None:
        self.suite = suite
        self.data_root = data_root
        self.sources = sources or Sources(data_root)
        self.prepared_of = cache(lambda name: prepared_of(suite.entry(name)))
        self.split_of = cache(lambda name: split_of(suite, suite.entry(name)))
        self.unavailable = unavailable
        self.measured = measured

    @cached_property
    def _settings(self) -> Any:
        return cache(lambda dataset, method, variant: run_config(self.suite, dataset, method, variant))

    def run(self, wildcards: Wildcards) -> Run:
        """The run a job belongs to. Pre-training that uses no labels serves every budget, and says r1."""
        labels = getattr(wildcards, "labels", "") or getattr(wildcards, "budget", "").rstrip("/") or "r1"
        place = wildcards.suite, wildcards.dataset, wildcards.method, wildcards.variant, labels
        return Run(*place, int(wildcards.draw), int(wildcards.fold), int(wildcards.seed))

    def labels(self, wildcards: Wildcards) -> str:
        """The label budget of a job."""
        return self.run(wildcards).labels

    def config(self, wildcards: Wildcards) -> str:
        """The resolved configuration of a run, as the argument of `--config`."""
        settings = self._settings(wildcards.dataset, wildcards.method, wildcards.variant)
        own = self.suite.method(wildcards.method).stages.get(getattr(wildcards, "stage", "train"), {})
        folder = self.suite.entry(wildcards.dataset).spec.folder if methods.get(wildcards.method).engine else None
        raw = {"raw": str(folder)} if folder is not None else {}
        return to_argument(settings | raw | ({"stage_training": own} if own else {}))

    def content(self, wildcards: Wildcards) -> str:
        """What training depends on of its data: the content, not the time it was written."""
        name = wildcards.dataset
        inputs = {
            "data": data_digest(self.prepared_of(name)),
            "split": split_digest(self.split_of(name), int(wildcards.fold), int(wildcards.draw)),
        }
        for file in self.pool(wildcards):
            sources = self.suite.entry(name).pool
            inputs["pool"] = pool_digest(file, {source: self.prepared_of(source) for source in sources})
        return content_text(inputs)

    def manifest(self, wildcards: Wildcards) -> Path:
        """The prepared data of an entry, by its last file."""
        folder: Path = self.prepared_of(wildcards.dataset)
        return folder / MANIFEST

    def split_path(self, wildcards: Wildcards) -> Path:
        """The split of an entry."""
        file: Path = self.split_of(wildcards.dataset)
        return file

    def tested_manifest(self, wildcards: Wildcards) -> Path:
        """The prepared data that a run is evaluated on."""
        folder: Path = self.prepared_of(wildcards.evaluated_on)
        return folder / MANIFEST

    def tested_split_path(self, wildcards: Wildcards) -> Path:
        """Its split."""
        file: Path = self.split_of(wildcards.evaluated_on)
        return file

    def index(self, wildcards: Wildcards) -> Path:
        """Who is in the prepared data of an entry."""
        return self.manifest(wildcards).with_name("cases.csv")

    def places(self, wildcards: Wildcards) -> str:
        """Where a run finds its data, as options of `contrastseg train`."""
        names = [wildcards.dataset, *(self.suite.entry(wildcards.dataset).pool if self.pool(wildcards) else ())]
        return f"{self._prepared_options(names)} --split {self.split_of(wildcards.dataset)}"

    def pool_places(self, wildcards: Wildcards) -> str:
        """Where a pool finds what it is made of, as options of `contrastseg pool`."""
        settings = self._pool_settings(wildcards)
        names = dict.fromkeys([settings["entry"], *settings["tests"]])
        splits = " ".join(f"--split {name}={self.split_of(name)}" for name in names)
        return f"{self._prepared_options([*settings['sources'], *settings['tests']])} {splits}"

    def _prepared_options(self, names: Sequence[str]) -> str:
        return " ".join(f"--prepared {name}={self.prepared_of(name)}" for name in dict.fromkeys(names))

    def makings(self, of: str) -> str:
        """The digests that end the names of the suite's prepared folders, or of its splits: a regular expression."""
        places = {"prepared": self.prepared_of, "split": self.split_of}
        made = {places[of](name).name.removesuffix(".json").rpartition("-")[2] for name in self._available}
        return "|".join(sorted(made))

    def edited(self) -> dict[Path, list[str]]:
        """Prepared data whose published files were edited since, by its last file, with what is other, in words."""
        found = {name: self.sources.edits(self.suite.entry(name)) for name in self._available}
        return {self.prepared_of(name) / MANIFEST: edits for name, edits in found.items() if edits}

    def splits(self) -> list[Path]:
        """Every split of the suite."""
        return [self.split_of(name) for name in self._available]

    @property
    def _available(self) -> list[str]:
        return [entry.name for entry in self.suite.datasets if entry.name not in self.unavailable]

    def pool(self, wildcards: Wildcards) -> list[Path]:
        """The pool that a stage draws from: none where it uses labels, or the entry declares none."""
        stage = getattr(wildcards, "stage", "train")
        if not self.suite.entry(wildcards.dataset).pool or stage not in unlabelled_stages(wildcards.method):
            return []
        return [pool_file(self.suite.name, wildcards.dataset, int(wildcards.fold))]

    def pool_option(self, wildcards: Wildcards) -> str:
        """The same, as an option of `contrastseg train`."""
        return " ".join(f"--pool {file}" for file in self.pool(wildcards))

    def pool_settings(self, wildcards: Wildcards) -> str:
        """What a pool is a function of."""
        return to_argument(self._pool_settings(wildcards))

    def pool_data(self, wildcards: Wildcards) -> list[Path]:
        """The prepared data that a pool is made of and kept apart from."""
        settings = self._pool_settings(wildcards)
        names = dict.fromkeys([*settings["sources"], *settings["tests"]])
        return [self.prepared_of(name) / MANIFEST for name in names]

    def pool_splits(self, wildcards: Wildcards) -> list[Path]:
        """The splits that say who is tested on."""
        return [self.split_of(name) for name in self._pool_settings(wildcards)["tests"]]

    def _pool_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        return pool_settings(self.suite, wildcards.dataset, int(wildcards.fold), self.unavailable)

    def test_content(self, wildcards: Wildcards) -> str:
        """What prediction depends on of the data it looks at."""
        split = split_digest(self.split_of(wildcards.evaluated_on), self.test_fold(wildcards))
        return f"{data_digest(self.prepared_of(wildcards.evaluated_on))} {split}"

    def test_fold(self, wildcards: Wildcards) -> int:
        """The fold whose test patients are predicted."""
        return fold_of(wildcards.dataset, wildcards.evaluated_on, int(wildcards.fold))

    def references(self, wildcards: Wildcards) -> str:
        """What scoring depends on beside the predictions."""
        prepared = self.prepared_of(wildcards.evaluated_on)
        return f"{data_digest(prepared)} {names_digest(prepared)}"

    def missing(self, wildcards: Wildcards) -> list[str]:
        """Cases whose prediction was deleted: scored again, they become holes."""
        return missing_predictions(self.run(wildcards).predictions(wildcards.evaluated_on, wildcards.checkpoint))

    def earlier_checkpoints(self, wildcards: Wildcards) -> list[Path]:
        """The checkpoints of earlier stages that a stage starts from."""
        return list(self._earlier(wildcards).values())

    def earlier_options(self, wildcards: Wildcards) -> str:
        """The same, as options of `contrastseg train`."""
        return " ".join(f"--initial {stage}={path}" for stage, path in self._earlier(wildcards).items())

    def _earlier(self, wildcards: Wildcards) -> dict[str, Path]:
        return initial_checkpoints(self.run(wildcards), getattr(wildcards, "stage", "train"))

    def prepare_fingerprint(self, wildcards: Wildcards) -> str:
        """The code that prepares an entry."""
        return stage_fingerprint("prepare", dataset=self.dataset(wildcards))

    def train_fingerprint(self, wildcards: Wildcards) -> str:
        """The code that trains a method."""
        return stage_fingerprint("train", method=wildcards.method)

    def predict_fingerprint(self, wildcards: Wildcards) -> str:
        """The code that predicts with a method."""
        return stage_fingerprint("predict", method=wildcards.method)

    def dataset(self, wildcards: Wildcards) -> str:
        """The data set behind an entry."""
        return self.suite.entry(wildcards.dataset).dataset

    def raw(self, wildcards: Wildcards) -> list[str]:
        """What `prepare` waits for: nothing where the data is generated or already here."""
        spec = self.suite.entry(wildcards.dataset).spec
        return [f"resources/raw/{spec.name}/checksums.json"] if needs_download(spec, self.data_root) else []

    def preparation(self, wildcards: Wildcards) -> str:
        """What `prepare` is a function of: the whole rule, as a change of a default is one of the data too."""
        entry = self.suite.entry(wildcards.dataset)
        rule = recipe.resolve(entry.spec, entry.preparation).model_dump(mode="json")
        return to_argument({"options": spelled(entry.spec, entry.options), "preparation": rule})

    def split(self, wildcards: Wildcards) -> str:
        """What `split` is a function of."""
        entry = self.suite.entry(wildcards.dataset)
        split = split_settings(self.suite, entry).model_dump(mode="json")
        options = spelled(entry.spec, entry.options)
        return to_argument({"options": options, "split": split, "subset": bool(entry.subset)})

    def table(self, wildcards: Wildcards) -> str:
        """The settings of one table."""
        return _drawing(self.suite.tables, wildcards.table)

    def figure(self, wildcards: Wildcards) -> str:
        """The settings of one figure."""
        return _drawing(self.suite.figures, wildcards.figure)

    def memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory, as the method says; more of it when a job is tried again."""
        return methods.get(wildcards.method).memory_mb * attempt

    def runtime(self, wildcards: Wildcards, attempt: int) -> int:
        """Minutes that a stage may train, by the measured seconds of its steps; more when it is tried again.

        Steps measured on a GPU say nothing of a CPU. Those of a CPU serve where none was measured on a GPU.
        """
        on_cpu = self._training(wildcards)["accelerator"] == "cpu"
        run, stage = self.run(wildcards), getattr(wildcards, "stage", "train")
        for times in (self._steps(on_cpu), self._steps(True)):
            seconds = measured_seconds(self.suite, run, stage, times)
            if seconds is not None:
                break
        return limit_minutes(seconds, attempt)

    @cached_property
    def _steps(self) -> Callable[[bool], dict[str, StepTimes]]:
        return cache(lambda on_cpu: step_times(self.measured, on_cpu=on_cpu))

    def threads(self, wildcards: Wildcards) -> int:
        """CPU threads. Two runs with one thread each beat one run with two."""
        return int(self._training(wildcards)["threads"])

    def gpus(self, wildcards: Wildcards) -> int:
        """Slots of the resource `gpu`, one for each device of a run; none where the suite asks for the CPU."""
        training = self._training(wildcards)
        return 0 if training["accelerator"] == "cpu" else int(training["devices"])

    def one_gpu(self, wildcards: Wildcards) -> int:
        """What a prediction takes, however many devices trained."""
        return min(1, self.gpus(wildcards))

    def priority(self, wildcards: Wildcards) -> int:
        """One seed of everything, then the next."""
        return -replicate_rank(self.suite, int(wildcards.draw), int(wildcards.fold), int(wildcards.seed))

    def _training(self, wildcards: Wildcards) -> dict[str, Any]:
        settings: dict[str, Any] = self._settings(wildcards.dataset, wildcards.method, wildcards.variant)["training"]
        return settings


def run_config(suite: Suite, dataset: str, method: str, variant: str) -> dict[str, Any]:
    """What a run is a function of, beside its axes, its data and its code."""
    entry, item = suite.entry(dataset), suite.method(method)
    return {
        "suite": suite.name,
        "spatial_dims": spatial_dims(entry),
        "settings": item.resolve(variant),
        "training": suite.training_of(entry, item).model_dump(mode="json"),
    }


def initial_checkpoints(run: Run, stage: str) -> dict[str, Path]:
    """The checkpoint of every earlier stage that a stage takes weights over from, by that stage's name."""
    taken = methods.get(run.method).stage(stage).takes
    return {item.stage: run.stage_folder(item.stage) / "checkpoints" / "last.ckpt" for item in taken}


def job_environment(base: Path, root: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Environment of jobs: this interpreter as `python`, this checkout's code, the user's data."""
    paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": base}
    found = {name: os.pathsep.join(filter(None, [str(path), environment.get(name)])) for name, path in paths.items()}
    return found | ({"CONTRASTSEG_DATA": str(root)} if root else {})


def _drawing(drawings: Sequence[TableSettings] | Sequence[FigureSettings], name: str) -> str:
    return to_argument(next(item.model_dump(mode="json") for item in drawings if item.name == name))


def to_argument(value: Any) -> str:
    """A value as one command line argument."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
