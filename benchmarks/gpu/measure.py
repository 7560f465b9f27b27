"""What has never run on a GPU, in slices of minutes: `make gpu MINUTES=8`.

A fixed list is worked off in its order: an item that does not fit into the minutes that are left waits, and a smaller
one behind it may go first. Each item is written down as soon as it is done, so that the next call goes on from there,
however this one ended. Results are CSV files and one record with the run cards, seven files with the hardware's name;
half-trained runs and logs lie in `--state`. The table comes last: what was done, what was measured beside the targets
of `benchmarks/speed/targets.py`, and what is left. The exit code is 1 where an item has failed.

Example: `python benchmarks/gpu/measure.py --minutes 8`
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from _list import BENCHMARKS, ROOT, SPEED, items
from _process import CUT_OFF, end_orderly, run_for
from _schedule import Deadline, Item, following, needed, status

sys.path.insert(0, str(SPEED))
# Scripts of both folders are started by their paths, and they import what lies beside them and the project.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))

from _judging import judge, table
from _material import PACK, PHANTOMS, unpacked_data
from _record import Results, counted, last_lines, read_rows, read_tests
from _results import machine
from method import OUTCOME, UNFINISHED
from targets import TARGETS

from contrastseg.files import read_json
from contrastseg.training.records import git_commit

TESTS = "tests.xml"


def told(item: Item, given: argparse.Namespace, seconds: float) -> list[str]:
    """An item's command with where it writes and how long it may take."""
    command = list(item.command)
    if item.sliced:
        command += ["--state", str(given.state), "--minutes", f"{seconds / 60:.4f}"]
        return command + ([] if given.pack is None else ["--pack", str(given.pack)])
    if item.benchmark:
        return [*command, "--output", str(given.state / "measured")]
    return [*command, "--junitxml", str(given.state / TESTS)]


def environment_of(given: argparse.Namespace) -> dict[str, str]:
    """An item's environment; the tests find out from it where they compute and where their phantoms lie."""
    found = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    if given.device == "cpu":
        found["CONTRASTSEG_GPU_TESTS"] = "cpu"
    if given.pack is not None:
        found["CONTRASTSEG_PHANTOMS"] = str(unpacked_data(given.pack, given.state) / PHANTOMS)
    return found


def collect(item: Item, results: Results, state: Path) -> str:
    """Take an item's results over; returns what there is to say of them."""
    if item.sliced:
        outcome = read_json(state / item.name / OUTCOME)
        results.add(item.benchmark, [outcome["row"]], item.keys)
        results.add("scores", outcome["scores"], item.keys)
        results.cards[item.name] = outcome["card"]
        mark = f", {outcome['row']['pack']}" if outcome["row"]["pack"] else ""
        return f"Dice {outcome['row']['dice']} after {outcome['row']['steps']} steps{mark}"
    if item.benchmark:
        rows = read_rows(state / "measured" / f"{item.benchmark}-{results.machine}.csv")
        results.add(item.benchmark, rows, item.keys)
        return f"{len(rows)} rows"
    results.tests = read_tests(state / TESTS)
    return counted(results.tests)


