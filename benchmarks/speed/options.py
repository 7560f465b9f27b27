"""What bf16, channels-last and torch.compile do to a step: `OMP_NUM_THREADS=1 python benchmarks/speed/options.py`.

Forward, loss, backward and optimiser of the default U-Net on one random batch, the options in turn in one process.
`ratio` is an option's median step over that of float32, contiguous and not compiled; `first_s` is what the first step
takes, compilation included; `loss_after` is the loss after all steps, which no option may move but by rounding. The
defaults of `memory_format` and `compile` go by these numbers. On a CPU the seconds are those of the
process's one thread.

Example: `OMP_NUM_THREADS=1 python benchmarks/speed/options.py --steps 5`
"""

from __future__ import annotations

import argparse
import itertools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from _results import RESULTS, clock, described, results_path, write

from contrastseg.losses.segmentation import dice_ce_loss
from contrastseg.networks.registry import build
from contrastseg.training.optimisations import MemoryFormat, compile_networks, keep_small_in_float32, lay_out

COLUMNS = (
    *("work", "precision", "memory_format", "compile", "step_ms", "ratio", "first_s", "loss_after"),
    *("steps", "device", "torch", "hardware", "note"),
)
# Image channels, patch and batch: slices of a heart, photographs, volumes; small batches, for the ratio is the same.
WORKS: dict[str, tuple[int, tuple[int, ...], int]] = {
    "acdc_2d": (1, (192, 192), 2),
    "rgb_2d": (3, (256, 256), 2),
    "3d": (1, (64, 64, 64), 1),
}
PRECISIONS = ("32-true", "bf16-mixed")
LAYOUTS: tuple[MemoryFormat, ...] = ("contiguous", "channels_last")
COMPILED: tuple[Literal["off", "default"], ...] = ("off", "default")


def stepper(
    work: tuple[int, tuple[int, ...], int],
    precision: str,
    layout: MemoryFormat,
    compiled: Literal["off", "default"],
    device: str,
    part: int,
) -> Callable[[], float]:
    """One step of training; returns the loss before it."""
    channels, patch, batch = work
    patch = tuple(max(32, size // part) for size in patch)
    torch.manual_seed(0)
    torch.compiler.reset()
    network = build({"name": "unet"}, spatial_dims=len(patch), in_channels=channels, num_classes=4).to(device)
    lay_out(network, len(patch), layout)
    if device == "cpu" and precision != "32-true":
        keep_small_in_float32(network)
    compile_networks(torch.nn.ModuleDict({"network": network}), compiled)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    images = torch.randn(batch, channels, *patch, device=device)
    label = torch.randint(0, 4, (batch, *patch), device=device)

    def step() -> float:
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16-mixed"):
            logits = network(images)
        loss = dice_ce_loss(logits, label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per work and combination of options."""
    compiler = given.device != "cpu" or shutil.which("g++") is not None
    now, rows = clock(given.device), []
    for name in given.work:
        plain = math.nan
        for compiled, precision, layout in itertools.product(COMPILED, PRECISIONS, LAYOUTS):
            if compiled != "off" and (not compiler or given.eager):
                continue
            step = stepper(WORKS[name], precision, layout, compiled, given.device, given.part)
            started = now()
            loss = step()
            first, taken = now() - started, []
            for _ in range(given.steps):
                started = now()
                loss = step()
                taken.append(now() - started)
            taken_ms = 1000 * median(taken)
            plain = taken_ms if math.isnan(plain) else plain
            row = {"work": name, "precision": precision, "memory_format": layout, "compile": compiled}
            row |= {"step_ms": f"{taken_ms:.1f}", "ratio": f"{taken_ms / plain:.3f}", "first_s": f"{first:.1f}"}
            print("".join(f"{value:>16}" for value in row.values()), flush=True)
            more = {"loss_after": f"{loss:.4f}", "steps": given.steps, "device": given.device, "note": given.note}
            rows.append({**row, **more, "torch": torch.__version__, "hardware": described()})
    return rows


def main() -> None:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="*", default=list(WORKS), choices=WORKS)
    parser.add_argument("--steps", type=int, default=5, help="counted steps")
    parser.add_argument("--part", type=int, default=1, help="divides the patches' sides, for a quick look")
    parser.add_argument("--eager", action="store_true", help="without torch.compile, which takes seconds to start")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--note", default="")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    given = parser.parse_args()
    torch.set_num_threads(1)
    write(results_path(given.output, "options", given.device), COLUMNS, measure(given))


if __name__ == "__main__":
    main()
