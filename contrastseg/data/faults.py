"""Collects what is wrong with a data set, so that all of it is reported at once."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from contrastseg.errors import DataError, FileError

_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class FaultGroup:
    """Faults of one kind.

    Attributes:
        first: The first of them; its reason, file and remedy stand for all.
        count: How many there are.
        names: The cases of the first three, or their files where they have none.
    """

    first: DataError
    count: int
    names: tuple[str, ...]

    @property
    def cases(self) -> str:
        """Such as "a, b, c and 997 more"."""
        more = self.count - len(self.names)
        return ", ".join(self.names) + (f" and {more} more" if more else "")

    @property
    def reason(self) -> str:
        """The reason, with how often it stands."""
        return self.first.reason if self.count == 1 else f"{self.count} times: {self.first.reason}"

    def __str__(self) -> str:
        if self.count == 1:
            return str(self.first)
        parts = [self.reason, f"cases: {self.cases}", f"the first: {self.first.file}", f"Fix: {self.first.remedy}"]
        return "\n  ".join(parts)


def group_faults(faults: Iterable[DataError]) -> list[FaultGroup]:
    """Faults by kind, in the order of the first of each; up to three of a kind stand alone.

    Of one kind are faults whose reasons differ in numbers, how many they list, and the names of case and file alone.
    """
    kinds: dict[tuple[str, str], list[DataError]] = {}
    for fault in faults:
        kinds.setdefault((_kind(fault, fault.reason), fault.file.suffix if fault.file else ""), []).append(fault)
    groups = []
    for members in kinds.values():
        if len(members) <= _SHOWN:
            groups += [FaultGroup(fault, 1, (_name(fault),)) for fault in members]
        else:
            groups.append(FaultGroup(members[0], len(members), tuple(_name(fault) for fault in members[:_SHOWN])))
    return groups


def _name(fault: DataError) -> str:
    return fault.case or (fault.file.name if fault.file else "")


def _kind(fault: DataError, text: str) -> str:
    """The text without what is of the one fault alone."""
    for name in (fault.case, fault.file and fault.file.name, fault.file and fault.file.stem):
        if name:
            text = text.replace(name, "_")
    return re.sub(r"0(, 0)+", "0", re.sub(r"\d+(\.\d+)?", "0", text))


class FaultyCasesError(DataError):
    """Several faults of one data set.

    Attributes:
        faults: Each with its own case, file, reason and remedy.
    """

    def __init__(self, faults: tuple[DataError, ...]) -> None:
        self.faults = faults
        groups = group_faults(faults)
        kinds = f", {len(groups)} {'kind' if len(groups) == 1 else 'kinds'}" if len(groups) < len(faults) else ""
        listed = "\n".join(f"- {group}" for group in groups)
        super().__init__(f"{len(faults)} faults in the data{kinds}:\n{listed}")

    def __reduce__(self) -> tuple[type[FaultyCasesError], tuple[tuple[DataError, ...]]]:
        return type(self), (self.faults,)


class Faults:
    """A growing list of faults.

    Attributes:
        found: The faults.
        passed_over: Entries of the folder that are no fault and not read, with the reason.
    """

    def __init__(self) -> None:
        self.found: list[DataError] = []
        self.passed_over: dict[Path, str] = {}

    def add(self, reason: str, *, case: str | None = None, file: Path | None = None, remedy: str | None = None) -> None:
        """Note a fault."""
        self.found.append(DataError(reason, case=case, file=file, remedy=remedy))

    def pass_over(self, path: Path, reason: str) -> None:
        """Note an entry that is not read, so that it can be named."""
        self.passed_over[path] = reason

    @contextlib.contextmanager
    def collect(self) -> Iterator[None]:
        """Note a `DataError` that the block raises, and go on."""
        try:
            yield
        except FaultyCasesError as error:
            self.found.extend(error.faults)
        except DataError as error:
            self.found.append(error)

    def raise_any(self) -> None:
        """Raise the one fault, or all of them as a `FaultyCasesError`; nothing when there are none."""
        if len(self.found) == 1:
            raise self.found[0]
        if self.found:
            raise FaultyCasesError(tuple(self.found))


@contextlib.contextmanager
def wrap_disk_errors(folder: Path) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" of the block into a `DataError`."""
    try:
        yield
    except (OSError, FileError) as error:
        behind = error.__cause__ if isinstance(error, FileError) else error
        if not isinstance(behind, OSError) or behind.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(
            "no space left on the disk", file=folder, remedy="free some space and run again: finished cases are kept"
        ) from error


def require_room(folder: Path, needed: int, what: str, remedy: str = "free some space and run again") -> None:
    """Check that `needed` bytes fit on the disk of `folder`, before anything is written there.

    Raises:
        DataError: They do not.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"no space left on the disk for {what}: it takes {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free",
            file=folder,
            remedy=remedy,
        )
