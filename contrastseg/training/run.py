"""One run from its configuration: data, method, device, loop, and the record of it all."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import TrainingError
from contrastseg.files import sha256, write_json
from contrastseg.methods import registry
from contrastseg.methods.contract import Method, SourceName
from contrastseg.training import checkpoints, devices
from contrastseg.training.assembly import build_method, load_initial_weights, stage_training
from contrastseg.training.batches import Batches, Source
from contrastseg.training.colours import check_colours
from contrastseg.training.device_errors import device_errors
from contrastseg.training.engines import Engine, Outcome, TrainingJob, engine_of
from contrastseg.training.length import batch_size, in_steps
from contrastseg.training.loop import FitArguments, fit
from contrastseg.training.non_finite import DUMP
from contrastseg.training.optimisations import compile_networks, keep_small_in_float32, lay_out
from contrastseg.training.prefetch import prefetch
from contrastseg.training.recorded import planned
from contrastseg.training.run_record import Begun, run_record
from contrastseg.training.settings import RunConfig, TrainingSettings
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.storage import JoinedStorage, Storage
from contrastseg.training.training_cases import cases_of_run
from contrastseg.training.validation import validation_dice

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train(
    config: RunConfig,
    output: str | Path,
    *,
    on_step: Callable[[int], None] = lambda step: None,
    allocation: devices.DeviceAllocation | None = None,
    on_note: Callable[[str], None] = warnings.warn,
) -> dict[str, Any]:
    """Train one run (a method's stage) and write checkpoints, log and record into `output`; resumes by itself.

    Args:
        config: What to train, resolved.
        output: The run's folder. `checkpoints/last.ckpt`, `log.csv`, `tensorboard/` and `run.json` come to lie there,
            `checkpoints/best_val.ckpt` too where the split has validation patients and `validate_every` is set, and
            the snapshots `checkpoints/step<steps>.ckpt` where `snapshot_every` is set.
        on_step: Called with the number of steps done.
        allocation: Devices already allocated; free ones are if unset.
        on_note: Called with what should be known of how the run is computed.

    Returns:
        The content of `run.json`.

    Raises:
        ContrastsegError: A kind of it that says what is wrong and what to do.
    """
    output = Path(output)
    training = stage_training(config)
    _check_patch(config, training)
    torch.set_num_threads(training.threads)
    begun = Begun.now()
    allocation = allocation or devices.allocate(training.accelerator, count=training.devices)
    try:
        job = _job(config, training, allocation=allocation, output=output, on_step=on_step, on_note=on_note)
        engine = engine_of(config.method)
        _check_devices(engine, job)
        with device_errors(training.batch_size, training.patch_size):
            outcome = _fit(job) if engine is None else engine.fit(job)
        record = run_record(job, outcome, begun)
        if devices.is_first():
            write_json(output / "run.json", record)
            checkpoints.discard_resumable(output / "checkpoints")
            (output / "checkpoints" / DUMP).unlink(missing_ok=True)
        return record
    finally:
        allocation.release()


def _check_patch(config: RunConfig, training: TrainingSettings) -> None:
    if len(training.patch_size) != config.spatial_dims:
        raise TrainingError(
            f"images are seen in {config.spatial_dims}D, and patch_size is {training.patch_size}",
            remedy="give `training.patch_size` as many sizes, or set `spatial_dims` (2 trains on slices of volumes)",
        )


def _check_devices(engine: Engine | None, job: TrainingJob) -> None:
    if engine is not None and job.training.devices > 1:
        raise TrainingError(
            f"{job.config.method} trains by its own program, on one device", remedy="set `devices: 1` for it"
        )


def _job(
    config: RunConfig,
    training: TrainingSettings,
    *,
    allocation: devices.DeviceAllocation,
    output: Path,
    on_step: Callable[[int], None],
    on_note: Callable[[str], None],
) -> TrainingJob:
    """The run with its data set, split, patients and cases looked up, and its pool checked."""
    split = Split.from_file(config.split)
    dataset = PreparedDataset(config.data)
    labelled = split.labelled(config.labels, config.draw, config.fold)
    validation = split.val(config.fold) if training.validate_every and config.stage == "train" else []
    pool, cases_by_source = cases_of_run(config, dataset, split)
    return TrainingJob(
        config=config,
        training=in_steps(training, config, cases_by_source),
        dataset=dataset,
        split=split,
        labelled=labelled,
        validation=validation,
        pool=pool,
        cases_by_source=cases_by_source,
        allocation=allocation,
        output=output,
        on_step=on_step,
        on_note=on_note,
    )


def _fit(job: TrainingJob) -> Outcome:
    """Train with this project's loop."""
    config, training, dataset = job.config, job.training, job.dataset
    fabric = _fabric(job.allocation, training)
    fabric.launch()
    method, weights_from, from_file = _method(job)
    batches = _batches(job, fabric)
    recording = planned(method, training, fabric.device, job.on_note)
    validate = partial(validation_dice, method, dataset, job.validation, training, fabric) if job.validation else None
    with prefetch(batches, training.length) as ready:
        progress, log = fit(
            FitArguments(
                method=method,
                batches=ready,
                training=training,
                fabric=fabric,
                folder=job.output,
                seed=config.seed,
                identity=config.identity,
                header=job.header,
                snapshots=job.snapshots,
                recording=recording,
                validate=validate,
                on_step=job.on_step,
            )
        )
    log.close()
    return Outcome(
        steps=progress.step,
        seconds=progress.seconds,
        earlier=progress.earlier,
        earlier_cpu=progress.earlier_cpu,
        unrecorded=recording.outcome,
        parameters=sum(p.numel() for p in method.modules.parameters() if p.requires_grad),
        precision=_precision(job.allocation, training),
        residency=batches.sources[next(iter(batches.sources))].storage.residency,
        best=progress.best if job.validation else None,
        best_step=progress.best_step if job.validation else None,
        initial_weights={name: sha256(path) for name, path in weights_from.items()},
        network_weights=from_file,
    )


def _method(job: TrainingJob) -> tuple[Method, dict[str, str], dict[str, Any] | None]:
    """The method ready to train, the checkpoint of every module with initial weights, and the file of weights."""
    config, training = job.config, job.training
    loaded: list[dict[str, Any]] = []
    method = build_method(config, job.dataset.in_channels, job.dataset.num_classes, training, loaded.append)
    for each in loaded[:1]:
        if each["split"] == {"hash": job.split.hash, "fold": config.fold}:
            each["test_cases"] = "stated"  # by our own card: it was trained on this run's training patients
        job.on_note(
            f"{each['file']}: {each['matched']} tensors loaded, {len(each['missing'])} of the encoder's missing,"
            f" {len(each['skipped'])} of the file's left over"
        )
    weights_from = load_initial_weights(method, config)
    lay_out(method.modules, config.spatial_dims, training.memory_format)
    if job.allocation.accelerator == "cpu" and _precision(job.allocation, training) != "32-true":
        keep_small_in_float32(method.modules)
    compile_networks(method.modules, training.compile)
    return method, weights_from, loaded[0] if loaded else None


def _precision(allocation: devices.DeviceAllocation, training: TrainingSettings) -> str:
    if training.precision != "auto":
        return training.precision
    return "bf16-mixed" if allocation.accelerator == "cuda" else "32-true"


def _fabric(allocation: devices.DeviceAllocation, training: TrainingSettings) -> Fabric | SingleDevice:
    precision: Any = _precision(allocation, training)
    if training.devices == 1 and precision != "16-mixed":
        return SingleDevice(allocation.accelerator, precision)
    from lightning_fabric import Fabric  # here, because it takes seconds: torch's compiler
    from lightning_fabric.strategies import DDPStrategy

    # Not every method uses every parameter in every step.
    strategy = DDPStrategy(find_unused_parameters=True) if training.devices > 1 else "auto"
    return Fabric(accelerator=allocation.accelerator, strategy=strategy, devices=training.devices, precision=precision)


def _batches(job: TrainingJob, fabric: Fabric | SingleDevice) -> Batches:
    views = dict(registry.get(job.config.method).stage(job.config.stage).views)
    sources: dict[str, Source] = {}
    for name in sorted({view.source for view in views.values()}):
        superpixels = any(view.superpixels for view in views.values() if view.source == name)
        sources[name] = _source(job, fabric, name=name, superpixels=superpixels)
    return Batches(sources, views)


def _source(job: TrainingJob, fabric: Fabric | SingleDevice, *, name: SourceName, superpixels: bool) -> Source:
    """The samples of `labelled` or `unlabelled` cases, with super-pixels where a view wants them."""
    config, training = job.config, job.training
    if name not in job.cases_by_source:
        raise TrainingError(
            f"{config.method} needs {name} patients, and {config.labels} leaves none",
            remedy="choose another label budget, or leave this method out of it",
        )
    for dataset, _ in job.cases_by_source[name]:
        check_colours(training.augmentation, dataset)
    storages = {
        dataset.info.entry: Storage(
            dataset,
            cases,
            with_labels=name == "labelled",
            spatial_dims=config.spatial_dims,
            device=fabric.device,
            residency=training.residency,
            with_superpixels=superpixels,
            cache_gb=training.cache_gb,
        )
        for dataset, cases in job.cases_by_source[name]
    }
    return Source(
        name,
        next(iter(storages.values())) if len(storages) == 1 else JoinedStorage(storages),
        batch_size=_share(training, name, fabric.world_size),
        patch=training.patch_size,
        seed=config.seed,
        settings=training.augmentation,
        foreground_fraction=training.foreground_fraction,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )


def _share(training: TrainingSettings, name: SourceName, processes: int) -> int:
    """Samples of a source that each of the processes draws per step."""
    size = batch_size(training, name)
    if size % processes:
        raise TrainingError(
            f"a batch of {size} {name} samples cannot be shared out to {processes} devices",
            remedy="make the batch size a multiple of `devices`",
        )
    return size // processes
