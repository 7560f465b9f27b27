"""Whether data of ten times the memory allowed for it arrives in time: `python benchmarks/speed/streaming.py`.

`supervised` trains on a generated set with the data held in memory, with the data mapped from disk after everything of
it was dropped from the system's cache of files (`cold`), and mapped with whatever the round before has left there
(`warm`). Contenders take turns, each in a fresh process; medians over the rounds count. `times_held` is a step beside
that with the data in memory, by the clock, since waiting for a disk takes no processor time. `disk_mib` is what the
counted steps really read from the disk, as the system counts it, `own_mib` the memory of the process itself, in which
pages of mapped files, that the system may take back at any time, do not count. On Linux, which tells both.

Example: `OMP_NUM_THREADS=1 python benchmarks/speed/streaming.py --cache-gb 0.02 --steps 5`
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _results import RESULTS, described, machine, results_path, show_and_write
from _training_loops import NNUNET_FOLDER
from _training_work import Times, Workload, generate, prepare, train

CONTENDERS = ("held", "cold", "warm")
COLUMNS = (
    *("work", "contender", "step_ms", "times_held", "disk_mib", "own_mib", "set_gb", "cache_gb", "residency"),
    *("batch_size", "patch", "channels", "rounds", "steps", "threads", "device", "torch", "hardware", "note"),
)
# The number of cases follows from the size that is asked for.
WORKLOADS = {
    "slices": Workload(0, 1, (24, 256, 256), (192, 192), 8),
    "volumes": Workload(0, 1, (128, 160, 160), (64, 64, 64), 2),
}


class Watched(Times):
    """Times of steps, and after the warm-up and the last what was read from disk and is held in memory."""

    def __init__(self, steps: int, warmup: int, device: torch.device) -> None:
        super().__init__(steps, device)
        self.warmup = warmup
        self.read = [0, 0]
        self.held = 0

    def take(self) -> None:
        """A step is done."""
        super().take()
        if len(self) == self.warmup:
            self.read[0] = _told("io", "read_bytes")
        if len(self) == self.steps:
            self.read[1] = _told("io", "read_bytes")
            self.held = _told("status", "RssAnon") * 1024


def _told(file: str, name: str) -> int:
    lines = (line.split(":") for line in Path(f"/proc/self/{file}").read_text().splitlines())
    return next(int(value.split()[0]) for key, value in lines if key == name)


def forget(folder: Path) -> None:
    """Drop a folder's files from the system's cache, which it does with what nobody has mapped."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def sized(workload: Workload, gigabytes: float) -> Workload:
    """As many cases as fill so much: two bytes a voxel of the image, one of the label."""
    return replace(workload, cases=math.ceil(gigabytes * 1e9 / (3 * math.prod(workload.shape))) + 1)


def measure(given: argparse.Namespace) -> None:
    """Run one contender in this process and print what was seen as JSON."""
    name, contender = given.measure
    torch.set_num_threads(given.threads)
    times = Watched(given.warmup + given.steps, given.warmup, torch.device(given.device))
    allowed: dict[str, Any] = {"cache_gb": given.cache_gb}  # too little for the set, so that it is mapped
    if contender == "held" or given.device != "cpu":
        allowed = {"residency": "host" if contender == "held" else "mapped"}
    with tempfile.TemporaryDirectory(dir=given.root) as output:
        record = train(WORKLOADS[name], given.channels, given.root / name, Path(output), times, **allowed)
    taken = (times[-1][0] - times[given.warmup - 1][0]) / given.steps
    seen = {"step_s": taken, "disk": times.read[1] - times.read[0], "held": times.held}
    print(json.dumps({**seen, "residency": record["residency"]}))


def compare(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per piece of work and contender."""
    for name in given.work:
        with tempfile.TemporaryDirectory(dir=given.scratch) as root:
            workload = sized(WORKLOADS[name], given.times * given.cache_gb)
            raw = Path(root) / "raw" / NNUNET_FOLDER
            generate(workload, raw, ".nii")
            prepare(workload.cases, raw, Path(root) / name)
            layers = (Path(root) / name / "prepared").rglob("*.npy")
            set_gb = sum(file.stat().st_size for file in layers) / 1e9
            taken: dict[str, list[dict[str, Any]]] = {contender: [] for contender in CONTENDERS}
            for _, contender in itertools.product(range(given.rounds), CONTENDERS):
                if contender == "cold":
                    forget(Path(root) / name)
                taken[contender].append(_start(given, name, contender, root))
        step, held = (
            {contender: statistics.median(one[what] for one in each) for contender, each in taken.items()}
            for what in ("step_s", "held")
        )
        for contender, each in taken.items():
            yield {
                "work": name,
                "contender": contender,
                "step_ms": round(1000 * step[contender], 1),
                "times_held": round(step[contender] / step["held"], 3),
                "disk_mib": round(statistics.median(one["disk"] for one in each) / 2**20, 1),
                "own_mib": round(held[contender] / 2**20),
                "set_gb": round(set_gb, 3),
                "cache_gb": given.cache_gb,
                "residency": each[0]["residency"],
                "batch_size": workload.batch_size,
                "patch": "x".join(map(str, workload.patch)),
                "channels": "-".join(map(str, given.channels)),
                "rounds": given.rounds,
                "steps": given.steps,
                "threads": given.threads,
                "device": machine(given.device)["device"],
                "torch": torch.__version__,
                "hardware": described(),
                "note": given.note,
            }


def _start(given: argparse.Namespace, work: str, contender: str, root: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--measure", work, contender, "--root", root, "--device", given.device]
    for name in ("steps", "warmup", "threads", "cache_gb"):
        command += [f"--{name.replace('_', '-')}", str(getattr(given, name))]
    command += ["--channels", *map(str, given.channels)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    answer: dict[str, Any] = json.loads(told.splitlines()[-1])
    return answer


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="*", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--cache-gb", type=float, default=0.1, help="memory allowed for data, in 10^9 bytes")
    parser.add_argument("--times", type=float, default=10, help="size of the set as a multiple of it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20, help="counted steps")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them, at least one")
    parser.add_argument("--channels", type=int, nargs="*", default=[8, 16, 32, 64])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--scratch", type=Path, help="folder on the disk to read from; the system's for temporary files"
    )
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        return measure(given)
    shown = ("work", "contender", "step_ms", "times_held", "disk_mib", "own_mib", "set_gb", "residency")
    show_and_write(results_path(given.output, "streaming", given.device), COLUMNS, shown, compare(given), 12)


if __name__ == "__main__":
    main()
