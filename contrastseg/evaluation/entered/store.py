"""The folder of an entered run: written whole under a temporary name, then renamed, so that none is half entered."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contrastseg.errors import EnterError
from contrastseg.files import read_json, wrap_write_errors, write_json

_LOCK = ".entering.lock"
_NEW = ".entering"
_OLD = ".replaced"


@contextlib.contextmanager
def entering(root: Path) -> Iterator[Path]:
    """Hold the folder of a suite's entered runs, and yield an empty temporary folder in it that is gone afterwards.

    What an `enter` that was killed left behind is removed first.

    Raises:
        EnterError: Another process enters predictions there.
        FileError: The folder cannot be written to.
    """
    with wrap_write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        lock = open(root / _LOCK, "a")  # noqa: SIM115 (held until the end)
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise EnterError(
                "another `contrastseg enter` is at work in these results",
                file=root,
                remedy="wait until it has ended, then enter again",
            ) from error
        except OSError:
            pass  # a file system without locks
        _recover(root)
        new = root / _NEW
        try:
            with wrap_write_errors(new):
                new.mkdir()
            yield new
        finally:
            shutil.rmtree(new, ignore_errors=True)
            _prune(root)


def _recover(root: Path) -> None:
    """Remove what a killed `enter` left; a run that it had moved aside and not yet replaced comes back."""
    shutil.rmtree(root / _NEW, ignore_errors=True)
    old = root / _OLD
    for record in sorted(old.rglob("run.json")) if old.is_dir() else ():
        place = root / record.parent.relative_to(old)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.rename(record.parent, place)
    shutil.rmtree(old, ignore_errors=True)


def put(root: Path, new: Path, run: Path, predictions: Path, *, replace: bool) -> None:
    """Move a written run to its place.

    Args:
        root: Folder of the suite's entered runs.
        new: The written run: `run.json` and `predictions/<evaluated on>/<checkpoint>/`.
        run: Its place.
        predictions: The place of its predictions, inside `run`.
        replace: Whether a run that is there goes. Otherwise an evaluation that it lacks joins it.
    """
    with wrap_write_errors(run):
        if replace and run.exists():
            aside = root / _OLD / run.relative_to(root)
            aside.parent.mkdir(parents=True, exist_ok=True)
            os.rename(run, aside)
        if run.exists():
            predictions.parent.mkdir(parents=True, exist_ok=True)
            os.rename(new / predictions.relative_to(run), predictions)
        else:
            run.parent.mkdir(parents=True, exist_ok=True)
            os.rename(new, run)
    shutil.rmtree(root / _OLD, ignore_errors=True)


def check_free(run: Path, predictions: Path, record: Mapping[str, Any]) -> None:
    """Check that a place is free, or that the run there lacks this evaluation alone.

    Args:
        run: Its place.
        predictions: The place of its predictions.
        record: The record that is to be written.

    Raises:
        EnterError: The row is there already, or what is stated of its run differs.
    """
    if predictions.exists():
        raise EnterError(
            "a row of this name is entered already",
            case=str(record["method"]),
            file=predictions,
            remedy="give --replace to replace it, --remove to remove it, or choose another --method or --seed",
        )
    if (run / "run.json").is_file() and read_json(run / "run.json") != record:
        raise EnterError(
            "another evaluation of this run is entered, and its record (protocol or statement) differs",
            case=str(record["method"]),
            file=run / "run.json",
            remedy="give the same --stated file, or --replace to replace the whole run",
        )


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a run, as `check_free` compares it."""
    write_json(folder / "run.json", record)


def remove(root: Path, runs: list[Path]) -> None:
    """Remove entered runs: each is moved aside as a whole first, so that none is half removed.

    Args:
        root: Folder of the suite's entered runs.
        runs: Their folders.
    """
    with entering(root) as new, wrap_write_errors(root):
        for number, run in enumerate(runs):
            os.rename(run, new / str(number))


def _prune(root: Path) -> None:
    """Remove folders that hold nothing any more."""
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if not any(part.startswith(".") for part in folder.relative_to(root).parts):
            with contextlib.suppress(OSError):
                folder.rmdir()
