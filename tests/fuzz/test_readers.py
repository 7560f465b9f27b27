"""Every reader, fed with damaged files: a typed error or a plausible answer, in bounded time and memory.

`CONTRASTSEG_FUZZ=1000 pytest tests/fuzz` reads a thousand inputs a reader instead of forty.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from tests.fuzz import images, tables, worker

COUNT = int(os.environ.get("CONTRASTSEG_FUZZ", "40"))
TARGETS = {target.name: target for target in (*images.TARGETS, *tables.TARGETS)}


def read(name: str, numbers: list[int], root: Path) -> list[str]:
    """In the other process: targets hold functions, which do not travel."""
    return worker.run(TARGETS[name], numbers, root)


class Reader:
    """A process that reads; a new one after it died."""

    def __init__(self) -> None:
        self.pool: ProcessPoolExecutor | None = None

    def __call__(self, name: str, numbers: list[int], root: Path) -> list[str]:
        if self.pool is None:
            self.pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            # A decoder that hangs in C does not hear the alarm.
            return self.pool.submit(read, name, numbers, root).result(timeout=60 + worker.SECONDS * len(numbers))
        except (BrokenProcessPool, TimeoutError) as error:
            self.close()
            return [f"the process died or hung ({type(error).__name__}); the input lies in {root}/outer"]

    def close(self) -> None:
        if self.pool is not None:
            for process in list(self.pool._processes.values()):
                process.kill()
            self.pool.shutdown()
            self.pool = None


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files(reader: Reader, name: str, tmp_path: Path) -> None:
    faults = reader(name, list(range(COUNT)), tmp_path / "root")
    assert not faults, "\n".join(faults)


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_thousands_of_damaged_files(reader: Reader, name: str, tmp_path: Path) -> None:
    faults = reader(name, list(range(COUNT, COUNT + 2000)), tmp_path / "root")
    assert not faults, "\n".join(faults)
