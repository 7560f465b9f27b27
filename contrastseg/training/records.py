"""What a run leaves behind beside its weights: where it ran, with what, and how long it took."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import torch

import contrastseg
from contrastseg.files import read_json
from contrastseg.paths import CHECKOUT, INSTALLED

_PACKAGES = ("torch", "lightning-fabric", "numpy", "scipy", "nibabel", "scikit-image")


def versions(more: Iterable[str] = ()) -> dict[str, str]:
    """List the versions of what the result depends on: the packages of every run, and `more`."""
    versions_by_package = {"contrastseg": contrastseg.__version__, "python": platform.python_version()}
    for package in (*_PACKAGES, *more):
        try:
            versions_by_package[package] = version(package)
        except PackageNotFoundError:
            versions_by_package[package] = "absent"
    return versions_by_package


def git_commit() -> str:
    """Get the commit of the source tree, `-dirty` when it has changes; empty outside a repository."""
    if INSTALLED:  # perhaps below a repository, but that of another project
        return ""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip() if described.returncode == 0 else ""


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def hardware(device: torch.device) -> dict[str, Any]:
    """Describe the machine and the device of the run.

    `cpu_capability` is the set of vector instructions that torch's own kernels use, such as AVX2 or AVX512: sums are
    rounded otherwise under another, and a training ends with other weights. `ONEDNN_MAX_CPU_ISA` holds the
    convolutions to such a set; it is recorded where it is set.
    """
    machine: dict[str, Any] = {
        "device": "cpu",
        "cpu": _processor(),
        "cpu_count": os.cpu_count(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    if held := os.environ.get("ONEDNN_MAX_CPU_ISA"):
        machine["onednn_max_cpu_isa"] = held
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine |= {
            "device": properties.name,
            "device_memory_bytes": properties.total_memory,
            "cuda": torch.version.cuda,
        }
    return machine


def cpu_seconds() -> float:
    """Get the processors' seconds of this process and of those that it has ended, of all threads."""
    own, ended = (resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def stages_seconds(
    key: Literal["wall_s", "cpu_s"], initial: Mapping[str, str], stage: str, own: float
) -> dict[str, float]:
    """List the seconds of this stage and all before it, by their names, from the `run.json` beside their checkpoints.

    Args:
        key: Which seconds.
        initial: Checkpoint of every stage that this one starts from.
        stage: This stage.
        own: Its own seconds.

    Returns:
        A stage whose checkpoint has no `run.json`, or none with these seconds, is not among them.
    """
    seconds: dict[str, float] = {}
    for path in initial.values():
        record_file = Path(path).parent.parent / "run.json"
        if record_file.is_file():
            record = read_json(record_file)
            alone = {} if record.get(key) is None else {record["stage"]: record[key]}
            seconds |= record.get(f"stages_{key}") or alone
    return {**seconds, stage: own}


def peak_memory_bytes(device: torch.device) -> int:
    """Get the most memory held at once: allocated on the GPU, or resident in the process on the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
