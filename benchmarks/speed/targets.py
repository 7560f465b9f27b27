"""What the benchmarks of this folder have to reach, and whether the CSV files of a folder reach it.

Each row that a target selects is a line with its value, bound, and `pass` or `FAIL`; one FAIL makes the exit code 1.
A target about another device, or beside a program that was not installed where the file was made, is not judged, and
its line says so. A target whose file is missing is `not measured`. A target that finds no row and a row without the
value fail. The rows of `runs` are whole runs, which `make gpu` makes.

Seconds are those of the CPU on a CPU, and what is bounded is mostly a ratio of two contenders that took turns: a busy
machine or a slower one changes both. `make speed` measures everything anew and ends with this table.

Example: `python benchmarks/speed/targets.py --results benchmarks/speed/results --markdown`
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from _judging import JUDGED, Line, Target, judge, machines, table

RESULTS = Path(__file__).resolve().parent / "results"
OURS = {"contender": "contrastseg"}
MONAI, MEDPY, NNUNET = ({"contender": name} for name in ("monai", "medpy", "nnunetv2"))
PAIR, CLASSES = {"case": "CT-like"}, {"case": "CT-like, 13 classes"}
BATCH: dict[str, Any] = {"each": ("work",), "device": "cpu"}
OUTSIDE = "share of a step that is not forward, loss, backward, optimiser"

TARGETS = (
    Target(OUTSIDE, "training", "cpu_share_outside", OURS, at_most=0.05, each=("work",), device="cpu"),
    Target(OUTSIDE, "training", "share_outside", OURS, at_most=0.10, each=("work",), device="cuda"),
    Target(
        name="samples/s as a multiple of a loop in SSL4MIS's manner",
        file="training",
        column="samples_per_s",
        rows=OURS,
        over={"contender": "dataloader"},
        at_least=3,
        each=("work",),
        device="cuda",
    ),
    Target(
        name="30,000 steps of supervised as in acdc.yaml, minutes",
        file="runs",
        column="minutes_per_30000_steps",
        rows={"method": "supervised"},
        at_most=5,
        each=("pack",),
        device="cuda-nvidia-h200",
    ),
    Target(
        name="three seeds side by side as a multiple of one alone",
        file="sharing",
        column="time_of_all",
        rows={"runs": "3"},
        at_most=1.5,
        device="cuda",
    ),
    Target(
        name="step with data of ten times the allowed memory as a multiple of one with all of it in memory",
        file="streaming",
        column="times_held",
        rows={"contender": "cold"},
        at_most=1.1,
        each=("work",),
    ),
    Target(
        name="step of pdcr as a multiple of supervised's",
        file="methods",
        column="seconds_per_step",
        rows={"method": "pdcr", "stage": "train"},
        over={"method": "supervised"},
        at_most=1.15,
        each=("spatial_dims",),
    ),
    Target("time as a multiple of the best plain form", "losses", "ratio", at_most=1.2, each=("loss", "size")),
    Target(
        name="time as a multiple of MONAI's",
        file="losses",
        column="ours_ms",
        by="monai_ms",
        at_most=1.2,
        each=("loss", "size"),
        beside="monai",
    ),
    Target(
        name="MONAI's time for Dice and HD95 of a pair as a multiple of ours",
        file="metrics",
        column="times_ours",
        rows=PAIR | MONAI,
        at_least=1.5,
        each=("case",),
        beside="monai",
        device="cpu",
    ),
    Target(
        name="medpy's time for Dice and HD95 of a pair as a multiple of ours",
        file="metrics",
        column="times_ours",
        rows=PAIR | MEDPY,
        at_least=30,
        each=("case",),
        beside="medpy",
        device="cpu",
    ),
    Target(
        name="MONAI's time for Dice and HD95 as a multiple of ours for all metrics",
        file="metrics",
        column="times_ours",
        rows=CLASSES | MONAI,
        at_least=5,
        each=("case",),
        beside="monai",
        device="cpu",
    ),
    Target(
        name="peak memory of scoring, MiB",
        file="metrics",
        column="peak_mib",
        rows={"case": "memory, 13 classes"},
        at_most=2048,
        each=("shape",),
        device="cpu",
    ),
    Target(
        name="statistics of a whole grid, CPU seconds",
        file="comparisons",
        column="cpu_seconds",
        total=True,
        at_most=60,
        device="cpu",
    ),
    Target(
        name="cases/s as a multiple of nnU-Net's",
        file="preparation",
        column="cases_per_s",
        rows=OURS,
        over=NNUNET,
        at_least=1,
        each=("rule",),
        beside="nnunetv2",
        device="cpu",
    ),
    Target(
        name="peak memory as a multiple of nnU-Net's",
        file="preparation",
        column="peak_mib",
        rows=OURS,
        over=NNUNET,
        at_most=1,
        each=("rule",),
        beside="nnunetv2",
        device="cpu",
    ),
    *(
        Target(
            name=f"time of a window as a multiple of {whose}",
            file="inference",
            column="ours_per_window",
            rows=contender,
            at_most=1.1,
            each=("work",),
            beside=contender["contender"],
        )
        for whose, contender in (("MONAI's", MONAI), ("nnU-Net's", NNUNET))
    ),
    Target(
        name="time of a case as a multiple of that in full batches",
        file="cases",
        column="ours_per_case",
        rows={"contender": "full batches"},
        at_most=1.05,
        each=("work",),
        device="cpu",
    ),
    Target(
        name="time of a case as a multiple of that case by case",
        file="cases",
        column="ours_per_case",
        rows={"contender": "case by case"},
        at_most=1.15,
        each=("work",),
        device="cpu",
    ),
    *(
        Target(f"{what} of a batch on a GPU that pretends", "batches", column, OURS, at_most=most, **BATCH)
        for what, column, most in (("launches", "launches", 40), ("copies", "sent", 1), ("waits", "waits", 0))
    ),
    Target(
        name="host time of a batch as a multiple of that at 97318cb",
        file="batches",
        column="host_ms",
        rows={"work": "24_slices"} | OURS,
        over={"contender": "97318cb"},
        at_most=0.2,
        each=("work",),
        beside="97318cb",
        device="cpu",
    ),
    Target(
        name="start of a job to its first step as a multiple of importing torch",
        file="start",
        column="cpu_s",
        rows={"what": "first step"} | OURS,
        over={"contender": "import torch"},
        at_most=2,
        each=("what",),
        device="cpu",
    ),
    Target(
        name="planning as a multiple of a trivial workflow's",
        file="start",
        column="times_trivial",
        rows={"what": "planning"} | OURS,
        at_most=1.8,
        each=("jobs",),
        device="cpu",
    ),
)


def report(folder: Path, markdown: bool = False) -> bool:
    """Print the table of every machine with results in a folder; true when nothing fails.

    Raises:
        SystemExit: There are no results.
    """
    found = machines(folder)
    if not found:
        raise SystemExit(f"{folder} has no results: python benchmarks/speed/run.py --output {folder}")
    lines: list[Line] = []
    for machine, files in found.items():
        here = judge(TARGETS, machine, files)
        print(f"{'###' if markdown else '='} {machine}\n\n{table(here, markdown)}\n")
        lines += here
    failed = [line for line in lines if line.verdict == "FAIL"]
    if not markdown:
        judged = [line for line in lines if line.verdict in JUDGED]
        print(f"{len(judged) - len(failed)} of {len(judged)} lines pass")
    return not failed


def main() -> None:
    """Judge, print, and say it by the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the CSV files")
    parser.add_argument("--markdown", action="store_true", help="for a page")
    given = parser.parse_args()
    sys.exit(not report(given.results, given.markdown))


if __name__ == "__main__":
    main()
