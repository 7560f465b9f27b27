"""Training loops of others in their manner, for `training.py`: each gives the step of one network on the same cases.

All train the same network with the same loss, optimiser, batch and patch; what differs is how a batch comes about and
what the loop does beside the step. Data: `cases` maps a name to image (C, *spatial) float32 and label (*spatial) uint8.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from _training_work import Cases
from scipy import ndimage
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from contrastseg.losses.segmentation import dice_ce_loss

NNUNET_FOLDER = "Dataset001_Speed"


@dataclass(frozen=True)
class Work:
    """What is trained.

    Attributes:
        patch: Spatial shape of a sample.
        batch_size: Samples of a step.
        network: Makes the network.
        device: Where it trains.
        workers: Processes of a DataLoader.
        slices: Whether volumes are taken apart.
    """

    patch: tuple[int, ...]
    batch_size: int
    network: Callable[[], nn.Module]
    device: torch.device
    workers: int
    slices: bool


def bare(work: Work, cases: Cases, folder: Path) -> Iterator[None]:
    """Forward, loss, backward and optimiser on one random batch that stays where it is: the limit."""
    image, _ = next(iter(cases.values()))
    images = torch.randn(work.batch_size, len(image), *work.patch, device=work.device)
    labels = torch.randint(0, 2, (work.batch_size, *work.patch), device=work.device)
    update = _update(work)
    while True:
        update(images, labels)
        _wait(work.device)
        yield


def dataloader(work: Work, cases: Cases, folder: Path) -> Iterator[None]:
    """In the manner of SSL4MIS: an h5 file per item opened anew, scipy on one sample, workers, a line a step."""
    files = []
    for name, image, label in _units(work, cases):
        path = folder / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=image, compression="gzip")
            file.create_dataset("label", data=label, compression="gzip")
        files.append(path)
    logger = logging.getLogger("speed")
    logger.addHandler(logging.FileHandler(folder / "log.txt"))
    logger.setLevel(logging.INFO)
    update = _update(work)
    for step, batch in enumerate(_endless(_Files(files, work.patch), work), start=1):
        images, labels = (batch[key].to(work.device) for key in ("image", "label"))
        loss = update(images, labels)
        logger.info("iteration %d : loss : %f", step, loss.item())
        yield


class _Files(Dataset[dict[str, Tensor]]):
    """Reads, turns by quarters or a small angle, and zooms (2D) or crops (3D) one sample at a time."""

    def __init__(self, files: list[Path], patch: tuple[int, ...]) -> None:
        self.files = files
        self.patch = patch

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        with h5py.File(self.files[index]) as file:
            image, label = file["image"][:], file["label"][:]
        random, axes = np.random.default_rng(torch.initial_seed() + index), (-2, -1)
        if random.random() > 0.5:
            turns, axis = int(random.integers(4)), int(random.integers(-2, 0))
            image, label = (np.flip(np.rot90(array, turns, axes), axis) for array in (image, label))
        elif random.random() > 0.5 and len(self.patch) == 2:
            angle = float(random.integers(-20, 20))
            image = ndimage.rotate(image, angle, axes=axes, order=0, reshape=False)
            label = ndimage.rotate(label, angle, axes=axes, order=0, reshape=False)
        if len(self.patch) == 2:
            factors = [new / old for new, old in zip(self.patch, label.shape, strict=True)]
            image = ndimage.zoom(image, (1, *factors), order=0)
            label = ndimage.zoom(label, factors, order=0)
        else:
            starts = [int(random.integers(size - n + 1)) for size, n in zip(label.shape, self.patch, strict=True)]
            where = tuple(slice(s, s + n) for s, n in zip(starts, self.patch, strict=True))
            image, label = image[(slice(None), *where)], label[where]
        return {
            "image": torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)),
            "label": torch.from_numpy(label.astype(np.int64)),
        }


def monai(work: Work, cases: Cases, folder: Path) -> Iterator[None]:
    """MONAI's CacheDataset of everything, dictionary transforms like ours, DataLoader."""
    from monai import transforms
    from monai.data import CacheDataset

    keys, dims = ["image", "label"], len(work.patch)
    modes, around = ["bilinear", "nearest"], [np.pi / 9] + [0.0] * (dims - 2 if dims == 2 else 2)
    chain = transforms.Compose(
        [
            transforms.EnsureChannelFirstd(["label"], channel_dim="no_channel"),
            transforms.SpatialPadd(keys, work.patch),
            transforms.RandSpatialCropd(keys, work.patch, random_size=False),
            transforms.RandFlipd(keys, prob=0.5, spatial_axis=dims - 1),
            transforms.RandAffined(
                keys,
                prob=1.0,
                rotate_range=around,
                scale_range=[0.2] * dims,
                mode=modes,
                padding_mode="border",
            ),
            transforms.RandScaleIntensityd(["image"], factors=0.2, prob=1.0),
            transforms.RandAdjustContrastd(["image"], prob=1.0, gamma=(0.8, 1.2)),
            transforms.RandGaussianNoised(["image"], prob=1.0, std=0.05),
            transforms.EnsureTyped(keys, track_meta=False),
        ]
    )
    items = [{"image": image, "label": label} for _, image, label in _units(work, cases)]
    update = _update(work)
    for batch in _endless(CacheDataset(items, chain, cache_rate=1.0, progress=False), work):
        images, labels = batch["image"].to(work.device), batch["label"].to(work.device)
        update(images, labels[:, 0].long()).item()
        yield


