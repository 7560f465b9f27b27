"""What the workflow's rules ask about a job: its settings, its inputs by content, and what it needs of the machine."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from contrastseg.data.prepare import recipe
from contrastseg.data.prepare.stores import spelled
from contrastseg.evaluation.scoring.predictions import missing_predictions
from contrastseg.fingerprints import stage_fingerprint
from contrastseg.methods import registry as methods
from contrastseg.paths import MANIFEST, MEASURED
from contrastseg.planning.asked import Wildcards, asked, described, shared
from contrastseg.planning.availability import needs_download
from contrastseg.planning.content import content_text, data_digest, names_digest, pool_digest, split_digest
from contrastseg.planning.lengths import planned_steps
from contrastseg.planning.limits import limit_minutes, measured_seconds
from contrastseg.planning.measured import StepTimes, step_times
from contrastseg.planning.runs import (
    Run,
    fold_of,
    initial_checkpoints,
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


class Jobs:
    """Answers about the jobs of one suite; the methods take a job's wildcards, as Snakemake's functions do."""

    def __init__(
        self,
        suite: Suite,
        data_root: Path | None,
        unavailable: Collection[str] = (),
        measured: Path = MEASURED,
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
        place = self.suite.name, wildcards.dataset, wildcards.method, wildcards.variant, labels
        return _run(*place, wildcards.draw, wildcards.fold, wildcards.seed)

    @asked
    def labels(self, wildcards: Wildcards) -> str:
        """The label budget of a job."""
        return self.run(wildcards).labels

    @asked
    def config(self, wildcards: Wildcards) -> str:
        """The resolved configuration of a run, as the argument of `--config`."""
        stage = getattr(wildcards, "stage", "train")
        return self._configs(wildcards.dataset, wildcards.method, wildcards.variant, stage)

    @cached_property
    def _configs(self) -> Callable[[str, str, str, str], str]:
        return cache(self._config)

    def _config(self, dataset: str, method: str, variant: str, stage: str) -> str:
        own = self.suite.method(method).stages.get(stage, {})
        folder = self.suite.entry(dataset).spec.folder if methods.get(method).engine else None
        raw = {"raw": str(folder)} if folder is not None else {}
        return to_argument(self._settings(dataset, method, variant) | raw | ({"stage_training": own} if own else {}))

    @asked
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

    @asked
    def manifest(self, wildcards: Wildcards) -> Path:
        """The prepared data of an entry, by its last file."""
        folder: Path = self.prepared_of(wildcards.dataset)
        return folder / MANIFEST

    @asked
    def split_path(self, wildcards: Wildcards) -> Path:
        """The split of an entry."""
        file: Path = self.split_of(wildcards.dataset)
        return file

    @asked
    def tested_manifest(self, wildcards: Wildcards) -> Path:
        """The prepared data that a run is evaluated on."""
        folder: Path = self.prepared_of(wildcards.evaluated_on)
        return folder / MANIFEST

    @asked
    def tested_split_path(self, wildcards: Wildcards) -> Path:
        """Its split."""
        file: Path = self.split_of(wildcards.evaluated_on)
        return file

    @asked
    def learnt_from(self, wildcards: Wildcards) -> list[Path]:
        """What a stage reads: the prepared data, its split, and the pool it draws from."""
        return [self.manifest(wildcards), self.split_path(wildcards), *self.pool(wildcards)]

    @asked
    def looked_at(self, wildcards: Wildcards) -> list[Path]:
        """The prepared data that a run is evaluated on, its split, and the split that the run was trained by."""
        splits = dict.fromkeys([self.tested_split_path(wildcards), self.split_path(wildcards)])
        return [self.tested_manifest(wildcards), *splits]

    @asked
    def index(self, wildcards: Wildcards) -> Path:
        """Who is in the prepared data of an entry."""
        return self.manifest(wildcards).with_name("cases.csv")

    @asked
    def places(self, wildcards: Wildcards, input: object = None) -> str:
        """Where a run finds its data, as options of `contrastseg train`: for Snakemake, something of the input."""
        names = [wildcards.dataset, *(self.suite.entry(wildcards.dataset).pool if self.pool(wildcards) else ())]
        return f"{self._prepared_options(names)} --split {self.split_of(wildcards.dataset)}"

    @asked
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

    @asked
    def pool(self, wildcards: Wildcards) -> list[Path]:
        """The pool that a stage draws from: none where it uses labels, or the entry declares none."""
        stage = getattr(wildcards, "stage", "train")
        if not self.suite.entry(wildcards.dataset).pool or stage not in unlabelled_stages(wildcards.method):
            return []
        return [pool_file(self.suite.name, wildcards.dataset, int(wildcards.fold))]

    @cached_property
    def pool_option(self) -> str | Callable[[Wildcards], str]:
        """The same, as an option of `contrastseg train`."""
        if not any(self.suite.entry(name).pool for name in self._available):
            return ""
        return described(lambda wildcards: " ".join(f"--pool {file}" for file in self.pool(wildcards)))

    @asked
    def pool_settings(self, wildcards: Wildcards) -> str:
        """What a pool is a function of."""
        return to_argument(self._pool_settings(wildcards))

    @asked
    def pool_data(self, wildcards: Wildcards) -> list[Path]:
        """The prepared data that a pool is made of and kept apart from."""
        settings = self._pool_settings(wildcards)
        names = dict.fromkeys([*settings["sources"], *settings["tests"]])
        return [self.prepared_of(name) / MANIFEST for name in names]

    @asked
    def pool_splits(self, wildcards: Wildcards) -> list[Path]:
        """The splits that say who is tested on."""
        return [self.split_of(name) for name in self._pool_settings(wildcards)["tests"]]

    def _pool_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        return pool_settings(self.suite, wildcards.dataset, int(wildcards.fold), self.unavailable)

    @asked
    def test_content(self, wildcards: Wildcards) -> str:
        """What prediction depends on of the data it looks at."""
        split = split_digest(self.split_of(wildcards.evaluated_on), _test_fold(wildcards))
        return f"{data_digest(self.prepared_of(wildcards.evaluated_on))} {split}"

    @cached_property
    def test_fold(self) -> int | Callable[[Wildcards], int]:
        """The fold whose test patients are predicted."""
        pairs = ((entry.name, other) for entry in self.suite.datasets for other in entry.evaluate_on)
        return shared({fold_of(*pair, fold) for pair in pairs for fold in self.suite.folds}, _test_fold)

    @asked
    def references(self, wildcards: Wildcards) -> str:
        """What scoring depends on beside the predictions."""
        prepared = self.prepared_of(wildcards.evaluated_on)
        return f"{data_digest(prepared)} {names_digest(prepared)}"

    @asked
    def missing(self, wildcards: Wildcards) -> list[str]:
        """Cases whose prediction was deleted: scored again, they become holes."""
        return missing_predictions(self.run(wildcards).predictions(wildcards.evaluated_on, wildcards.checkpoint))

    @asked
    def earlier_checkpoints(self, wildcards: Wildcards) -> list[Path]:
        """The checkpoints of earlier stages that a stage starts from."""
        return list(self._earlier(wildcards).values())

    @asked
    def earlier_options(self, wildcards: Wildcards) -> str:
        """The same, as options of `contrastseg train`."""
        return " ".join(f"--initial {stage}={path}" for stage, path in self._earlier(wildcards).items())

    def _earlier(self, wildcards: Wildcards) -> dict[str, Path]:
        return initial_checkpoints(self.run(wildcards), getattr(wildcards, "stage", "train"))

    @asked
    def prepare_fingerprint(self, wildcards: Wildcards) -> str:
        """The code that prepares an entry."""
        return stage_fingerprint("prepare", dataset=self.dataset(wildcards))

    @asked
    def train_fingerprint(self, wildcards: Wildcards) -> str:
        """The code that trains a method."""
        return stage_fingerprint("train", method=wildcards.method)

    @asked
    def predict_fingerprint(self, wildcards: Wildcards) -> str:
        """The code that predicts with a method."""
        return stage_fingerprint("predict", method=wildcards.method)

    @asked
    def dataset(self, wildcards: Wildcards) -> str:
        """The data set behind an entry."""
        return self.suite.entry(wildcards.dataset).dataset

    @asked
    def raw(self, wildcards: Wildcards) -> list[str]:
        """What `prepare` waits for: nothing where the data is generated or already here."""
        spec = self.suite.entry(wildcards.dataset).spec
        return [f"resources/raw/{spec.name}/checksums.json"] if needs_download(spec, self.data_root) else []

    @asked
    def preparation(self, wildcards: Wildcards) -> str:
        """What `prepare` is a function of: the whole rule, as a change of a default is one of the data too."""
        entry = self.suite.entry(wildcards.dataset)
        rule = recipe.resolve(entry.spec, entry.preparation).model_dump(mode="json")
        return to_argument({"options": spelled(entry.spec, entry.options), "preparation": rule})

    @asked
    def split(self, wildcards: Wildcards) -> str:
        """What `split` is a function of."""
        entry = self.suite.entry(wildcards.dataset)
        split = split_settings(self.suite, entry).model_dump(mode="json")
        options = spelled(entry.spec, entry.options)
        return to_argument({"options": options, "split": split, "subset": bool(entry.subset)})

    @asked
    def table(self, wildcards: Wildcards) -> str:
        """The settings of one table."""
        return _drawing(self.suite.tables, wildcards.table)

    @asked
    def figure(self, wildcards: Wildcards) -> str:
        """The settings of one figure."""
        return _drawing(self.suite.figures, wildcards.figure)

    @asked
    def memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory, as the method says; more of it when a job is tried again."""
        return methods.get(wildcards.method).memory_mb * attempt

    @asked
    def runtime(self, wildcards: Wildcards, attempt: int) -> int:
        """Minutes that a stage may train, by the measured seconds of its steps; more when it is tried again.

        Steps measured on a GPU say nothing of a CPU. Those of a CPU serve where none was measured on a GPU.
        """
        # All runs of a variant take as long, whatever they learn from.
        axes = self.suite.name, wildcards.dataset, wildcards.method, wildcards.variant, "r1"
        return limit_minutes(self._seconds(_run(*axes), getattr(wildcards, "stage", "train")), attempt)

    @cached_property
    def _seconds(self) -> Callable[[Run, str], float | None]:
        return cache(self._expected_seconds)

    def _expected_seconds(self, run: Run, stage: str) -> float | None:
        on_cpu = self._settings(run.dataset, run.method, run.variant)["training"]["accelerator"] == "cpu"
        steps = planned_steps(self.suite, run, stage)
        found = (measured_seconds(self.suite, run, stage, self._steps(where), steps) for where in (on_cpu, True))
        return next((seconds for seconds in found if seconds is not None), None)

    @cached_property
    def _steps(self) -> Callable[[bool], dict[str, StepTimes]]:
        return cache(lambda on_cpu: step_times(self.measured, on_cpu=on_cpu))

    @cached_property
    def threads(self) -> int | Callable[[Wildcards], int]:
        """CPU threads of a run. Two runs with one thread each beat one run with two."""
        return self._by_training(lambda training: int(training["threads"]))

    @cached_property
    def gpus(self) -> int | Callable[[Wildcards], int]:
        """Slots of the resource `gpu`, one for each device of a run; none where the suite asks for the CPU."""
        return self._by_training(lambda training: 0 if training["accelerator"] == "cpu" else int(training["devices"]))

    @cached_property
    def one_gpu(self) -> int | Callable[[Wildcards], int]:
        """Slots that a prediction takes, however many devices trained."""
        return self._by_training(lambda training: int(training["accelerator"] != "cpu"))

    def _by_training(self, count: Callable[[dict[str, Any]], int]) -> int | Callable[[Wildcards], int]:
        """A number by the training settings of a run."""
        settings = (
            self._settings(entry, method.name, variant)
            for entry, method in itertools.product(self._available, self.suite.methods)
            for variant in method.variants
        )
        return shared({count(each["training"]) for each in settings}, lambda job: count(self._training(job)))

    @asked
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
        "training": suite.training_of(entry, item, variant).model_dump(mode="json"),
    }


def _test_fold(wildcards: Wildcards) -> int:
    return fold_of(wildcards.dataset, wildcards.evaluated_on, int(wildcards.fold))


@cache
def _run(
    suite: str, dataset: str, method: str, variant: str, labels: str, draw: str = "0", fold: str = "0", seed: str = "0"
) -> Run:
    return Run(suite, dataset, method, variant, labels, int(draw), int(fold), int(seed))


def _drawing(drawings: Sequence[TableSettings] | Sequence[FigureSettings], name: str) -> str:
    return to_argument(next(item.model_dump(mode="json") for item in drawings if item.name == name))


def to_argument(value: Any) -> str:
    """A value as one command line argument."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
