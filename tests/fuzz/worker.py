"""Reads damaged files one after the other, in a process of its own: with a limit of time and memory for each."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import resource
import shutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from contrastseg.errors import ContrastsegError
from tests.fuzz.mutations import damaged

SECONDS = 5
MORE_MEMORY = 2 << 30
"""What reading a file of some kilobytes may ask for; libraries that are loaded on the way count too."""


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader and what it reads.

    Attributes:
        name: Of the reader and the format.
        file: The file that is damaged, seen from the folder.
        make: Fills a folder with valid files.
        read: Reads them.
        plausible: Whether an answer is one that later steps can work with.
        structured: Whether the file is JSON.
        closed: Whether the format says where it ends: a shorter file may give no other answer.
        wrap: Put around the damaged bytes.
        outputs: What reading may write into the folder; nothing else may be there afterwards.
    """

    name: str
    file: str
    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    plausible: Callable[[Any], object]
    structured: bool = False
    closed: bool = True
    wrap: Callable[[bytes], bytes] = bytes
    outputs: tuple[str, ...] = ()


class TooLongError(BaseException):
    """Raised by the alarm; no reader may catch it."""


def run(target: Target, numbers: list[int], root: Path) -> list[str]:
    """Read one damaged file a number; what is wrong, in words.

    The present input lies below `root` while it is read, so that it is found when the process dies of it. Those that
    were read wrongly are kept there.
    """
    folder = root / "outer" / "folder"
    for name, content in _made(target.make).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    seed = (folder / target.file).read_bytes()
    (folder / target.file).write_bytes(target.wrap(seed))
    with limits():
        valid = target.read(folder)
    assert target.plausible(valid), f"{target.name}: the undamaged file is read wrongly"
    valid = plain(valid)
    _clear(target, folder)
    there, faults = _listed(root), []
    for number in numbers:
        what, content = damaged(seed, random.Random(f"{target.name} {number}"), target.structured)
        (folder / target.file).write_bytes(target.wrap(content))
        wrong = _fault(target, folder, what, valid)
        _clear(target, folder)
        if more := sorted(_listed(root) - there):
            wrong = f"it wrote {', '.join(more)}"
        if wrong:
            kept = root / f"{number}-{Path(target.file).name}"
            kept.write_bytes(target.wrap(content))
            there = _listed(root)
            faults.append(f"input {number} ({what}, kept as {kept}): {wrong}")
    shutil.rmtree(folder)
    return faults


@functools.cache
def _made(make: Callable[[Path], object]) -> dict[str, bytes]:
    """The files that `make` fills a folder with."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _fault(target: Target, folder: Path, what: str, valid: Any) -> str | None:
    try:
        with limits():
            answer = target.read(folder)
    except ContrastsegError as error:
        if error.file is None and not getattr(error, "faults", None):
            return f"the error names no file: {error}"
        if isinstance(error.__cause__, MemoryError):
            return f"it asked for memory before it looked: {error}"
        return _unmoved(target, folder)
    except TooLongError:
        return f"it took more than {SECONDS} s: {traceback.format_exc(limit=-3)}"
    except BaseException:
        return traceback.format_exc(limit=-4)
    if not target.plausible(answer):
        return f"no plausible answer: {answer!r:.500}"
    if what == "truncated" and target.closed and plain(answer) != valid:
        return f"half of a file was taken for whole: {answer!r:.500}"
    return None


def _unmoved(target: Target, folder: Path) -> str | None:
    left = [name for name in target.outputs if (folder / name).exists()]
    return f"it left {left} after an error" if left else None


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Limits the time and the memory of the block."""

    def ring(*_: object) -> None:
        raise TooLongError

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGPROF, ring)
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor: a busy machine is no finding
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        signal.signal(signal.SIGPROF, before)


def plain(value: Any) -> Any:
    """A value that `==` compares whole: arrays, tables and models by their content."""
    if hasattr(value, "numpy"):
        value = value.numpy()
    if hasattr(value, "tobytes") and hasattr(value, "shape"):
        return str(value.dtype), value.shape, value.tobytes()
    if hasattr(value, "to_csv"):
        return value.to_csv()
    if hasattr(value, "model_dump_json"):
        return value.model_dump_json()
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value == value else "NaN"


def _listed(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def _clear(target: Target, folder: Path) -> None:
    for name in target.outputs:
        shutil.rmtree(folder / name, ignore_errors=True)