def work_off(item: Item, given: argparse.Namespace, results: Results, deadline: Deadline, commit: str) -> None:
    """Do one item and put down how it went."""
    seconds = deadline.left()
    print(f"= {item.name}: {item.what} ({seconds:.0f} s left)", flush=True)
    log = given.state / "logs" / f"{item.name.replace(' ', '-')}.txt"
    began = time.monotonic()
    (given.state / TESTS).unlink(missing_ok=True)
    code = run_for(told(item, given, seconds), log, seconds, environment_of(given), ROOT)
    lasted = time.monotonic() - began
    if code == CUT_OFF:
        outcome, note = "begun" if item.sliced else "cut off", f"ended after {lasted:.0f} s, by the minutes given"
    elif code == UNFINISHED and item.sliced:
        outcome, note = "begun", "goes on from its last checkpoint"
    else:
        outcome, note = "done" if code == 0 else "failed", "" if code == 0 else last_lines(log)
        # pytest fails where a test does, and has written its results all the same.
        if code == 0 or (not item.benchmark and (given.state / TESTS).is_file()):
            note = collect(item, results, given.state)
    before = results.items.get(item.name, {"total_s": 0.0})
    results.items[item.name] = {
        "status": outcome,
        "note": note,
        "last_s": round(lasted, 1),
        "total_s": round(before["total_s"] + lasted, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
    }
    results.save(machine(given.device))
    print(f"  {outcome} after {lasted:.0f} s: {note}", flush=True)


def summary(listed: Sequence[Item], results: Results, minutes: float) -> str:
    """The table: the list with what became of each item, the targets, and what is left."""
    rows = [("item", "status", "seconds", "note")]
    for item in listed:
        entry = results.items.get(item.name, {"total_s": "", "note": f"wants {item.seconds:.0f} s at least"})
        rows.append((item.name, status(results.items, item) or "left", str(entry["total_s"]), entry["note"]))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]
    measured = {
        name: read_rows(file)
        for name in BENCHMARKS
        if (file := results.folder / f"{name}-{results.machine}.csv").is_file()
    }
    judged = judge([target for target in TARGETS if target.file in BENCHMARKS], results.machine, measured)
    left = [item for item in listed if status(results.items, item) != "done"]
    lines += ["", f"{results.machine}: {len(listed) - len(left)} of {len(listed)} items done", ""]
    lines += [table(judged), ""]
    if too_long := [item.name for item in left if needed(item, results.items.get(item.name)) > 60 * minutes]:
        lines.append(f"longer than {minutes:g} minutes: {', '.join(too_long)}; give more at once")
    lines.append(f"left: {', '.join(item.name for item in left)}; call again" if left else "nothing is left")
    return "\n".join([*lines, f"files: {', '.join(file.name for file in results.files())}"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Work off what fits, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="of this call")
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"), help="cpu: for a rehearsal")
    parser.add_argument("--miniature", action="store_true", help="seconds an item, into OUTPUT/miniature")
    parser.add_argument("--pack", type=Path, help="folder of a pack; the checkout's own data where left out")
    parser.add_argument("--output", type=Path, default=Path("results/gpu"), help="folder of the results")
    parser.add_argument("--state", type=Path, help="folder of half-trained runs and logs; OUTPUT/state if unset")
    parser.add_argument("--again", nargs="*", default=[], metavar="ITEM", help="items to do anew")
    given = parser.parse_args(arguments)
    deadline = Deadline(given.minutes)
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            f"make gpu: torch {torch.__version__} sees no GPU here.\n"
            "Fix: run it where `nvidia-smi` lists one, with a torch built for CUDA. For a rehearsal on the processor: "
            "python benchmarks/gpu/measure.py --device cpu --miniature"
        )
    # Numbers of a rehearsal are no results, and a run begun on one machine does not end on another.
    results = Results(given.output / "miniature" if given.miniature else given.output, given.device)
    given.state = (given.state or results.folder / "state").resolve() / results.machine
    listed = items(given.device, given.miniature)
    if unknown := sorted(set(given.again) - {item.name for item in listed}):
        parser.error(f"--again {' '.join(unknown)}: the list has {', '.join(item.name for item in listed)}")
    for name in given.again:
        results.items.pop(name, None)
        shutil.rmtree(given.state / name, ignore_errors=True)
    commit = read_json(given.pack / PACK)["commit"] if given.pack else git_commit()
    tried: set[str] = set()
    while (item := following(listed, results.items, tried, deadline.left())) is not None:
        tried.add(item.name)
        work_off(item, given, results, deadline, commit)
    print("\n" + summary(listed, results, given.minutes))
    sys.exit(any(status(results.items, item) == "failed" for item in listed))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end_orderly)
    main()
