"""What was found out about code, kept between processes: each job of a workflow asks the same of the same code again.

Answers lie in the user's cache, in one file for each state of the packages that they are about: its name is a digest
of all their sources, and of the Python that read them. So an answer is never older than the code. A file is replaced
as a whole, and begins with a digest of what follows: one that is damaged is not there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from contrastseg.code_graph.packages import package

VARIABLE = "CONTRASTSEG_CACHE"
"""Names the folder of the cache; empty: there is none."""
KEPT = 32
"""States of the code whose answers are kept, the last ones written."""

T = TypeVar("T")


def remembered(packages: frozenset[str], question: str, find: Callable[[], T]) -> T:
    """The answer to a question about the code of some packages, found out only where no process did before.

    Args:
        packages: All whose code the answer depends on; that of the project is always one of them.
        question: In words that no other question has.
        find: Gives the answer, which JSON can hold.
    """
    known, file = _known(packages)
    if question not in known:
        known[question] = find()
        if file is not None:
            _write(file, {**_read(file), **known})
    answer: T = known[question]
    return answer


@cache
def _known(packages: frozenset[str]) -> tuple[dict[str, Any], Path | None]:
    """The answers about this state of the packages, and their file."""
    folder = _folder()
    if folder is None:
        return {}, None
    state = [sys.version, *(f"{name} {package(name).digest}" for name in sorted(packages))]
    file = folder / f"code-{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}.json"
    return _read(file), file


def _folder() -> Path | None:
    """Where answers are kept: nowhere, if the user says so or has no folder of their own."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        return Path(named) if named else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "contrastseg"
    except RuntimeError:
        return None


def _read(file: Path) -> dict[str, Any]:
    """The answers in a file; none where it is missing, cannot be read, or is not as it was written."""
    try:
        digest, _, text = file.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if digest.decode(errors="replace") != hashlib.sha256(text).hexdigest():
        return {}
    answers: dict[str, Any] = json.loads(text)
    return answers


def _write(file: Path, answers: dict[str, Any]) -> None:
    """Replace a file, as far as there is a right and room to write it: who asks next can find out again."""
    text = json.dumps(answers, sort_keys=True).encode()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            others = [*file.parent.glob("code-*.json"), *file.parent.glob(".code-*")]
            for old in sorted(others, key=os.path.getmtime)[: 1 - KEPT]:
                old.unlink(missing_ok=True)
        # Machines share the folder, so a number of the process is no name of its own.
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".code-")
        try:
            with open(handle, "wb") as opened:
                opened.write(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
            os.replace(temporary, file)
        finally:
            Path(temporary).unlink(missing_ok=True)


def forget() -> None:
    """Forget what was read: for tests that change sources."""
    _known.cache_clear()
