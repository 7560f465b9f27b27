"""Generated cases and this project's `train` on them, for the benchmarks that time whole training loops."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _results import family_clock

from contrastseg.files import write_json

Cases = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Workload:
    """Cases and the patches taken from them; 2D patches of 3D cases are slices."""

    cases: int
    image_channels: int
    shape: tuple[int, ...]
    patch: tuple[int, ...]
    batch_size: int


ACDC_STEP = Workload(14, 1, (10, 256, 256), (256, 256), 24)
"""A step of `benchmarks/acdc.yaml`: 24 slices, of 7 patients with two volumes each."""


def resized(workload: Workload, part: float) -> Workload:
    """The same work with images and patches of `part` of their size, for a quick look."""

    def smaller(sizes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(max(min(size, 16), round(size * part / 16) * 16) for size in sizes)

    if part == 1:
        return workload
    shape = (workload.shape[0], *smaller(workload.shape[1:])) if len(workload.patch) == 2 else smaller(workload.shape)
    return Workload(workload.cases, workload.image_channels, shape, smaller(workload.patch), workload.batch_size)


Moment = tuple[float, float]


class Times(list[Moment]):
    """When each step was done, by the clock and in processor seconds, workers counted; on a GPU the last is done."""

    def __init__(self, steps: int, device: torch.device) -> None:
        super().__init__()
        self.steps = steps
        self.device = device
        self.spent = family_clock()

    def take(self) -> None:
        """A step is done, or queued."""
        if self.device.type == "cuda" and len(self) == self.steps - 1:
            torch.cuda.synchronize(self.device)
        self.append((time.perf_counter(), self.spent()))


def generate(workload: Workload, folder: Path, ending: str = ".nii.gz") -> None:
    """Write noise with a bright box, which is the structure, in nnU-Net's layout."""
    import nibabel

    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for number in range(workload.cases):
        random = np.random.default_rng(number)
        label = np.zeros(workload.shape, dtype=np.uint8)
        label[:, workload.shape[1] // 4 : workload.shape[1] // 2, workload.shape[2] // 4 : workload.shape[2] // 2] = 1
        for channel in range(workload.image_channels):
            image = (random.normal(size=workload.shape) + 2 * label).astype(np.float32)
            path = folder / "imagesTr" / f"case{number}_{channel:04d}{ending}"
            nibabel.save(nibabel.Nifti1Image(image.transpose(), np.eye(4)), path)
        nibabel.save(nibabel.Nifti1Image(label.transpose(), np.eye(4)), folder / "labelsTr" / f"case{number}{ending}")
    described = {
        "channel_names": {str(channel): f"MR{channel}" for channel in range(workload.image_channels)},
        "labels": {"background": 0, "structure": 1},
        "numTraining": workload.cases,
        "file_ending": ending,
    }
    write_json(folder / "dataset.json", described)


def read(workload: Workload, folder: Path) -> Cases:
    """The generated cases as arrays."""
    from contrastseg.data.files.formats import read_label, read_nifti

    found = {}
    for number in range(workload.cases):
        files = [
            folder / "imagesTr" / f"case{number}_{channel:04d}.nii.gz" for channel in range(workload.image_channels)
        ]
        image = np.stack([read_nifti(file)[0] for file in files]).astype(np.float32)
        found[f"case{number}"] = (image, read_label(folder / "labelsTr" / f"case{number}.nii.gz")[0])
    return found


def prepare(cases: int, raw: Path, folder: Path) -> None:
    """Prepare generated cases and split them: one tests, the others train."""
    from contrastseg.data.prepare.preparation import prepare_dataset
    from contrastseg.data.splits.splits import split_dataset

    prepare_dataset("speed", "nnunet", {"path": str(raw)}, {"intensity": "zscore"}, raw, folder / "prepared")
    fractions = {"train": (cases - 1) / cases, "val": 0.0, "test": 1 / cases}
    split_dataset("speed", folder / "prepared", {"fractions": fractions}, folder / "split.json")


def train(
    workload: Workload, channels: list[int], folder: Path, output: Path, times: Times, **training: Any
) -> dict[str, Any]:
    """Train `supervised` on what was prepared in a folder; `times` fills. Returns the run's record."""
    from contrastseg.training.run import train as train_run
    from contrastseg.training.settings import RunConfig

    config = RunConfig(
        entry="speed",
        data=str(folder / "prepared"),
        split=str(folder / "split.json"),
        method="supervised",
        labels="r1",
        spatial_dims=len(workload.patch),
        training={
            "network": {"name": "unet", "channels": channels},
            "steps": times.steps,
            "batch_size": workload.batch_size,
            "patch_size": list(workload.patch),
            "checkpoint_every": 1000,
            "log_every": 20,
            "threads": torch.get_num_threads(),
            "accelerator": "cuda" if times.device.type == "cuda" else "cpu",
            **training,
        },
    )
    return train_run(config, output, on_step=lambda _: times.take())
