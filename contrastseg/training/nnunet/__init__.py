"""The engine of `nnunet`: nnU-Net's planner, trainer and predictor on the run's labelled patients.

Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation, Nature Methods
2021, doi 10.1038/s41592-020-01008-z; package nnunetv2. Its command line is not used: it imports timm while it looks for
trainers, which fails where torch is built for the CPU alone. Its checkpoints are not used either: they are not
written atomically.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from contrastseg.data.files.formats import read_label
from contrastseg.data.prepare.cases import Case
from contrastseg.data.prepare.native import NativeCases
from contrastseg.errors import CheckpointError
from contrastseg.files import digest
from contrastseg.methods.contract import Task
from contrastseg.training import checkpoints
from contrastseg.training.engines import Labeller, Outcome, TrainingJob
from contrastseg.training.logs import Log
from contrastseg.training.nnunet.data import prepare, spacing_of, workplace
from contrastseg.training.nnunet.network import extend_network, extending
from contrastseg.training.validation import LabelPair, mean_dice

PACKAGES = ("nnunetv2", "batchgenerators", "batchgeneratorsv2", "dynamic-network-architectures", "simpleitk")


def fit(job: TrainingJob) -> Outcome:
    """Train nnU-Net on the job's labelled patients, from the newest checkpoint of the same run if there is one.

    Everything it needs lies in `nnunet/` of the run's folder while it trains, and is removed in the end.

    Raises:
        DataError: The published files are missing, faulty or others than those prepared.
        TrainingError: Nothing is labelled, the plans lack the configuration, or the loss is not finite.
    """
    settings, device = job.config.settings, job.device
    configuration = settings["configuration"] or ("2d" if job.config.spatial_dims == 2 else "3d_fullres")
    workers = settings["augmentation_workers"]
    if workers is None:
        workers = job.training.threads if device.type == "cuda" else 0
    folder = job.output / "nnunet"
    plans, dataset_json = prepare(job, folder, configuration)
    with workplace(folder, workers):
        # Here, because its import takes seconds and prediction does without.
        from contrastseg.training.nnunet.trainer import Trainer

        method = extending(job.config.method)
        trainer = Trainer.make(
            plans,
            dataset_json,
            configuration,
            device=device,
            method=method,
            settings=settings,
            seed=job.config.seed,
        )
        progress = _Progress(job, trainer, plans, dataset_json, configuration)
        trainer.on_step, trainer.on_epoch = job.on_step, progress.on_epoch
        try:
            trainer.run_training()
        finally:
            trainer.close()
    checkpoints.save(job.output / "checkpoints" / "last.ckpt", progress.content())
    progress.log.close()
    shutil.rmtree(folder)
    planned = plans["configurations"][configuration]
    group = trainer.optimizer.param_groups[0]
    optimiser = {"name": "sgd", "learning_rate": trainer.initial_lr, "schedule": "poly", "clip_norm": 12.0}
    optimiser |= {name: group[name] for name in ("momentum", "nesterov", "weight_decay")}
    return Outcome(
        steps=trainer.current_epoch * trainer.num_iterations_per_epoch,
        seconds=trainer.seconds,
        earlier=progress.earlier,
        parameters=sum(p.numel() for p in trainer.network.parameters() if p.requires_grad),
        precision="32-true" if device.type == "cpu" else "16-mixed",
        residency="mapped",
        best=None if math.isnan(progress.best) else progress.best,
        best_step=None if math.isnan(progress.best) else progress.best_step,
        training={
            "network": {"name": "nnunet", **planned["architecture"]},
            "batch_size": planned["batch_size"],
            "patch_size": planned["patch_size"],
            "optimiser": optimiser,
            "augmentation": {"name": "nnunet", "workers": workers},
        },
        packages=PACKAGES,
    )


class _Progress:
    """What happens between epochs: log, validation, checkpoints, in the form every run leaves behind."""

    def __init__(
        self, job: TrainingJob, trainer: Any, plans: dict[str, Any], dataset_json: dict[str, Any], configuration: str
    ) -> None:
        self.job = job
        self.trainer = trainer
        self.saved = job.output / "checkpoints"
        described = {name: value for name, value in dataset_json.items() if name != "dataset"}
        self.plan = {"plans": plans, "dataset_json": described, "configuration": configuration}
        self.native = NativeCases(job.dataset, job.config.raw) if job.validation else None
        self.best, self.best_step = math.nan, 0
        rows: list[dict[str, Any]] = []
        resumed = checkpoints.load_resumable(self.saved, job.config.identity, job.snapshots)
        if resumed is not None:
            trainer.restore(resumed["modules"], resumed["trainer"])
            rows, self.best, self.best_step = resumed["log"], resumed["best"], resumed["best_step"]
        self.earlier: float = trainer.seconds
        self.log = Log(job.output, rows)
        checkpoints.discard_snapshots(self.saved, checkpoints.done_by(job.snapshots, self.step))
        if self.best_step:
            checkpoints.restore_best(self.saved)
        job.on_step(self.step)

    @property
    def step(self) -> int:
        """Steps done, whole epochs."""
        return int(self.trainer.current_epoch * self.trainer.num_iterations_per_epoch)

    def content(self) -> dict[str, Any]:
        """A checkpoint that is complete in itself."""
        weights = self.trainer.network.state_dict()
        mirror = list(self.trainer.inference_allowed_mirroring_axes or ())
        return {**self.job.header, **self.plan, "mirror_axes": mirror, "modules": weights, "step": self.step}

    def on_epoch(self, values: dict[str, float]) -> None:
        """After every epoch. Intervals count steps, as in every run; what falls due in an epoch waits for its end."""
        training = self.job.training
        self.log.add(self.step, {**values, "seconds": round(self.trainer.seconds, 3)})
        if self.native is not None and self._due(training.validate_every):
            score = self._validate(self.native)
            self.log.rows[-1]["val_dice"] = score
            if not self.best >= score:
                self.best, self.best_step = score, self.step
                checkpoints.save_best(self.saved, self.content())
        before = self.step - int(self.trainer.num_iterations_per_epoch)
        for due, name in self.job.snapshots.items():
            if before < due <= self.step:
                checkpoints.save_snapshot(self.saved, name, self.content(), self.job.config.identity)
        if self._due(training.checkpoint_every) and self.step < training.length:
            state = {"trainer": self.trainer.state(), "log": self.log.rows}
            state |= {"identity": digest(self.job.config.identity), "best": self.best, "best_step": self.best_step}
            checkpoints.save_resumable(self.saved, {**self.content(), **state})
            self.log.write()

    def _due(self, interval: int) -> bool:
        before = self.step - int(self.trainer.num_iterations_per_epoch)
        return self.step // interval > before // interval or self.step == self.job.training.length

    def _validate(self, native: NativeCases) -> float:
        """Mean Dice of the validation patients on their native grids."""
        dataset, trainer = self.job.dataset, self.trainer
        trainer.set_deep_supervision_enabled(False)
        label = _labeller(trainer.network, trainer.plans_manager, self.content(), self.job.device)

        def pairs() -> Iterator[LabelPair]:
            for name in dataset.cases_of(self.job.validation):
                if dataset.reference_path(name).is_file():
                    yield name, label(native.load(name)), read_label(dataset.reference_path(name))[0]

        score = mean_dice(dataset, self.job.validation, pairs())
        trainer.set_deep_supervision_enabled(trainer.enable_deep_supervision)
        return score


def labeller(content: Mapping[str, Any], device: torch.device) -> Labeller:
    """What labels native cases with a checkpoint's weights.

    Raises:
        CheckpointError: The weights do not fit the planned network.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    settings, dataset_json = content["config"]["settings"], content["dataset_json"]
    manager = PlansManager(content["plans"])
    configuration = manager.get_configuration(content["configuration"])
    channels, heads = len(dataset_json["channel_names"]), manager.get_label_manager(dataset_json).num_segmentation_heads
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        channels,
        heads,
        allow_init=False,
        deep_supervision=False,
    )
    task = Task(len(configuration.patch_size), channels, heads, content["step"], "train", lambda: None)
    extend_network(network, extending(content["config"]["method"]), settings, task)
    try:
        network.load_state_dict(content["modules"])
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint does not fit its network: {' '.join(str(error).split())[:300]}",
            remedy="train again: the method's code has changed since",
        ) from error
    return _labeller(network, manager, content, device)


def _labeller(network: Any, manager: Any, content: Mapping[str, Any], device: torch.device) -> Labeller:
    """nnU-Net's predictor around a network: windows, mirroring, and back to the native grid."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    with contextlib.redirect_stdout(sys.stderr):
        predictor = nnUNetPredictor(
            perform_everything_on_device=device.type == "cuda", device=device, verbose=False, allow_tqdm=False
        )
    predictor.manual_initialization(
        network,
        manager,
        manager.get_configuration(content["configuration"]),
        [content["modules"]],
        content["dataset_json"],
        "nnUNetTrainer",
        tuple(content["mirror_axes"]) or None,
    )

    def label(case: Case) -> np.ndarray:
        # nnU-Net's images have three axes; a photograph is a volume of one slice.
        image = case.image if case.image.ndim == 4 else case.image[:, None]
        found = predictor.predict_single_npy_array(image.astype(np.float32), {"spacing": spacing_of(case)})
        return np.asarray(found, dtype=np.uint8).reshape(case.geometry.native_shape)

    return label
