"""What prepared data was made from, so that an edit of the published files is noticed before anything is planned.

Each file is known by size and times. Where these are other than they were, its content is read and compared: a file
that was only touched, copied or unpacked again is the same file. The record lies beside what was prepared, never in the
folder of the data.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from contrastseg.data.faults import Faults
from contrastseg.data.readers.specs import DatasetSpec, RawCase
from contrastseg.errors import FileError
from contrastseg.files import read_json, sha256, write_if_changed

RECORD = "inputs.json"
Stamp = list[int]
"""Size, time of the last change of the content, time of the last change of anything; times in nanoseconds."""
# Some disks tell times to two seconds: what was written so shortly before it was read may be written again unnoticed.
_COARSEST_NS = 2_000_000_000
_AT_ONCE = 8


@dataclass(frozen=True)
class Published:
    """What is found in a folder of published files, without reading them.

    Attributes:
        folder: The folder.
        cases: Its cases.
        faults: What is wrong with it.
    """

    folder: Path
    cases: tuple[RawCase, ...]
    faults: tuple[str, ...]

    @classmethod
    def look(cls, spec: DatasetSpec, options: Any, folder: Path) -> Self:
        """List the cases of a data set; a folder that is none has no cases, and a fault."""
        faults, cases = Faults(), []
        with faults.collect():
            cases = spec.discover(folder, options, faults)
        return cls(folder, tuple(cases), tuple(str(fault) for fault in faults.found))

    def name(self, file: Path) -> str:
        """A file by its place in the folder."""
        return _inside(file, str(self.folder))


@dataclass(frozen=True)
class Input:
    """One file as it was read.

    Attributes:
        stamp: Of the moment before it was read; None where that says too little.
        content: SHA-256.
    """

    stamp: Stamp | None
    content: str

    @classmethod
    def read(cls, file: Path) -> Self:
        """Of a file that lies there now."""
        stamp = _stamp(file)
        return cls(_settled(stamp), sha256(file))


@dataclass(frozen=True)
class Inputs:
    """The record of a prepared folder.

    Attributes:
        cases: What is said of each case, and the files it was read from, by the case's name.
        files: Every file by its place in the folder of the data.
    """

    cases: Mapping[str, list[Any]]
    files: Mapping[str, Input]

    @classmethod
    def of(cls, published: Published, read: Mapping[str, Input]) -> Self:
        """Of what was just prepared."""
        names = {file: published.name(file) for case in published.cases for file in case.files}
        files = {name: read[str(file)] for file, name in names.items()}
        return cls({case.case: _facts(case, names) for case in published.cases}, files)

    @classmethod
    def of_prepared(cls, prepared: Path) -> Self | None:
        """Of a prepared folder; None where there is no record."""
        try:
            record = read_json(prepared / RECORD)
            files = {name: Input(stamp, content) for name, (stamp, content) in record["files"].items()}
            return cls(record["cases"], files)
        except (FileError, AttributeError, LookupError, TypeError, ValueError):
            return None

    def write(self, prepared: Path) -> None:
        """Write it down, where it is not what is written already."""
        files = {name: [file.stamp, file.content] for name, file in self.files.items()}
        write_if_changed(prepared / RECORD, json.dumps({"cases": self.cases, "files": files}, sort_keys=True))

    def is_gone(self, folder: Path) -> bool:
        """Whether the files were taken away after the preparation; what cases share may have been left behind."""
        counts = Counter(name for facts in self.cases.values() for name in facts[-1])
        own = [name for name, count in counts.items() if count == 1 or len(self.cases) == 1]
        return not any((folder / name).exists() for name in own)

    def compare(self, published: Published) -> tuple[list[str], Inputs]:
        """What is other than it was, in words; and the record with the times that unchanged files have now."""
        if self.is_gone(published.folder):
            return [], self
        names = {file: published.name(file) for case in published.cases for file in case.files}
        now = {case.case: _facts(case, names) for case in published.cases}
        reasons = [f"fault: {fault}" for fault in published.faults]
        reasons += [f"case {case} is new" for case in sorted(now.keys() - self.cases.keys())]
        reasons += [f"case {case} is gone" for case in sorted(self.cases.keys() - now.keys())]
        both = sorted(now.keys() & self.cases.keys())
        reasons += [f"case {case} is described otherwise" for case in both if now[case] != self.cases[case]]
        changed, current = self._changed({name: file for file, name in names.items() if name in self.files})
        return reasons + [f"{name} has another content" for name in changed], Inputs(
            self.cases, {**self.files, **current}
        )

    def _changed(self, published: Mapping[str, Path]) -> tuple[list[str], dict[str, Input]]:
        """Files of another content than they had, and the others with the times they have now."""
        doubtful = [name for name, file in published.items() if not _is_as_it_was(file, self.files[name].stamp)]
        if not doubtful:
            return [], {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            read = dict(zip(doubtful, pool.map(_read_or_none, [published[name] for name in doubtful]), strict=True))
        same = {name: it for name, it in read.items() if it is not None and it.content == self.files[name].content}
        return sorted(set(doubtful) - set(same)), same


def _facts(case: RawCase, names: Mapping[Path, str]) -> list[Any]:
    details = repr(sorted(case.details.items()))
    return [case.patient, case.frame, case.part, case.stratum, details, [names[file] for file in case.files]]


def _inside(file: Path, folder: str) -> str:
    path = str(file)
    return path[len(folder) + 1 :] if path.startswith(folder + os.sep) else os.path.relpath(path, folder)


def _stamp(file: Path) -> Stamp:
    status = os.stat(file)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _settled(stamp: Stamp) -> Stamp | None:
    """None where the file may change and keep its times; by the last one, which the disk's clock alone sets."""
    return stamp if stamp[2] + _COARSEST_NS < time.time_ns() else None


def _is_as_it_was(file: Path, stamp: Stamp | None) -> bool:
    try:
        return stamp is not None and _stamp(file) == stamp
    except OSError:
        return False


def _read_or_none(file: Path) -> Input | None:
    try:
        return Input.read(file)
    except OSError:
        return None
