"""A suite over and over with random kills: whatever is killed, and whenever, the results are those of no kill at all.

One run without kills is the reference. Each round then starts in an empty folder. `kill -9` hits a training, a
prediction, a scoring, another job or Snakemake itself: which one is drawn, the first such process that shows up is let
live for a drawn time, and then it goes. The same command is run again until the suite is done, after `--unlock` where
Snakemake was killed, with what it left running ended. Choices follow the seed; what a process is doing when it is hit
depends on the machine as well. Afterwards everything that was computed is compared, byte for byte; what was measured
(times, memory) is not.

Example: `python -m tests.soak --suite benchmarks/demo.yaml --rounds 10 --output soak.csv`
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from contrastseg.files import write_text
from tests.workflow.equal import differences
from tests.workflow.warm import interpreter

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("train", "predict", "score", "other", "snakemake")
COLUMNS = ("round", "seed", *(f"killed_{kind}" for kind in KINDS), "restarts", "seconds", "files_that_differ", "equal")
LOG = "snakemake.txt"


@dataclass(frozen=True)
class Soak:
    """What every round does.

    Attributes:
        command: Makes the results in the folder it is started in, or goes on with it, and ends with 0 when they are
            whole. With `--unlock` it takes the lock of a killed one away.
        results: The folder of results in that folder.
        kills: At most so many per round.
        delay_s: At most so long a process lives once it was seen.
    """

    command: Sequence[str]
    results: str
    kills: int = 5
    delay_s: float = 10.0

    def start(self, folder: Path, *options: str) -> subprocess.Popen[bytes]:
        """Start the command in a session of its own, by which its jobs are known."""
        with open(folder / LOG, "ab") as log:
            return subprocess.Popen(
                [*self.command, *options], cwd=folder, stdout=log, stderr=log, start_new_session=True
            )

    def round(self, folder: Path, choose: random.Random) -> dict[str, Any]:
        """Run with kills until the results are whole; returns the counts.

        Raises:
            RuntimeError: It failed though nothing was killed since it was started.
        """
        folder.mkdir(parents=True)
        killed: Counter[str] = Counter()
        started, runs = time.perf_counter(), 0
        while True:
            runs, before = runs + 1, killed.total()
            process = self.start(folder)
            while process.poll() is None:
                kind = self.strike(process, choose) if killed.total() < self.kills else None
                killed.update([kind] if kind else [])
                if killed.total() == self.kills or kind == "snakemake":
                    process.wait()
            if process.returncode == 0:
                break
            if killed.total() == before:
                raise RuntimeError(f"it failed and nothing had been killed: see {folder / LOG}")
            if process.returncode == -signal.SIGKILL:
                end(process.pid)
                self.start(folder, "--unlock").wait()
        counts = {f"killed_{kind}": killed[kind] for kind in KINDS}
        return {**counts, "restarts": runs - 1, "seconds": round(time.perf_counter() - started, 1)}

    def strike(self, process: subprocess.Popen[bytes], choose: random.Random) -> str | None:
        """Kill a process of a kind that is drawn; returns the kind, None where the run ended first."""
        kind, delay = choose.choice(KINDS), self.delay_s * 10 ** choose.uniform(-2, 0)  # some jobs live for a second
        while process.poll() is None:
            victims = [process.pid] if kind == "snakemake" else jobs(process.pid, kind)
            if victims:
                victim = choose.choice(victims)
                time.sleep(delay)
                if process.poll() is None and (victim == process.pid or victim in jobs(process.pid, kind)):
                    os.kill(victim, signal.SIGKILL)
                    return kind
                delay = choose.uniform(0, delay)  # it was too quick
            time.sleep(0.02)
        return None


def jobs(session: int, kind: str | None = None) -> list[int]:
    """Process ids of the jobs of a session, of all kinds or one."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                this = _kind(process.cmdline())
                if this and kind in (None, this):
                    found.append(process.pid)
    return found


def _kind(words: Sequence[str]) -> str | None:
    """The kind of job that a command line starts, if any."""
    for module, name, command in zip(words, words[1:], words[2:], strict=False):
        if (module, name) == ("-m", "contrastseg"):
            return command if command in KINDS else "other"
    return None


def end(session: int) -> None:
    """End the jobs that a killed Snakemake left running."""
    while left := jobs(session):
        for job in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job, signal.SIGTERM)
        time.sleep(0.1)


def soak(plan: Soak, folder: Path, rounds: int, seed: int, output: Path) -> bool:
    """Run the reference and the rounds; write the counts after each; say whether all rounds came out the same."""
    reference = folder / "undisturbed"
    reference.mkdir(parents=True)
    if plan.start(reference).wait() != 0:
        raise RuntimeError(f"the undisturbed run failed: see {reference / LOG}")
    rows: list[Mapping[str, Any]] = []
    for number in range(1, rounds + 1):
        place = folder / f"round{number}"
        counts = plan.round(place, random.Random(f"{seed} {number}"))
        differ = differences(place / plan.results, reference / plan.results)
        row = {"round": number, "seed": seed, **counts, "files_that_differ": len(differ), "equal": not differ}
        rows.append(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(output, text.getvalue())
        print(", ".join(f"{name} {value}" for name, value in row.items()), *differ, sep="\n  ", flush=True)
        if not differ:
            shutil.rmtree(place)
    return all(row["equal"] for row in rows)


def main() -> None:
    """Ask for the settings, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, default=ROOT / "benchmarks" / "demo.yaml")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--kills", type=int, default=5, help="at most so many in a round")
    parser.add_argument("--delay", type=float, default=10.0, help="seconds that a process lives at most once seen")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cores", default="all")
    parser.add_argument(
        "--forked", action="store_true", help="fork the jobs from one warm process: minutes less, the same kills"
    )
    parser.add_argument(
        "--folder", type=Path, help="where it all happens; a temporary folder, removed when all is well"
    )
    parser.add_argument("--output", type=Path, default=Path("results/soak.csv"), help="the counts, round by round")
    given = parser.parse_args()
    python = interpreter() if given.forked else sys.executable
    command = [python, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--cores", given.cores]
    command += ["--configfile", str(given.suite.resolve())]
    name = yaml.safe_load(given.suite.read_text(encoding="utf-8"))["name"]
    folder = given.folder or Path(tempfile.mkdtemp(prefix="soak"))
    plan = Soak(command, f"results/{name}", given.kills, given.delay)
    well = soak(plan, folder.resolve(), given.rounds, given.seed, given.output.resolve())
    if well and given.folder is None:
        shutil.rmtree(folder)
    print("every round came out as the undisturbed run" if well else f"not every round did: look at {folder}")
    sys.exit(not well)


if __name__ == "__main__":
    main()
