"""The fixed list of `make gpu`, in the order in which it is worked off, and the same list in miniature."""

from __future__ import annotations

import sys
from pathlib import Path

from _schedule import Item

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SPEED = HERE.parent / "speed"
# These scripts go with the code beside them, whatever is installed.
sys.path.insert(0, str(ROOT))
METHODS = ("supervised", "mean_teacher")
LOOPS = ("acdc_2d_256", "acdc_2d", "rgb_2d_512", "3d_96")
BENCHMARKS = ("training", "runs", "scores", "sharing", "losses", "inference")
"""The CSV files there will be; with the record they are seven files."""

# What the scripts are told. The miniature serves a rehearsal on a CPU: seconds, and numbers that mean nothing.
FULL = {
    "training": "--rounds 2 --steps 200 --warmup 20",
    "sharing": "--runs 1 2 3 4 --steps 300 --warmup 20",
    "losses": "--rounds 10 --patience 5",
    "inference": "--rounds 5",
}
MINIATURE = {
    "training": "--rounds 1 --steps 2 --warmup 1 --part 0.25 --channels 4 8 --workers 1",
    "sharing": "--runs 1 2 --steps 4 --warmup 1 --channels 4 8 --threads 2 --part 0.25",
    "losses": "--rounds 1 --part 16",
    "inference": "--rounds 1 --part 2",
}


def items(device: str, miniature: bool = False) -> list[Item]:
    """The list for a device.

    Args:
        device: `cuda` or `cpu`.
        miniature: Whether for a rehearsal.
    """
    told = MINIATURE if miniature else FULL

    def script(benchmark: str, *more: str) -> tuple[str, ...]:
        command = (sys.executable, str(SPEED / f"{benchmark}.py"), *more, *told[benchmark].split())
        return (*command, "--device", device)

    def loop(work: str) -> Item:
        command = script("training", "--contenders", "contrastseg", "bare", "dataloader", "--work", work)
        what = "a step beside the bare network and a loop in SSL4MIS's manner"
        return Item(
            f"training {work}", what, command, 60 * (1 if work.startswith("acdc") else 2), "training", ("work",)
        )

    def whole(method: str) -> Item:
        command = (sys.executable, str(HERE / "method.py"), method, "--device", device)
        what = "trained at 7 patients for the length of acdc.yaml, predicted and scored"
        return Item(method, what, command, 45, "runs", ("method", "labels", "seed"), sliced=True)

    tests = (sys.executable, "-m", "pytest", str(ROOT / "tests" / "gpu"), "-q", "-p", "no:cacheprovider")
    if miniature:
        tests = (*tests, "-k", "supervised and (test_runs or test_steps) and not pdcr and not lrc and not 3")
    found = [
        Item("tests", "the tests marked `gpu`", tests, 120),
        loop(LOOPS[0]),
        *map(whole, METHODS),
        Item("sharing", "1, 2, 3 and 4 runs at once", script("sharing"), 60, "sharing"),
        Item("losses", "every loss beside its best plain form", script("losses"), 60, "losses"),
        Item("inference", "sliding windows beside the bare network", script("inference"), 60, "inference"),
        *map(loop, LOOPS[1:]),
    ]
    if miniature:
        wanted = {"tests", *METHODS, "sharing", "losses", "inference", "training acdc_2d"}
        return [Item(**{**vars(item), "seconds": 1}) for item in found if item.name in wanted]
    return found
