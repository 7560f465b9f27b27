"""What a training step costs beside the bare network and the loops of others, in one run on one machine.

Each contender trains the same network with the same loss, optimiser, batch and patch on the same generated cases, in a
fresh process; contenders take turns, and the quietest round of each counts, since other load only adds. `share_outside`
is the part of a step that is not forward, loss, backward and optimiser: 1 minus the bare network's step over the
contender's. `cpu_share_outside` is the same in processor seconds, those of worker processes counted, which other load
stretches less; not on a GPU.

    contrastseg   this project's `train`, whole: batches, augmentation, log, checkpoints
    bare          one random batch again and again: the limit
    dataloader    an h5 file per item, scipy, worker processes, a logged loss a step: SSL4MIS's manner
    monai         CacheDataset with everything in it, dictionary transforms, worker processes
    nnunet        nnU-Net's dataloader, augmentation and train_step, around the same network

Example: `python benchmarks/speed/training.py --work acdc_2d --rounds 2 --steps 12`
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from _results import RESULTS, described, machine, peak_memory, results_path, show_and_write
from _training_loops import LOOPS, NNUNET_FOLDER, Work
from _training_work import ACDC_STEP, Times, Workload, generate, prepare, read, resized, train

from contrastseg.networks.registry import build

CONTENDERS = ("contrastseg", *LOOPS)
COLUMNS = (
    *("work", "contender", "samples_per_s", "step_ms", "times_bare", "share_outside", "cpu_ms", "cpu_share_outside"),
    *("peak_mib", "batch_size", "patch", "channels", "rounds", "steps", "threads", "workers", "device", "torch"),
    *("hardware", "note"),
)


WORKLOADS = {
    "acdc_2d_256": ACDC_STEP,
    "acdc_2d": Workload(12, 1, (10, 216, 256), (192, 192), 8),
    "rgb_2d_512": Workload(24, 3, (1, 512, 512), (512, 512), 4),
    "3d_96": Workload(6, 1, (112, 128, 128), (96, 96, 96), 2),
}


def measure(given: argparse.Namespace) -> None:
    """Run one contender in this process and print the seconds of its counted steps, and memory, as JSON."""
    workload, device = resized(WORKLOADS[given.measure[0]], given.part), torch.device(given.device)
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    network = partial(
        build,
        {"name": "unet", "channels": given.channels},
        spatial_dims=len(workload.patch),
        in_channels=workload.image_channels,
        num_classes=2,
    )
    slices = len(workload.patch) == 2
    work = Work(workload.patch, workload.batch_size, network, device, given.workers, slices)
    raw = given.root / "raw" / NNUNET_FOLDER
    total = given.warmup + given.steps
    with tempfile.TemporaryDirectory(dir=given.root) as place:
        folder = Path(place)
        times = Times(total, device)
        if given.measure[1] == "contrastseg":
            prepare(workload.cases, raw, folder)
            train(workload, given.channels, folder, folder / "run", times)
        else:
            steps: Iterator[None] = LOOPS[given.measure[1]](work, read(workload, raw), given.root)
            for _ in range(total):
                next(steps)
                times.take()
    # The mean over all counted steps, since on a GPU those between may only have been queued.
    first, last = times[-1 - given.steps], times[-1]
    step_s, cpu_s = ((after - before) / given.steps for before, after in zip(first, last, strict=True))
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory()
    print(json.dumps({"step_s": step_s, "cpu_s": cpu_s, "peak": peak}), flush=True)
    # Worker processes of an endless loader would be waited for, and those left behind keep the other end of the pipe.
    for worker in psutil.Process().children(recursive=True):
        worker.kill()
    os._exit(0)


def compare(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per piece of work and contender."""
    device = machine(given.device)["device"]
    for name in given.work:
        workload = resized(WORKLOADS[name], given.part)
        taken: dict[str, list[dict[str, float]]] = {contender: [] for contender in given.contenders}
        for _, contender in itertools.product(range(given.rounds), given.contenders):
            with tempfile.TemporaryDirectory() as root:
                generate(workload, Path(root) / "raw" / NNUNET_FOLDER)
                taken[contender].append(_start(given, name, contender, root))
        step, cpu = (
            {contender: min(one[clock] for one in each) for contender, each in taken.items()}
            for clock in ("step_s", "cpu_s")
        )
        for contender, each in taken.items():
            limit = step.get("bare", math.nan)
            whole = given.device == "cpu"
            yield {
                "work": name,
                "contender": contender,
                "samples_per_s": round(workload.batch_size / step[contender], 2),
                "step_ms": round(step[contender] * 1000, 1),
                "times_bare": round(step[contender] / limit, 3),
                "share_outside": round(1 - limit / step[contender], 3),
                "cpu_ms": round(cpu[contender] * 1000, 1) if whole else "",
                "cpu_share_outside": round(1 - cpu.get("bare", math.nan) / cpu[contender], 3) if whole else "",
                "peak_mib": round(max(one["peak"] for one in each) / 2**20),
                "batch_size": workload.batch_size,
                "patch": "x".join(map(str, workload.patch)),
                "channels": "-".join(map(str, given.channels)),
                "rounds": given.rounds,
                "steps": given.steps,
                "threads": given.threads,
                "workers": 0 if contender in ("contrastseg", "bare") else given.workers,
                "device": device,
                "torch": torch.__version__,
                "hardware": described(),
                "note": given.note,
            }


def _start(given: argparse.Namespace, work: str, contender: str, root: str) -> dict[str, float]:
    folders = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
    workers = {"nnUNet_n_proc_DA": str(given.workers), "nnUNet_compile": "f"}
    environment = {**os.environ, **workers, **{key: f"{root}/{folder}" for key, folder in folders.items()}}
    command = [sys.executable, __file__, "--measure", work, contender, "--root", root, "--device", given.device]
    for name in ("part", "steps", "warmup", "threads", "workers"):
        command += [f"--{name}", str(getattr(given, name))]
    command += ["--channels", *map(str, given.channels)]
    told = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    answer: dict[str, float] = json.loads(told.splitlines()[-1])
    return answer


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="*", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="counted steps")
    parser.add_argument("--warmup", type=int, default=4, help="steps before them, at least one")
    parser.add_argument("--channels", type=int, nargs="*", default=[16, 32, 64, 128, 256])
    parser.add_argument("--part", type=float, default=1, help="share of the images' and patches' size")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        return measure(given)
    shown = ("work", "contender", "samples_per_s", "step_ms", "share_outside", "cpu_share_outside", "peak_mib")
    show_and_write(results_path(given.output, "training", given.device), COLUMNS, shown, compare(given), 18)


if __name__ == "__main__":
    main()
