"""What the benchmarks share: the machine, the clock, memory, and one CSV per benchmark and machine."""

from __future__ import annotations

import csv
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastseg.files import atomic_path

RESULTS = Path(__file__).resolve().parent / "results"


def machine(device: str = "cpu") -> dict[str, Any]:
    """What `run.json` says of the hardware."""
    import torch

    from contrastseg.training.records import hardware

    return hardware(torch.device(device))


def described() -> str:
    """Processor, cores, instruction set and system, for a column."""
    found = machine()
    return f"{found['cpu']}, {found['cpu_count']} cores, {found['cpu_capability']}, {found['system']}"


def results_path(folder: Path, benchmark: str, device: str = "cpu") -> Path:
    """`training-cpu-amd-epyc-2cores.csv`, `training-cuda-nvidia-h200.csv`."""
    found = machine(device)
    name = found["device"] if device != "cpu" else f"{found['cpu']} {found['cpu_count']}cores"
    return folder / f"{benchmark}-{device}-{re.sub(r'[^a-z0-9.]+', '-', str(name).lower()).strip('-')}.csv"


def write(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows, whole or not at all; what a row does not say is left empty."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary, open(temporary, "w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, columns, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)


def clock(device: str = "cpu") -> Callable[[], float]:
    """Seconds of this process, which other load does not stretch: on a CPU those of its one thread."""
    return time.process_time if device == "cpu" else time.perf_counter


def family_clock() -> Callable[[], float]:
    """Processor seconds of this process and of those that it has started and that still live."""
    import psutil

    here = psutil.Process()

    def seconds() -> float:
        spent = 0.0
        for child in here.children(recursive=True):
            try:
                used = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += used.user + used.system
        return time.process_time() + spent

    return seconds


def peak_memory() -> int:
    """Highest resident size of this process so far, in bytes.

    Linux hands the parent's highest size down in `getrusage`, through exec too; its VmHWM starts anew.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def show_and_write(
    file: Path, columns: Sequence[str], shown: Sequence[str], rows: Iterable[Mapping[str, Any]], width: int
) -> None:
    """Print some columns of each row as it is measured, then write all of them."""
    print("".join(f"{name:>{width}}" for name in shown))
    measured = []
    for row in rows:
        print("".join(f"{row[name]!s:>{width}}" for name in shown), flush=True)
        measured.append(row)
    write(file, columns, measured)
