"""One run from its configuration: data, method, device, loop, and the record of it all."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import TrainingError
from contrastseg.files import sha256, write_json
from contrastseg.methods import registry
from contrastseg.methods.contract import View
from contrastseg.training import checkpoints, devices, records
from contrastseg.training.assembly import build_method, stage_training, take_over
from contrastseg.training.batches import Batches, Source
from contrastseg.training.engines import Job, Outcome, engine_of
from contrastseg.training.faults import DUMP, device_faults
from contrastseg.training.loop import fit
from contrastseg.training.material import Material, open_pool, own_material
from contrastseg.training.optimisations import compile_networks, keep_small_in_float32, lay_out
from contrastseg.training.read_ahead import read_ahead
from contrastseg.training.recorded import planned
from contrastseg.training.settings import PLACES, RunConfig, TrainingSettings
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.storage import JoinedStorage, Storage
from contrastseg.training.validation import validation_dice

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def train(
    config: RunConfig,
    output: str | Path,
    *,
    on_step: Callable[[int], None] = lambda step: None,
    claim: devices.Claim | None = None,
    on_note: Callable[[str], None] = warnings.warn,
) -> dict[str, Any]:
    """Train one run (a method's stage) and write checkpoints, log and record into `output`; resumes by itself.

    Args:
        config: What to train, resolved.
        output: The run's folder. `checkpoints/last.ckpt`, `log.csv`, `tensorboard/` and `run.json` come to lie there,
            `checkpoints/best_val.ckpt` too where the split has validation patients and `validate_every` is set.
        on_step: Called with the number of steps done.
        claim: A device already taken; one is claimed if unset.
        on_note: Called with what should be known of how the run is computed.

    Returns:
        The content of `run.json`.

    Raises:
        ContrastsegError: A kind of it that says what is wrong and what to do.
    """
    output = Path(output)
    training = stage_training(config)
    if len(training.patch_size) != config.spatial_dims:
        raise TrainingError(
            f"images are seen in {config.spatial_dims}D, and patch_size is {training.patch_size}",
            remedy="give `training.patch_size` as many sizes, or set `spatial_dims` (2 trains on slices of volumes)",
        )
    torch.set_num_threads(training.threads)
    started = datetime.now(UTC)
    clock = time.perf_counter()
    claim = claim or devices.claim(training.accelerator, count=training.devices)
    try:
        split = Split.from_file(config.split)
        labelled = split.labelled(config.labels, config.draw, config.fold)
        validation = split.val(config.fold) if training.validate_every and config.stage == "train" else []
        dataset = PreparedDataset(config.data)
        pool, material = None, own_material(config, dataset, split)
        if config.pool:
            pool, material = open_pool(config, dataset, split)
        job = Job(config, training, dataset, split, labelled, validation, claim, output, on_step, on_note)
        engine = engine_of(config.method)
        if engine is not None and training.devices > 1:
            raise TrainingError(
                f"{config.method} trains by its own program, on one device", remedy="set `devices: 1` for it"
            )
        with device_faults(training.batch_size, training.patch_size):
            outcome = _fit(job, material) if engine is None else engine.fit(job)
        method = registry.get(config.method)
        # Of attempts that were stopped before this one, what they did in steps is known, and no more.
        wall_s = round(time.perf_counter() - clock + outcome.earlier, 3)
        record = {
            **config.model_dump(mode="json", exclude={"training", *PLACES}),
            "training": {**training.model_dump(mode="json"), **outcome.training},
            "card": _card(config.method),
            "printed_name": method.printed or method.name,
            "name_note": method.name_note(config.settings),
            "labelled_patients": labelled,
            "labelled_count": len(labelled),
            "label_ratio": len(labelled) / len(split.train(config.fold)),
            "unlabelled_count": sum(
                len({there.patient(case) for case in cases}) for there, cases in material.get("unlabelled", ())
            ),
            "unlabelled_cases": sum(len(cases) for _, cases in material.get("unlabelled", ())),
            "pool": None if pool is None else {"hash": pool.hash, "sources": list(pool.sources)},
            "training_patients": len(split.train(config.fold)),
            "split_name": split.name,
            "split_hash": split.hash,
            "taken_over": dict(outcome.taken_over),
            "steps": outcome.steps,
            "best_val_dice": outcome.best,
            "best_val_step": outcome.best_step,
            "parameters": outcome.parameters,
            "precision": outcome.precision,
            "residency": outcome.residency,
            "unrecorded": outcome.unrecorded,
            "versions": records.versions(outcome.packages),
            "git_commit": records.git_commit(),
            "hardware": records.hardware(job.device),
            "device_uuid": ",".join(device.uuid for device in claim.devices) or None,
            "started": started.isoformat(timespec="milliseconds"),
            "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "wall_s": wall_s,
            "stages_wall_s": records.stages_wall_s(config.initial, config.stage, wall_s),
            "seconds_per_step": outcome.seconds / outcome.steps,
            "peak_memory_bytes": records.peak_memory_bytes(job.device),
        }
        if devices.is_first():
            write_json(output / "run.json", record)
            checkpoints.discard_resumable(output / "checkpoints")
            (output / "checkpoints" / DUMP).unlink(missing_ok=True)
        return record
    finally:
        claim.release()


def _fit(job: Job, material: Material) -> Outcome:
    """Train with this project's loop."""
    config, training, dataset = job.config, job.training, job.dataset
    fabric = _fabric(job.claim, training)
    fabric.launch()
    method = build_method(config, dataset.in_channels, dataset.num_classes)
    taken = take_over(method, config)
    lay_out(method.modules, config.spatial_dims, training.memory_format)
    if job.claim.accelerator == "cpu" and _precision(job.claim, training) != "32-true":
        keep_small_in_float32(method.modules)
    compile_networks(method.modules, training.compile)
    views = dict(registry.get(config.method).stage(config.stage).views)
    batches = _batches(views, material, config, training, fabric)
    recording = planned(method, training, fabric.device, job.on_note)
    validate = partial(validation_dice, method, dataset, job.validation, training, fabric) if job.validation else None
    with read_ahead(batches, training.steps) as ready:
        progress, log = fit(
            method,
            ready,
            training,
            fabric,
            job.output,
            seed=config.seed,
            identity=config.identity,
            header=job.header,
            recording=recording,
            validate=validate,
            on_step=job.on_step,
        )
    log.close()
    return Outcome(
        steps=progress.step,
        seconds=progress.seconds,
        earlier=progress.earlier,
        unrecorded=recording.outcome,
        parameters=sum(p.numel() for p in method.modules.parameters() if p.requires_grad),
        precision=_precision(job.claim, training),
        residency=batches.sources[next(iter(batches.sources))].storage.residency,
        best=progress.best if job.validation else None,
        best_step=progress.best_step if job.validation else None,
        taken_over={name: sha256(path) for name, path in taken.items()},
    )


def _precision(claim: devices.Claim, training: TrainingSettings) -> str:
    if training.precision != "auto":
        return training.precision
    return "bf16-mixed" if claim.accelerator == "cuda" else "32-true"


def _fabric(claim: devices.Claim, training: TrainingSettings) -> Fabric | SingleDevice:
    precision: Any = _precision(claim, training)
    if training.devices == 1 and precision != "16-mixed":
        return SingleDevice(claim.accelerator, precision)
    from lightning_fabric import Fabric  # here, because it takes seconds: torch's compiler
    from lightning_fabric.strategies import DDPStrategy

    # Not every method uses every parameter in every step.
    strategy = DDPStrategy(find_unused_parameters=True) if training.devices > 1 else "auto"
    return Fabric(accelerator=claim.accelerator, strategy=strategy, devices=training.devices, precision=precision)


def _batches(
    views: dict[str, View],
    material: Material,
    config: RunConfig,
    training: TrainingSettings,
    fabric: Fabric | SingleDevice,
) -> Batches:
    sources: dict[str, Source] = {}
    for name in sorted({view.source for view in views.values()}):
        if name not in material:
            raise TrainingError(
                f"{config.method} needs {name} patients, and {config.labels} leaves none",
                remedy="choose another label budget, or leave this method out of it",
            )
        superpixels = any(view.superpixels for view in views.values() if view.source == name)
        parts = {
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
            for dataset, cases in material[name]
        }
        size = training.batch_size
        if name == "unlabelled" and training.unlabelled_batch_size is not None:
            size = training.unlabelled_batch_size
        if size % fabric.world_size:
            raise TrainingError(
                f"a batch of {size} {name} samples cannot be shared out to {fabric.world_size} devices",
                remedy="make the batch size a multiple of `devices`",
            )
        sources[name] = Source(
            name,
            next(iter(parts.values())) if len(parts) == 1 else JoinedStorage(parts),
            size // fabric.world_size,
            training.patch_size,
            config.seed,
            training.augmentation,
            training.foreground_fraction,
            fabric.global_rank,
            fabric.world_size,
        )
    return Batches(sources, views)


def _card(name: str) -> dict[str, Any]:
    card = registry.get(name).card
    return {**vars(card), "differs": list(card.differs), "options": dict(card.options)}
