"""One process at a time trains a run: two would take each other's checkpoints away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from contrastseg.errors import TrainingError
from contrastseg.files import wrap_write_errors

LOCK = ".training.lock"


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold the run's folder for this process while the block runs; the kernel lets go when the process ends.

    Two meet where Snakemake was killed and its jobs were not: they continue, and the same command starts them again.

    Raises:
        TrainingError: Another process trains this run.
        FileError: The folder cannot be written to.
    """
    path = folder / LOCK
    with wrap_write_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        file = _opened(path)
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _opened(path: Path) -> IO[str]:
    """The file with its lock; on file systems without locks, as if alone."""
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (the caller closes it)
        try:
            # Not flock: worker processes would inherit it, and hold it when the one that trains was killed.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            with file:
                raise TrainingError(
                    f"this run is already being trained by {file.read().strip() or 'another process'}",
                    file=path.parent,
                    remedy="wait for it or end it (`kill`), then run again: the run resumes from its last checkpoint",
                ) from error
        except OSError:
            return file
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        file.close()  # the one before took its file away in between
