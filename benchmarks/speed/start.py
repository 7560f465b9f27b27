"""What passes before the work begins: a training job up to its first step, and the planning of the full benchmark.

`first step` is a fresh process of `contrastseg train` on a small prepared phantom that is told to make one step: it
imports, reads, builds, steps, and saves, so it is a little more than its name says. `import torch` is what no training
process can do without. `planning` is a dry run of Snakemake: the default suite's methods, label ratios and seeds over
phantoms in place of its data sets, beside a workflow of as many jobs that does nothing (train, predict and score of a
run, then one table). CPU seconds of the process and of what it started; medians of fresh processes in turn, after one
that finds its compiled modules and the fingerprints of the code missing, and keeps them.

Example: `OMP_NUM_THREADS=1 python benchmarks/speed/start.py --rounds 5`
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from _results import RESULTS, described, results_path, write

import contrastseg
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.splits.splits import split_dataset

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    *("what", "contender", "version", "jobs", "rounds", "cpu_s", "seconds", "times_trivial", "hardware", "note"),
)
TRAINING = {
    "network": {"name": "unet", "channels": [8, 16, 32], "convolutions": 1},
    "steps": 1,
    "batch_size": 4,
    "patch_size": [48, 64],
    "accelerator": "cpu",
}
TRIVIAL = """
RUNS = range({runs})

rule all:
    input: "table"

rule train:
    output: "train/{{run}}"
    shell: "touch {{output}}"

rule predict:
    input: "train/{{run}}"
    output: "predict/{{run}}"
    shell: "touch {{output}}"

rule score:
    input: "predict/{{run}}"
    output: "score/{{run}}"
    shell: "touch {{output}}"

rule table:
    input: expand("score/{{run}}", run=RUNS)
    output: "table"
    shell: "touch {{output}}"
"""


def process(command: Sequence[str], folder: Path) -> tuple[float, float, str]:
    """CPU seconds of a fresh process and all it waited for, seconds, and what it said.

    Raises:
        SystemExit: It failed.
    """
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    # Compiled modules are kept, as they are for everybody who does not ask for the contrary: torch's are, too.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    said = folder / "said"
    started = time.perf_counter()
    with open(said, "w") as file:
        child = subprocess.Popen(command, cwd=folder, env=variables, stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
    lasted = time.perf_counter() - started
    text = said.read_text()
    if status:
        raise SystemExit(f"{' '.join(command[:6])} … failed:\n{text[-2000:]}")
    return used.ru_utime + used.ru_stime, lasted, text


def first_step(folder: Path) -> dict[str, list[str]]:
    """The commands, over data prepared here."""
    resources = folder / "resources"
    prepare_dataset("small", "phantom_lesions", {"cases": 12}, {"size": [48, 64]}, None, resources / "prepared/small")
    fractions = {"train": 0.75, "val": 0.0, "test": 0.25}
    split_dataset("small", resources / "prepared/small", {"fractions": fractions}, resources / "splits/small.json")
    train = ["train", "--entry", "small", "--method", "supervised", "--labels", "r1", "--resources", str(resources)]
    return {
        "contrastseg": [sys.executable, "-m", "contrastseg", *train, "--config", json.dumps({"training": TRAINING})],
        "import torch": [sys.executable, "-c", "import torch"],
    }


def suite() -> dict[str, Any]:
    """The default suite over phantoms: as many entries of each dimension, everything that names its data taken out."""
    found = yaml.safe_load((ROOT / "benchmarks" / "full.yaml").read_text(encoding="utf-8"))
    entries = []
    for entry in found["datasets"]:
        volumes = len(entry.get("training", {}).get("patch_size", ())) == 3
        phantom = "phantom_organs" if volumes or entry.get("spatial_dims") else "phantom_lesions"
        kept = {key: value for key, value in entry.items() if key in ("evaluate_on", "spatial_dims", "training")}
        entries.append({"name": entry["name"], "dataset": phantom, **kept})
    tables = [table for table in found["tables"] if table["kind"] != "paper"]
    return found | {"datasets": entries, "tables": tables}


def planning(folder: Path, part: int) -> dict[str, list[str]]:
    """The commands; the trivial workflow gets the jobs of a first dry run of ours."""
    wanted = suite()
    wanted["methods"] = wanted["methods"][::part]
    (folder / "suite.yaml").write_text(yaml.safe_dump(wanted))
    dry = ["--dry-run", "--quiet", "rules", "--cores", "1"]
    snakemake = [sys.executable, "-m", "snakemake"]
    found = [*snakemake, "--snakefile", str(ROOT / "Snakefile"), "--configfile", "suite.yaml", *dry]
    (folder / "trivial.smk").write_text(TRIVIAL.format(runs=(jobs(process(found, folder)[2]) - 2) // 3))
    return {"contrastseg": found, "trivial workflow": [*snakemake, "--snakefile", "trivial.smk", *dry]}


def jobs(said: str) -> int:
    """The total of Snakemake's table of jobs.

    Raises:
        SystemExit: There is no table.
    """
    found = re.findall(r"^total +(\d+)$", said, re.MULTILINE)
    if not found:
        raise SystemExit(f"no table of jobs in:\n{said[-2000:]}")
    return int(found[0])


def measure(what: str, commands: dict[str, list[str]], rounds: int, folder: Path) -> list[dict[str, Any]]:
    """A row per contender.

    One process of each runs before those that count: it leaves compiled modules and fingerprints of the code behind.
    """
    for command in commands.values() if what == "first step" else ():
        process([*command, *(["--output", str(folder / "before")] if "train" in command else [])], folder)
    taken: dict[str, list[tuple[float, float, str]]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            fresh = ["--output", str(folder / f"run{number}")] if "train" in command else []
            taken[name].append(process([*command, *fresh], folder))
    packages = {"import torch": "torch", "trivial workflow": "snakemake"}
    rows = []
    for name, each in taken.items():
        cpu, wall = (statistics.median(one[place] for one in each) for place in (0, 1))
        row = {"what": what, "contender": name, "rounds": rounds, "cpu_s": f"{cpu:.3f}", "seconds": f"{wall:.3f}"}
        row["version"] = importlib.metadata.version(packages[name]) if name in packages else contrastseg.__version__
        if what == "planning":
            row["jobs"] = str(jobs(each[0][2]))
            trivial = statistics.median(one[0] for one in taken["trivial workflow"])
            row["times_trivial"] = f"{cpu / trivial:.3f}"
        rows.append(row)
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes of each training contender")
    parser.add_argument("--planning-rounds", type=int, default=3, help="dry runs of each workflow")
    parser.add_argument("--part", type=int, default=1, help="plans every so-many-th method only, for a quick look")
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the CSV file")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = measure("first step", first_step(folder), given.rounds, folder)
        rows += measure("planning", planning(folder, given.part), given.planning_rounds, folder)
    for row in rows:
        print(", ".join(f"{key} {row[key]}" for key in COLUMNS if key in row))
    file = results_path(given.output, "start")
    write(file, COLUMNS, ({**row, "hardware": described(), "note": given.note} for row in rows))
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
