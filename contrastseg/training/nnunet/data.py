"""nnU-Net's data: the labelled cases as it wants them, its fingerprint, its plans, its preprocessed files."""

from __future__ import annotations

import contextlib
import multiprocessing.dummy
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from contrastseg.data.prepare.cases import Case, DatasetJson
from contrastseg.data.prepare.native import NativeCases
from contrastseg.errors import TrainingError
from contrastseg.files import digest, read_json, write_json
from contrastseg.labels import IGNORE
from contrastseg.training.engines import TrainingJob

_NAME = "Dataset001_benchmark"
_PLANS = "nnUNetPlans"
_READY = "ready.json"
_DRAWS_PER_VOXEL = 10


@contextlib.contextmanager
def workplace(folder: Path, workers: int) -> Iterator[None]:
    """nnU-Net's environment: its folders below `folder`, its messages on stderr, `workers` to augment with."""
    values = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    values |= {"nnUNet_n_proc_DA": str(workers), "nnUNet_compile": "f", "nnUNet_wandb_enabled": "0"}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def prepare(job: TrainingJob, folder: Path, configuration: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make plans and preprocessed files of the labelled cases, or take those a killed run left in `folder`.

    Args:
        job: Whose labelled patients.
        folder: The work folder of this run.
        configuration: Name of one of nnU-Net's configurations.

    Returns:
        The plans and nnU-Net's description of the data set; plain values only.

    Raises:
        DataError: A case cannot be read.
        TrainingError: Nothing is labelled, or the plans lack the configuration.
    """
    identity = {"run": digest(job.config.identity)}
    if not (folder / _READY).is_file() or read_json(folder / _READY) != identity:
        shutil.rmtree(folder, ignore_errors=True)
        # One at least: the planner hands this number to torch as its number of threads.
        with workplace(folder, 1):
            foreground = _write_raw(_labelled_cases(job), job.dataset.info, folder / "raw" / _NAME)
            _plan_and_preprocess(configuration, job.training.threads, foreground)
        write_json(folder / _READY, identity)
    preprocessed = folder / "preprocessed" / _NAME
    return read_json(preprocessed / f"{_PLANS}.json"), read_json(preprocessed / "dataset.json")


def spacing_of(case: Case) -> tuple[float, ...]:
    """Spacing as nnU-Net's readers give it: three numbers, the first far off for photographs; 1 where it is unknown."""
    spacing = case.geometry.native_spacing or (1.0,) * len(case.geometry.native_shape)
    return spacing if len(spacing) == 3 else (999 * max(spacing), *spacing)


def _labelled_cases(job: TrainingJob) -> Iterator[Case]:
    native = NativeCases(job.dataset, job.config.raw)
    labelled = set(job.dataset.index.query("labelled")["case"])
    for name in job.dataset.cases_of(job.labelled):
        if name in labelled:
            yield native.load(name)


def _write_raw(cases: Iterable[Case], info: DatasetJson, folder: Path) -> int:
    """Write cases in nnU-Net's raw layout, one file a channel, and the data set's description.

    Returns:
        How many voxels are labelled with a structure.
    """
    images: dict[str, dict[str, Any]] = {}
    ignored, foreground = False, 0
    for case in cases:
        assert case.label is not None
        files = [f"imagesTr/{case.case}_{channel:04d}.nii.gz" for channel in range(len(case.image))]
        images[case.case] = {"images": files, "label": f"labelsTr/{case.case}.nii.gz"}
        for file, channel in zip(files, case.image, strict=True):
            _write_image(folder / file, channel.astype(np.float32), case)
        ignored |= bool((case.label == IGNORE).any())
        foreground += int(((case.label != IGNORE) & (case.label != 0)).sum())
        # nnU-Net's ignore label is the one behind the last class.
        label = np.where(case.label == IGNORE, len(info.classes), case.label)
        _write_image(folder / f"labelsTr/{case.case}.nii.gz", label.astype(np.uint8), case)
    if not foreground:
        raise TrainingError(
            "nnU-Net plans from labelled voxels, and the labelled patients have none",
            case=", ".join(images) or None,
            remedy="choose a larger label budget or another draw",
        )
    labels = {"background": 0, **{name: value for value, name in enumerate(info.classes) if value}}
    description = {
        "channel_names": {str(index): name for index, name in enumerate(_channel_names(info))},
        "labels": labels | ({"ignore": len(info.classes)} if ignored else {}),
        "numTraining": len(images),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": images,
    }
    write_json(folder / "dataset.json", description)
    return foreground


def _write_image(path: Path, array: np.ndarray, case: Case) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing([float(step) for step in spacing_of(case)[-array.ndim :][::-1]])
    path.parent.mkdir(parents=True, exist_ok=True)
    SimpleITK.WriteImage(image, str(path))


def _channel_names(info: DatasetJson) -> list[str]:
    """The channels by the names nnU-Net chooses its normalisation by: CT, colour photographs, anything else."""
    if info.native_format == "png" and len(info.channels) == 3:
        return ["rgb_to_0_1"] * 3
    words = set(re.findall(r"\w+", info.modality.upper()))
    computed = "CT" in words and not words & {"MR", "MRI", "PET"}
    return ["CT" if computed or name.upper() == "CT" else name for name in info.channels]


def _plan_and_preprocess(configuration: str, threads: int, foreground: int) -> None:
    from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.preprocessing.preprocessors import default_preprocessor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with _threads_for_processes(fingerprint_extractor, default_preprocessor):
        extractor = fingerprint_extractor.DatasetFingerprintExtractor(_NAME, threads)
        # nnU-Net draws 10^8 voxels with replacement however few there are, which takes longer than a small training.
        drawn = min(extractor.num_foreground_voxels_for_intensitystats, _DRAWS_PER_VOXEL * foreground)
        extractor.num_foreground_voxels_for_intensitystats = drawn
        extractor.run(overwrite_existing=True)
        planner = ExperimentPlanner(_NAME, plans_name=_PLANS)
        manager = PlansManager(planner.plan_experiment())
        if configuration not in manager.available_configurations:
            raise TrainingError(
                f"nnU-Net plans no configuration {configuration!r} for this data; there are: "
                + ", ".join(manager.available_configurations),
                remedy="set configuration of nnunet, or spatial_dims of the entry",
            )
        preprocessor = manager.get_configuration(configuration).preprocessor_class(verbose=False)
        preprocessor.run(_NAME, configuration, _PLANS, num_processes=threads)


@contextlib.contextmanager
def _threads_for_processes(*modules: Any) -> Iterator[None]:
    """Let nnU-Net's pools be of threads.

    It spawns processes even where one is asked for: each imports torch for seconds before it does anything, and imports
    the calling script anew, which a script without a guarded main does not survive.
    """
    before = [module.multiprocessing for module in modules]
    for module in modules:
        module.multiprocessing = SimpleNamespace(get_context=lambda method: multiprocessing.dummy)
    try:
        yield
    finally:
        for module, own in zip(modules, before, strict=True):
            module.multiprocessing = own
