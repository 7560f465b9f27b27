"""Functions of the workflow's rules: a job's settings, inputs with their content, and resources."""

from __future__ import annotations

import itertools
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
from contrastseg.planning.availability import needs_download
from contrastseg.planning.checkpoint_jobs import CheckpointJobs
from contrastseg.planning.configuration import run_config, to_argument
from contrastseg.planning.content import (
    config_weights,
    content_text,
    data_digest,
    names_digest,
    pool_digest,
    split_digest,
)
from contrastseg.planning.data_folders import DataFolders
from contrastseg.planning.data_paths import prepared_of, split_of, split_settings
from contrastseg.planning.job_functions import Wildcards, constant_or_function, job_function, with_parameters
from contrastseg.planning.run_axes import EnteredRun, Run, TunedRun, cached_run, fold_of
from contrastseg.planning.runs import (
    initial_checkpoints,
    pool_file,
    pool_settings,
    pool_stages,
    replicate_rank,
)
from contrastseg.planning.time_jobs import TimeJobs
from contrastseg.planning.tuning_jobs import TuningJobs
from contrastseg.report.settings import FigureSettings, TableSettings
from contrastseg.suite import Suite


class Jobs(CheckpointJobs, TuningJobs, TimeJobs):
    """The jobs of one suite. Methods take a job's wildcards, as the functions of Snakemake's rules do.

    Args:
        suite: The suite.
        data_root: The user's folder of data sets.
        unavailable: Entries whose data is not on this machine.
        step_times_folder: Folder of measured step times, `methods-<hardware>.csv`.
        data_folders: Folders of data, where they were listed already.
    """

    def __init__(
        self,
        suite: Suite,
        data_root: Path | None,
        unavailable: Collection[str] = (),
        step_times_folder: Path = MEASURED,
        data_folders: DataFolders | None = None,
    ) -> None:
        self.suite = suite
        self.data_root = data_root
        self.data_folders = data_folders or DataFolders(data_root)
        self.prepared_of = cache(lambda name: prepared_of(suite.entry(name)))
        self.split_of = cache(lambda name: split_of(suite, suite.entry(name)))
        self.unavailable = unavailable
        self.step_times_folder = step_times_folder

    @cached_property
    def _settings(self) -> Any:
        return cache(lambda entry, method, variant: run_config(self.suite, entry, method, variant))

    def run(self, wildcards: Wildcards) -> Run:
        """The run that a job belongs to, trained or entered. Pre-training without labels serves every budget: r1."""
        labels = getattr(wildcards, "labels", "") or getattr(wildcards, "budget", "").rstrip("/") or "r1"
        axes = self.suite.name, wildcards.dataset, wildcards.method, wildcards.variant, labels
        kind = Run if self.suite.tuning is None else TunedRun
        kind = EnteredRun if getattr(wildcards, "place", Run.PLACE) == EnteredRun.PLACE else kind
        return cached_run(*axes, wildcards.draw, wildcards.fold, wildcards.seed, kind=kind)

    @job_function
    def labels(self, wildcards: Wildcards) -> str:
        """The label budget of a job."""
        return self.run(wildcards).labels

    @job_function
    def config(self, wildcards: Wildcards) -> str:
        """The resolved configuration of a run, as the argument of `--config`."""
        if self.suite.tuning is not None:
            run = self.run(wildcards)
            return to_argument(self.chosen_config(run, getattr(wildcards, "stage", "train")))
        return self._stage(wildcards)[0]

    def _stage(self, wildcards: Wildcards) -> tuple[str, dict[str, str]]:
        """The argument of `--config` of a stage, and the digest of the weights that it starts from, both untuned."""
        stage = getattr(wildcards, "stage", "train")
        return self._stages(wildcards.dataset, wildcards.method, wildcards.variant, stage)

    @cached_property
    def _stages(self) -> Callable[[str, str, str, str], tuple[str, dict[str, str]]]:
        return cache(self._settings_and_weights)

    def _settings_and_weights(self, entry: str, method: str, variant: str, stage: str) -> tuple[str, dict[str, str]]:
        own = self.suite.stage_override(self.suite.entry(entry), self.suite.method(method), variant, stage)
        config = self.base_config(entry, method, variant) | ({"stage_training": own} if own else {})
        return to_argument(config), config_weights(method, config)

    def base_config(self, entry: str, method: str, variant: str) -> dict[str, Any]:
        """The configuration of a run without settings of a stage."""
        folder = self.suite.entry(entry).spec.folder if methods.get(method).engine else None
        settings: dict[str, Any] = self._settings(entry, method, variant)
        return settings | ({} if folder is None else {"raw": str(folder)})

    @job_function
    def content(self, wildcards: Wildcards) -> str:
        """Digests of the data, split, pool and weights that a stage trains with; file times do not count."""
        inputs = self.data_digests(wildcards)
        for file in self.pool(wildcards):
            sources = self.suite.entry(wildcards.dataset).pool
            inputs["pool"] = pool_digest(file, {source: self.prepared_of(source) for source in sources})
        return content_text(inputs | self._stage(wildcards)[1])

    def data_digests(self, wildcards: Wildcards) -> dict[str, str]:
        """Digests of the data and the split that a job trains with, by name."""
        name = wildcards.dataset
        return {
            "data": data_digest(self.prepared_of(name)),
            "split": split_digest(self.split_of(name), int(wildcards.fold), int(wildcards.draw)),
        }

    @job_function
    def manifest(self, wildcards: Wildcards) -> Path:
        """The manifest of an entry's prepared data, which is written last."""
        folder: Path = self.prepared_of(wildcards.dataset)
        return folder / MANIFEST

    @job_function
    def split_path(self, wildcards: Wildcards) -> Path:
        """The split file of an entry."""
        file: Path = self.split_of(wildcards.dataset)
        return file

    @job_function
    def tested_manifest(self, wildcards: Wildcards) -> Path:
        """The manifest of the prepared data that a run is evaluated on."""
        folder: Path = self.prepared_of(wildcards.evaluated_on)
        return folder / MANIFEST

    @job_function
    def tested_split_path(self, wildcards: Wildcards) -> Path:
        """The split file of the entry that a run is evaluated on."""
        file: Path = self.split_of(wildcards.evaluated_on)
        return file

    @job_function
    def training_inputs(self, wildcards: Wildcards) -> list[Path]:
        """Inputs of a stage: the prepared data, its split, and the pool that it draws from."""
        return [self.manifest(wildcards), self.split_path(wildcards), *self.pool(wildcards)]

    @job_function
    def test_inputs(self, wildcards: Wildcards) -> list[Path]:
        """Inputs of prediction and scoring: the prepared data, its split, and the split that the run was trained by."""
        splits = dict.fromkeys([self.tested_split_path(wildcards), self.split_path(wildcards)])
        return [self.tested_manifest(wildcards), *splits]

    @job_function
    def index(self, wildcards: Wildcards) -> Path:
        """The table of cases in an entry's prepared data."""
        return self.manifest(wildcards).with_name("cases.csv")

    @job_function
    def data_options(self, wildcards: Wildcards, input: object = None) -> str:
        """Folders and files that a run reads, as options of `contrastseg train`.

        The unused `input` tells Snakemake that paths follow from the inputs, so a moved folder is no reason to rerun.
        """
        names = [wildcards.dataset, *(self.suite.entry(wildcards.dataset).pool if self.pool(wildcards) else ())]
        return f"{self._prepared_options(names)} --split {self.split_of(wildcards.dataset)}"

    @job_function
    def pool_data_options(self, wildcards: Wildcards) -> str:
        """Folders and files that a pool is made of, as options of `contrastseg pool`."""
        settings = self._pool_settings(wildcards)
        names = dict.fromkeys([settings["entry"], *settings["tests"]])
        splits = " ".join(f"--split {name}={self.split_of(name)}" for name in names)
        return f"{self._prepared_options([*settings['sources'], *settings['tests']])} {splits}"

    def _prepared_options(self, names: Sequence[str]) -> str:
        return " ".join(f"--prepared {name}={self.prepared_of(name)}" for name in dict.fromkeys(names))

    def digests(self, kind: str) -> str:
        """Regular expression of the digests that end the names of the suite's prepared folders or split files.

        Args:
            kind: `prepared` or `split`.
        """
        path_of = {"prepared": self.prepared_of, "split": self.split_of}[kind]
        digests = {path_of(name).name.removesuffix(".json").rpartition("-")[2] for name in self._available}
        return "|".join(sorted(digests))

    def edited_data(self) -> dict[Path, list[str]]:
        """Manifests of prepared data whose published files were edited since, each with the edits in words."""
        edits_of = {name: self.data_folders.edits(self.suite.entry(name)) for name in self._available}
        return {self.prepared_of(name) / MANIFEST: edits for name, edits in edits_of.items() if edits}

    def splits(self) -> list[Path]:
        """Every split file of the suite."""
        return [self.split_of(name) for name in self._available]

    @property
    def _available(self) -> list[str]:
        return [entry.name for entry in self.suite.datasets if entry.name not in self.unavailable]

    @job_function
    def pool(self, wildcards: Wildcards) -> list[Path]:
        """The pool file that a stage draws from; empty where the entry declares none for it."""
        stage = getattr(wildcards, "stage", "train")
        if stage not in pool_stages(self.suite.entry(wildcards.dataset), wildcards.method):
            return []
        return [pool_file(self.suite.name, wildcards.dataset, int(wildcards.fold))]

    @cached_property
    def pool_option(self) -> str | Callable[[Wildcards], str]:
        """The pool file as an option of `contrastseg train`."""
        if not any(self.suite.entry(name).pool for name in self._available):
            return ""
        return with_parameters(lambda wildcards: " ".join(f"--pool {file}" for file in self.pool(wildcards)))

    @job_function
    def pool_settings(self, wildcards: Wildcards) -> str:
        """The settings of a pool, as the argument of `--config`."""
        return to_argument(self._pool_settings(wildcards))

    @job_function
    def pool_data(self, wildcards: Wildcards) -> list[Path]:
        """Manifests of the data that a pool is made of, and of the data that it shares no patients with."""
        settings = self._pool_settings(wildcards)
        names = dict.fromkeys([*settings["sources"], *settings["tests"]])
        return [self.prepared_of(name) / MANIFEST for name in names]

    @job_function
    def pool_splits(self, wildcards: Wildcards) -> list[Path]:
        """Split files of the entries whose test patients a pool leaves out."""
        return [self.split_of(name) for name in self._pool_settings(wildcards)["tests"]]

    def _pool_settings(self, wildcards: Wildcards) -> dict[str, Any]:
        return pool_settings(self.suite, wildcards.dataset, int(wildcards.fold), self.unavailable)

    @job_function
    def test_content(self, wildcards: Wildcards) -> str:
        """Digests of the data that is predicted and of its test patients."""
        split = split_digest(self.split_of(wildcards.evaluated_on), _test_fold(wildcards))
        return f"{data_digest(self.prepared_of(wildcards.evaluated_on))} {split}"

    @cached_property
    def test_fold(self) -> int | Callable[[Wildcards], int]:
        """The fold whose test patients are predicted."""
        pairs = ((entry.name, other) for entry in self.suite.datasets for other in entry.evaluate_on)
        return constant_or_function({fold_of(*pair, fold) for pair in pairs for fold in self.suite.folds}, _test_fold)

    @job_function
    def reference_content(self, wildcards: Wildcards) -> str:
        """Digests of the references that predictions are scored against, and of the names of their classes."""
        prepared = self.prepared_of(wildcards.evaluated_on)
        return f"{data_digest(prepared)} {names_digest(prepared)}"

    @job_function
    def missing_cases(self, wildcards: Wildcards) -> list[str]:
        """Cases whose prediction file was deleted. Scoring runs again and reports them as missing."""
        return missing_predictions(self.run(wildcards).predictions(wildcards.evaluated_on, wildcards.checkpoint))

    @job_function
    def initial_weights(self, wildcards: Wildcards) -> list[Path]:
        """Checkpoints of earlier stages that a stage takes its initial weights from."""
        return list(self._initial_checkpoints(wildcards).values())

    @job_function
    def initial_options(self, wildcards: Wildcards) -> str:
        """Initial weights as options of `contrastseg train`."""
        return " ".join(f"--initial {stage}={path}" for stage, path in self._initial_checkpoints(wildcards).items())

    def _initial_checkpoints(self, wildcards: Wildcards) -> dict[str, Path]:
        return initial_checkpoints(self.run(wildcards), getattr(wildcards, "stage", "train"))

    @job_function
    def prepare_fingerprint(self, wildcards: Wildcards) -> str:
        """Fingerprint of the code that prepares an entry."""
        return stage_fingerprint("prepare", dataset=self.dataset(wildcards))

    @job_function
    def train_fingerprint(self, wildcards: Wildcards) -> str:
        """Fingerprint of the code that trains a method."""
        return stage_fingerprint("train", method=wildcards.method)

    @job_function
    def predict_fingerprint(self, wildcards: Wildcards) -> str:
        """Fingerprint of the code that predicts with a method."""
        return stage_fingerprint("predict", method=wildcards.method)

    @job_function
    def dataset(self, wildcards: Wildcards) -> str:
        """The data set behind an entry."""
        return self.suite.entry(wildcards.dataset).dataset

    @job_function
    def downloads(self, wildcards: Wildcards) -> list[str]:
        """Checksums that a download writes; empty where the data is generated or already on this machine."""
        spec = self.suite.entry(wildcards.dataset).spec
        return [f"resources/raw/{spec.name}/checksums.json"] if needs_download(spec, self.data_root) else []

    @job_function
    def preparation(self, wildcards: Wildcards) -> str:
        """Settings of `prepare` with all defaults resolved, since a changed default changes the data."""
        entry = self.suite.entry(wildcards.dataset)
        rule = recipe.resolve(entry.spec, entry.preparation).model_dump(mode="json")
        return to_argument({"options": spelled(entry.spec, entry.options), "preparation": rule})

    @job_function
    def split(self, wildcards: Wildcards) -> str:
        """Settings of `split`, as the argument of `--config`."""
        entry = self.suite.entry(wildcards.dataset)
        split = split_settings(self.suite, entry).model_dump(mode="json")
        options = spelled(entry.spec, entry.options)
        return to_argument({"options": options, "split": split, "subset": bool(entry.subset)})

    @job_function
    def table(self, wildcards: Wildcards) -> str:
        """The settings of one table."""
        return _drawing(self.suite.tables, wildcards.table)

    @job_function
    def figure(self, wildcards: Wildcards) -> str:
        """The settings of one figure."""
        return _drawing(self.suite.figures, wildcards.figure)

    @job_function
    def memory_mb(self, wildcards: Wildcards, attempt: int) -> int:
        """Memory of a job in MB: the method's, times the attempt."""
        return methods.get(wildcards.method).memory_mb * attempt

    @cached_property
    def threads(self) -> int | Callable[[Wildcards], int]:
        """CPU threads of a run. Two runs with one thread each are faster than one run with two."""
        return self._from_training(lambda training: int(training["threads"]))

    @cached_property
    def gpus(self) -> int | Callable[[Wildcards], int]:
        """Slots of the resource `gpu`: one for each device of a run, 0 on a CPU."""
        return self._from_training(lambda training: 0 if training["accelerator"] == "cpu" else int(training["devices"]))

    @cached_property
    def one_gpu(self) -> int | Callable[[Wildcards], int]:
        """Slots of the resource `gpu` for a prediction: one, or 0 on a CPU."""
        return self._from_training(lambda training: int(training["accelerator"] != "cpu"))

    def _from_training(self, count: Callable[[dict[str, Any]], int]) -> int | Callable[[Wildcards], int]:
        """A number that follows from the training settings of a run."""
        settings = (
            self._settings(entry, method.name, variant)
            for entry, method in itertools.product(self._available, self.suite.methods)
            for variant in method.variants
        )
        numbers = {count(each["training"]) for each in settings}
        return constant_or_function(numbers, lambda job: count(self._training(job)))

    @job_function
    def priority(self, wildcards: Wildcards) -> int:
        """Priority of a job: all runs of one seed come before the next seed."""
        return -replicate_rank(self.suite, int(wildcards.draw), int(wildcards.fold), int(wildcards.seed))

    def _training(self, wildcards: Wildcards) -> dict[str, Any]:
        settings: dict[str, Any] = self._settings(wildcards.dataset, wildcards.method, wildcards.variant)["training"]
        return settings


def _test_fold(wildcards: Wildcards) -> int:
    return fold_of(wildcards.dataset, wildcards.evaluated_on, int(wildcards.fold))


def _drawing(drawings: Sequence[TableSettings] | Sequence[FigureSettings], name: str) -> str:
    return to_argument(next(item.model_dump(mode="json") for item in drawings if item.name == name))
