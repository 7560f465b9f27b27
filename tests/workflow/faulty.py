"""Faults at an exact place of one job. It is put beside a copy of the code whose `__main__` imports it first.

The variable CONTRASTSEG_FAULTS holds a JSON list of them. A fault has `job`, words that are all in the job's command
line; `what`; and `file`, the name of a file that the job writes, with `time`, which writing of it is meant (the first),
or `step` of the training. What there is:

- `stop`: once the file is in its place, the job waits to be killed. It writes its process id into the file `flag`, and
  goes on when that is removed.
- `half`: the same with half of the file written and not yet in its place: what a kill or a power cut leaves behind.
- `full`: the file is written to /dev/full, so that the kernel itself says that no space is left (ENOSPC).
- `nan`, `memory`, `lost`, `error`: what a step of the training ends with.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contrastseg import files

VARIABLE = "CONTRASTSEG_FAULTS"
MINE = [fault for fault in json.loads(os.environ.get(VARIABLE, "[]")) if set(fault["job"]) <= set(sys.argv)]


def wait(flag: Path) -> None:
    """Say that the place is reached, by whom, and stay there."""
    files.write_text(flag, str(os.getpid()))
    while flag.exists():
        time.sleep(0.02)


def disturb_files() -> None:
    """Put the faults of files into what every writer of the project goes through."""
    undisturbed, seen = files.atomic_path, Counter[str]()

    @contextlib.contextmanager
    def atomic_path(path: str | Path) -> Iterator[Path]:
        name = Path(path).name
        seen[name] += 1
        here = [fault for fault in MINE if fault.get("file") == name and fault.get("time", 1) == seen[name]]
        found: dict[str, Any] = here[0] if here else {"what": None}
        with undisturbed(path) as temporary:
            if found["what"] == "full":
                temporary.symlink_to("/dev/full")
            yield temporary
            if found["what"] == "half":
                os.truncate(temporary, temporary.stat().st_size // 2)
                wait(Path(found["flag"]))
        if found["what"] == "stop":
            wait(Path(found["flag"]))

    files.atomic_path = atomic_path


def disturb_training(fault: dict[str, Any]) -> None:
    """Put a fault of the computation into a step: the loop asks for the learning rate at the start of each."""
    import torch

    from contrastseg.training import loop

    undisturbed = loop.learning_rate
    raised = {
        "memory": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        "lost": RuntimeError("CUDA error: unspecified launch failure"),
        "error": RuntimeError("this method is broken"),
    }

    def learning_rate(step: int, *rest: Any) -> float:
        if step + 1 != fault["step"]:
            return undisturbed(step, *rest)
        if fault["what"] in raised:
            raise raised[fault["what"]]
        return float("inf")

    loop.learning_rate = learning_rate


disturb_files()
for one in MINE:
    if "step" in one:
        disturb_training(one)
