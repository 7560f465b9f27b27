"""What several runs at once on one device are worth: `python benchmarks/speed/sharing.py`.

So many runs of `supervised` train at once with the step of `benchmarks/acdc.yaml` on generated slices, each in a
process of its own, as with `CONTRASTSEG_RUNS_PER_GPU`. `samples_per_s` counts those of all runs while all of them
trained; `times_alone` is that beside one run on the whole device. `time_of_all` is what all runs side by side take, as
a multiple of one run alone. Without a GPU the runs share the processor: `--threads` is what all have together, so that
this compares one run of many threads with many runs of few.

Example: `python benchmarks/speed/sharing.py --runs 1 2 --steps 10 --device cpu`
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from _results import RESULTS, described, machine, results_path, show_and_write
from _training_loops import NNUNET_FOLDER
from _training_work import ACDC_STEP, Times, generate, prepare, resized, train

from contrastseg.training.devices import SLOTS

COLUMNS = (
    *("runs", "samples_per_s", "times_alone", "time_of_all", "step_ms", "peak_mib_each", "threads_each"),
    *("batch_size", "patch", "channels", "steps", "device", "torch", "hardware", "note"),
)


def measure(given: argparse.Namespace) -> None:
    """Be one of the runs: train, and print when each step was done and the highest memory of the device, as JSON."""
    torch.set_num_threads(given.threads)
    times = Times(given.warmup + given.steps, torch.device(given.device))
    with tempfile.TemporaryDirectory(dir=given.root) as output:
        record = train(resized(ACDC_STEP, given.part), given.channels, given.root, Path(output), times)
    print(json.dumps({"moments": [moment for moment, _ in times], "peak": record["peak_memory_bytes"]}))


def together(moments: list[list[float]], warmup: int) -> tuple[float, float]:
    """Steps per second of all runs while all of them trained, and the mean seconds of a step there.

    Args:
        moments: When each step of each run was done, on one clock.
        warmup: Steps of each run that do not count.
    """
    first = max(run[warmup - 1] for run in moments)
    last = min(run[-1] for run in moments)
    inside = [[moment for moment in run if first <= moment <= last] for run in moments]
    if last <= first or min(map(len, inside)) < 2:
        raise SystemExit("the runs did not train at the same time: take more steps")
    # Between the first and last step of each run in that time, since steps do not end when the time begins.
    rates = [(len(run) - 1) / (run[-1] - run[0]) for run in inside]
    return sum(rates), sum(1 / rate for rate in rates) / len(rates)


def compare(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per number of runs."""
    workload = resized(ACDC_STEP, given.part)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        generate(workload, root / "raw" / NNUNET_FOLDER)
        prepare(workload.cases, root / "raw" / NNUNET_FOLDER, root)
        alone = 0.0
        for runs in given.runs:
            threads = max(1, given.threads // runs)
            told = _start(given, runs, threads, root)
            rate, step = together([one["moments"] for one in told], given.warmup)
            samples = rate * workload.batch_size
            alone = alone or samples
            yield {
                "runs": runs,
                "samples_per_s": round(samples, 2),
                "times_alone": round(samples / alone, 3),
                "time_of_all": round(runs * alone / samples, 3),
                "step_ms": round(1000 * step, 1),
                "peak_mib_each": round(max(one["peak"] for one in told) / 2**20),
                "threads_each": threads,
                "batch_size": workload.batch_size,
                "patch": "x".join(map(str, workload.patch)),
                "channels": "-".join(map(str, given.channels)),
                "steps": given.steps,
                "device": machine(given.device)["device"],
                "torch": torch.__version__,
                "hardware": described(),
                "note": given.note,
            }


def _start(given: argparse.Namespace, runs: int, threads: int, root: Path) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, "--measure", "--root", str(root), "--device", given.device]
    command += ["--steps", str(given.steps), "--warmup", str(given.warmup), "--threads", str(threads)]
    command += ["--part", str(given.part), "--channels", *map(str, given.channels)]
    environment = {**os.environ, SLOTS: str(runs), "OMP_NUM_THREADS": str(threads)}
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
        for _ in range(runs)
    ]
    told = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise SystemExit(f"{sum(child.returncode != 0 for child in children)} of {runs} runs failed")
    return [json.loads(lines.splitlines()[-1]) for lines in told]


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", type=int, nargs="*", default=[1, 2, 3, 4], help="runs at once, the first to compare with"
    )
    parser.add_argument("--steps", type=int, default=100, help="counted steps of each")
    parser.add_argument("--warmup", type=int, default=5, help="steps before them, at least one")
    parser.add_argument("--channels", type=int, nargs="*", default=[16, 32, 64, 128, 256])
    parser.add_argument("--part", type=float, default=1, help="share of the images' and patches' size")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of all runs together")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        return measure(given)
    shown = ("runs", "samples_per_s", "times_alone", "time_of_all", "step_ms", "peak_mib_each", "threads_each")
    show_and_write(results_path(given.output, "sharing", given.device), COLUMNS, shown, compare(given), 15)


if __name__ == "__main__":
    main()