def nnunet(work: Work, cases: Cases, folder: Path) -> Iterator[None]:
    """nnU-Net's preprocessed files, dataloader, augmentation and train_step, with our network in its trainer."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    class Trainer(nnUNetTrainer):
        """With the network of the others, which has no deep supervision to switch."""

        @staticmethod
        def build_network_architecture(*_: Any, **__: Any) -> nn.Module:
            return work.network()

        def set_deep_supervision_enabled(self, enabled: bool) -> None:
            pass

    plans, described, configuration = _nnunet_plans(work, folder)
    trainer = Trainer({**plans, "continue_training": False}, configuration, "all", described, work.device)
    trainer.enable_deep_supervision = False
    trainer.initialize()
    trainer.dataloader_train, _ = trainer.get_dataloaders()
    trainer.network.train()
    while True:
        trainer.train_step(next(trainer.dataloader_train))
        yield


def _nnunet_plans(work: Work, folder: Path) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Plan and preprocess as nnU-Net does; patch and batch are then set to those of the others."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprint_dataset,
        plan_experiment_dataset,
        preprocess_dataset,
    )

    described = json.loads((folder / "raw" / NNUNET_FOLDER / "dataset.json").read_text())
    configuration = "2d" if len(work.patch) == 2 else "3d_fullres"
    extract_fingerprint_dataset(1, num_processes=1, verbose=False, show_progress_bar=False)
    plan_experiment_dataset(1)
    preprocess_dataset(1, configurations=(configuration,), num_processes=(1,))
    path = folder / "preprocessed" / NNUNET_FOLDER / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    plans["configurations"][configuration] |= {"patch_size": list(work.patch), "batch_size": work.batch_size}
    return plans, described, configuration


def _units(work: Work, cases: Cases) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name, (image, label) in cases.items():
        if work.slices:
            for plane in range(label.shape[0]):
                yield f"{name}_{plane}", image[:, plane], label[plane]
        else:
            yield name, image, label


def _endless(dataset: Any, work: Work) -> Iterator[dict[str, Tensor]]:
    loader: DataLoader[dict[str, Tensor]] = DataLoader(
        dataset,
        batch_size=work.batch_size,
        shuffle=True,
        drop_last=len(dataset) >= work.batch_size,
        num_workers=work.workers,
        pin_memory=work.device.type == "cuda",
        persistent_workers=work.workers > 0,
    )
    while True:
        yield from loader


def _update(work: Work) -> Callable[[Tensor, Tensor], Tensor]:
    network = work.network().to(work.device)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)

    def update(images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(work.device.type, torch.bfloat16, enabled=work.device.type == "cuda"):
            loss = dice_ce_loss(network(images), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss

    return update


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


LOOPS = {"bare": bare, "dataloader": dataloader, "monai": monai, "nnunet": nnunet}
