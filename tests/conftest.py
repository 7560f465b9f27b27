"""What every test may ask for."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.phantoms import Phantom, make_phantoms

# The tests compare results, not speed: one thread keeps sums in one order and leaves the other cores to others.
# Libraries read these variables when they are first imported, so they are set before any test module is.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# What tests find out about code is shared by their processes, and kept out of the user's cache.
_CACHE = tempfile.TemporaryDirectory(prefix="contrastseg-cache-")
os.environ.setdefault("CONTRASTSEG_CACHE", _CACHE.name)
# That a busy machine was slow is no finding of a test.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")


# Files go to workers whole and in this order: the longest first, so that no worker ends with one while others wait.
LONGEST = ("workflow", "contracts", "docs", "cli")


def import_from_the_middle(worker: int, of: int) -> None:
    """Import the files of tests behind this worker's place, so that each worker rewrites its share of all assertions.

    Rewriting takes half of the time of collecting them. What one worker has written, the others read.
    """
    tests = Path(__file__).parent
    files = sorted(tests.rglob("test_*.py"))
    for file in files[len(files) * worker // of :]:
        with contextlib.suppress(Exception, pytest.skip.Exception):  # collecting it says so
            importlib.import_module(".".join(file.relative_to(tests.parent).with_suffix("").parts))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect without looking for garbage, and never look for it in what was imported: modules stay."""
    worker, written = getattr(session.config, "workerinput", None), sys.dont_write_bytecode
    gc.disable()
    if worker is not None and session.config.args == session.config.getini("testpaths"):
        sys.dont_write_bytecode = False
        import_from_the_middle(int(worker["workerid"].removeprefix("gw")), worker["workercount"])
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = written
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the folders with the longest files first; the order inside a file stays."""
    tests = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0]
        return LONGEST.index(folder) if folder in LONGEST else len(LONGEST)

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    """Nobody cuts the power of a test: that a file is on the disk itself takes ten milliseconds a file and more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        yield


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real samples, one sub-folder per data set in its published layout."""
    folder = os.environ.get("CONTRASTSEG_TEST_DATA")
    if not folder:
        pytest.skip("CONTRASTSEG_TEST_DATA is not set: a folder with real samples, one sub-folder per data set")
    if not Path(folder).is_dir():
        pytest.fail(f"CONTRASTSEG_TEST_DATA names {folder}, which is not a folder")
    return Path(folder)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Phantom]:
    """Small prepared phantoms by dimension: 2 (lesions) and 3 (organs)."""
    return make_phantoms(tmp_path_factory.mktemp("phantoms"))
