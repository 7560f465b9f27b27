"""Where results go, and how: one CSV per benchmark and machine, the hardware in its name."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from contrastseg.files import atomic_path
from contrastseg.training.records import hardware

FOLDER = Path(__file__).resolve().parent / "results"


def file_name(benchmark: str, device: str = "cpu") -> str:
    """`training-cpu-amd-epyc-2cores.csv`, `training-gpu-nvidia-h200.csv`."""
    machine = hardware(torch.device(device))
    if torch.device(device).type == "cuda":
        return f"{benchmark}-gpu-{_plain(machine['device'])}.csv"
    return f"{benchmark}-cpu-{_plain(machine['cpu'])}-{machine['cpu_count']}cores.csv"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-")


def write(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the rows, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
