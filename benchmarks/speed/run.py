"""Runs every benchmark of this folder and says which targets are reached: `make speed`.

Sizes are those that the targets are about; rounds, methods and contenders are as few as a verdict needs, so that all of
it takes about a quarter of an hour. For numbers to publish, run the scripts with their own settings. A script that
fails, as where contenders do not agree, is a failure of the whole, but the others still run. `--device cuda` runs those
that a GPU makes a difference to; without it no script sees one.

Example: `OMP_NUM_THREADS=1 python benchmarks/speed/run.py --only inference start --output results/speed`
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from targets import report

HERE = Path(__file__).resolve().parent
# Every benchmark there is, and how it is run here; a test holds the list against the folder.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "losses": ("--rounds", "5", "--patience", "5"),
    "methods": ("--methods", "supervised", "pdcr", "--rounds", "3", "--steps", "10"),
    "metrics": ("--rounds", "2"),
    "comparisons": (),
    "preparation": ("--cases", "3", "--rounds", "1"),
    "inference": ("--rounds", "3"),
    "cases": ("--rounds", "3"),
    "batches": ("--rounds", "2"),
    "training": ("--work", "acdc_2d", "--contenders", "contrastseg", "bare", "--rounds", "3", "--steps", "10"),
    "streaming": ("--cache-gb", "0.05", "--steps", "10"),
    "start": ("--rounds", "3", "--planning-rounds", "1"),
}
ON_GPU: dict[str, tuple[str, ...]] = {
    "losses": (*SCRIPTS["losses"], "--device", "cuda"),
    "methods": SCRIPTS["methods"],
    "inference": (*SCRIPTS["inference"], "--device", "cuda"),
    "training": ("--contenders", "contrastseg", "bare", "dataloader", "--steps", "50", "--device", "cuda"),
    "streaming": ("--device", "cuda"),
    "sharing": ("--device", "cuda"),
}


def run(name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run one benchmark; false when it fails."""
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    print(f"= {name}\n", flush=True)
    started = time.perf_counter()
    found = subprocess.run(command, env=environment, check=False).returncode
    print(f"\n{name}: {'done' if found == 0 else 'FAILED'} after {time.perf_counter() - started:.0f} s\n", flush=True)
    return found == 0


def main() -> None:
    """Run, then judge what lies in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--only", nargs="*", default=list(SCRIPTS), choices=SCRIPTS)
    parser.add_argument("--output", type=Path, default=Path("results/speed"), help="folder of the CSV files")
    given = parser.parse_args()
    scripts = SCRIPTS if given.device == "cpu" else ON_GPU
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} | ({"CUDA_VISIBLE_DEVICES": ""} if scripts is SCRIPTS else {})
    failed = []
    for name in (name for name in given.only if name in scripts):
        # What an earlier run has left must not stand for a script that fails now.
        for stale in given.output.glob(f"{name}-{given.device}-*.csv"):
            stale.unlink()
        if not run(name, (*scripts[name], "--output", str(given.output)), environment):
            failed.append(name)
    reached = report(given.output)
    if failed:
        print(f"failed: {', '.join(failed)}")
    sys.exit(bool(failed) or not reached)


if __name__ == "__main__":
    main()
