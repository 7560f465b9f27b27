"""What a batch costs the host that feeds a GPU, counted and timed without one: `python benchmarks/speed/batches.py`.

Launches, copies and waits are counted on a device that pretends, with the patch of the work, for a pool that lies on
it. Host time is the processor time of a thread that builds the same batch on the CPU from patches of 2 pixels a side,
where arithmetic costs next to nothing: what is left is Python and the dispatch of operations. Blocks have the shape
that they have on a GPU. `--before` takes names and folders of earlier versions of this project, which take turns with
this one, each in a process of its own.

Example: `OMP_NUM_THREADS=1 python benchmarks/speed/batches.py --before 97318cb=../earlier --rounds 5`
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    *(
        "work",
        "contender",
        "launches",
        "sent",
        "waits",
        "host_ms",
        "times_ours",
        "batch_size",
        "patch",
        "image",
        "rounds",
        "steps",
    ),
    *("threads", "device", "torch", "hardware", "note"),
)
OURS = "contrastseg"


@dataclass(frozen=True)
class Work:
    """Six cases (1, *image) with labels, and the batch taken from them."""

    image: tuple[int, ...]
    patch: tuple[int, ...]
    batch_size: int


WORKS = {
    **{f"{count}_slices": Work((10, 256, 256), (256, 256), count) for count in (6, 12, 24)},
    "2_blocks": Work((48, 96, 96), (32, 64, 64), 2),
}


class Cases:
    """What `Storage` asks of a prepared data set."""

    folder = Path("generated")
    info = SimpleNamespace(entry="generated", spatial_dims=3, scale=1.0)

    def __init__(self, work: Work) -> None:
        self.work = work

    def patient(self, case: str) -> str:
        """Every case has its own."""
        return case

    def load(self, case: str, with_label: bool = True, **options: Any) -> SimpleNamespace:
        """Noise with a box."""
        image = np.random.default_rng(int(case)).normal(size=(1, *self.work.image)).astype(np.float16)
        label = np.zeros(self.work.image, np.uint8)
        label[:, 40:60, 40:60] = 1
        return SimpleNamespace(image=image, label=label if with_label else None, superpixels=None)


def _pretended() -> ModuleType:
    """`tests/pretended.py` of this version, whichever version is measured."""
    spec = importlib.util.spec_from_file_location("pretended", ROOT / "tests" / "pretended.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pretended"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def source(work: Work, patch: tuple[int, ...], device: Any) -> Any:
    """What builds batches from a pool on the device."""
    from contrastseg.training.batches import Source
    from contrastseg.training.settings import AugmentationSettings
    from contrastseg.training.storage import Storage

    where = {"with_labels": True, "spatial_dims": len(patch), "device": device, "residency": "device"}
    pool = Storage(Cases(work), [str(number) for number in range(6)], **where)  # type: ignore[arg-type]
    return Source("labelled", pool, work.batch_size, patch, 0, AugmentationSettings(), 0.33)


def measure(work: Work, steps: int) -> dict[str, Any]:
    """Counts of a batch and its host time, of the version on the path."""
    import torch

    torch.set_num_threads(1)
    small = source(work, (2,) * len(work.patch), torch.device("cpu"))
    if hasattr(small, "_block"):
        from contrastseg.training.augmentation import largest_block

        small._block = largest_block(small.patch, small.settings)
    for step in range(steps // 4):
        small(step, "a")
    taken = []
    for step in range(steps):
        started = time.thread_time()
        small(step, "a")
        taken.append(time.thread_time() - started)
    pretended = _pretended()
    with pretended.pretended() as counts:
        batches = source(work, work.patch, pretended.DEVICE)
        batches(0, "a")  # fills what is made once
        counts.clear()
        batches(1, "a")
        seen = {"launches": counts.launches.total(), "sent": counts.sent, "waits": counts.waits.total()}
    return {**seen, "host_ms": 1e3 * statistics.median(taken)}


def _start(name: str, steps: int, folder: Path) -> dict[str, Any]:
    """`measure` in a process that imports the project from a folder."""
    command = [sys.executable, __file__, "--measure", name, "--steps", str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row per piece of work and version; the lowest median of the rounds counts, since load only adds.

    Raises:
        SystemExit: Counts change from round to round.
    """
    earlier = dict(each.split("=", 1) for each in given.before)
    folders = {OURS: ROOT} | {name: Path(folder).resolve() for name, folder in earlier.items()}
    for name in given.work:
        rounds: dict[str, list[dict[str, Any]]] = {contender: [] for contender in folders}
        for _ in range(given.rounds):
            for contender, folder in folders.items():
                rounds[contender].append(_start(name, given.steps, folder))
        host = {contender: min(one.pop("host_ms") for one in each) for contender, each in rounds.items()}
        for contender, each in rounds.items():
            if any(one != each[0] for one in each):
                raise SystemExit(f"{name}, {contender}: counts change from round to round: {each}")
            work = WORKS[name]
            yield {
                **{"work": name, "contender": contender, **each[0], "host_ms": f"{host[contender]:.3f}"},
                "times_ours": f"{host[contender] / host[OURS]:.2f}",
                **{"batch_size": work.batch_size, "patch": "x".join(map(str, work.patch))},
                **{"image": "x".join(map(str, work.image)), "rounds": given.rounds, "steps": given.steps},
            }


def main() -> None:
    """Compare, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="*", default=list(WORKS), choices=WORKS)
    parser.add_argument(
        "--before", nargs="*", default=[], metavar="NAME=FOLDER", help="earlier versions of this project"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--note", default="", help="what a reader of the numbers should know, such as other load")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", help="folder of the CSV file")
    parser.add_argument("--measure", choices=WORKS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(WORKS[given.measure], given.steps)))
        return
    import torch
    from _results import described, results_path, show_and_write

    about = {"device": "cpu", "threads": 1, "torch": torch.__version__, "hardware": described(), "note": given.note}
    file = results_path(given.output, "batches")
    show_and_write(file, COLUMNS, COLUMNS[:7], (row | about for row in compare(given)), 14)
    print(f"wrote {file}")


if __name__ == "__main__":
    main()
