"""What many small cases cost when their windows share batches, beside each case by itself, in one run.

All give label maps of the same cases with the same network: `contrastseg` by `infer_cases`, as validation does, `full
batches` likewise but with `batch_size` windows a batch, as on a GPU, and `case by case` by `case_logits`, an argmax on
the host and a batch that ends with its case. Contenders take turns, and the median of the rounds counts. Batches and
windows are counted as they reach the network. The script stops where labels differ.

Example: `OMP_NUM_THREADS=1 python benchmarks/speed/cases.py --rounds 5`
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from _results import RESULTS, clock, described, results_path, show_and_write
from torch import Tensor, nn

from contrastseg.data.files.geometry import Geometry
from contrastseg.data.prepare.cases import Case
from contrastseg.networks.registry import build
from contrastseg.training import case_batches
from contrastseg.training.case_batches import infer_cases
from contrastseg.training.inference import case_logits
from contrastseg.training.settings import TrainingSettings

COLUMNS = (
    *("work", "contender", "cases", "windows", "batches", "rounds", "case_ms", "ours_per_case", "image", "window"),
    *("batch_size", "classes", "channels", "device", "threads", "torch", "hardware", "note"),
)
OURS, FULL, SINGLE = "contrastseg", "full batches", "case by case"
CHANNELS = (16, 32, 64, 128, 256)
CLASSES = 4


@dataclass(frozen=True)
class Work:
    """Cases (1, *spatial) of one size and a 2D window."""

    cases: int
    image: tuple[int, ...]
    window: tuple[int, int]
    batch_size: int


WORKS = {
    "images_64": Work(96, (64, 64), (64, 64), 24),
    "images_128": Work(48, (128, 128), (128, 128), 24),
    "volumes_of_10_slices": Work(5, (10, 128, 128), (128, 128), 24),
}


class Counting(nn.Module):
    """A network that counts the batches and windows it has seen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.batches = self.windows = 0

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, *window) to (B, K, *window)."""
        self.batches += 1
        self.windows += len(images)
        logits: Tensor = self.network(images)
        return logits


def contenders(work: Work, network: Counting, device: torch.device) -> dict[str, Callable[[], list[np.ndarray]]]:
    """What labels all cases, by name."""
    random = np.random.default_rng(0)
    grid = Geometry(work.image, None, "pixel", None, "png", work.image)
    images = [random.standard_normal((1, *work.image), dtype=np.float32) for _ in range(work.cases)]
    cases = [Case(f"{number}", f"{number}", None, image, None, grid) for number, image in enumerate(images)]
    training = TrainingSettings(
        network={"name": "unet"}, steps=1, patch_size=list(work.window), batch_size=work.batch_size
    )
    where: dict[str, Any] = {"scale": 1.0, "spatial_dims": 2, "training": training, "device": device}
    overlap, size = training.overlap, work.batch_size

    def together() -> list[np.ndarray]:
        return [labels for _, labels in infer_cases(network, cases, labels_only=lambda case: True, **where)]

    def full() -> list[np.ndarray]:
        with mock.patch.object(case_batches, "windows_of_batch", lambda size, *rest: size):
            return together()

    def singly() -> list[np.ndarray]:
        return [case_logits(network, image, 1.0, 2, work.window, device, overlap, size).argmax(0) for image in images]

    return {OURS: together, FULL: full, SINGLE: singly}


def measure(name: str, work: Work, rounds: int, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row per contender; a round before the others is not counted, but its labels, windows and batches are.

    Raises:
        SystemExit: Labels differ.
    """
    torch.manual_seed(0)
    settings = {"name": "unet", "channels": list(CHANNELS)}
    plain = build(settings, spatial_dims=2, in_channels=1, num_classes=CLASSES).to(device).eval()
    network = Counting(plain)
    runs = contenders(work, network, device)
    seen, labels = {}, {}
    for contender, run in runs.items():
        network.batches = network.windows = 0
        labels[contender] = run()
        seen[contender] = (network.windows, network.batches)
    for other in (FULL, SINGLE):
        same = np.mean([(a == b).mean() for a, b in zip(labels[OURS], labels[other], strict=True)])
        if same < 0.9999:
            raise SystemExit(f"{name}: {same:.4%} of labels are the same as in {other}")
    taken: dict[str, list[float]] = {contender: [] for contender in runs}
    now = clock(device.type)
    for _ in range(rounds):
        for contender, run in runs.items():
            started = now()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken[contender].append(now() - started)
    median = {contender: statistics.median(each) for contender, each in taken.items()}
    for contender in runs:
        yield {
            **{"work": name, "contender": contender, "cases": work.cases, "rounds": rounds},
            **dict(zip(("windows", "batches"), seen[contender], strict=True)),
            "case_ms": f"{1e3 * median[contender] / work.cases:.3f}",
            "ours_per_case": f"{median[OURS] / median[contender]:.3f}",
            **{"image": "x".join(map(str, work.image)), "window": "x".join(map(str, work.window))},
            **{"batch_size": work.batch_size, "classes": CLASSES, "channels": "-".join(map(str, CHANNELS))},
        }


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="*", default=list(WORKS), choices=WORKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", type=int, default=1, help="divides the sides of images, for a quick look")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    about = {"device": given.device, "threads": given.threads, "torch": torch.__version__}
    about |= {"hardware": described(), "note": given.note}

    def rows() -> Iterator[dict[str, Any]]:
        for name in given.work:
            work = WORKS[name]
            window = (work.window[0] // given.part, work.window[1] // given.part)
            small = replace(work, image=(*work.image[:-2], *window), window=window)
            for row in measure(name, small, given.rounds, torch.device(given.device)):
                yield {**row, **about}

    file = results_path(given.output, "cases", given.device)
    shown = ("work", "contender", "cases", "windows", "batches", "case_ms", "ours_per_case")
    show_and_write(file, COLUMNS, shown, rows(), 22)
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
