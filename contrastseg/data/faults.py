"""Collects what is wrong with a data set, so that all of it is reported at once."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from contrastseg.errors import DataError, FileError


class FaultyCasesError(DataError):
    """Several faults of one data set.

    Attributes:
        faults: Each with its own case, file, reason and remedy.
    """

    def __init__(self, faults: tuple[DataError, ...]) -> None:
        self.faults = faults
        listed = "\n".join(f"- {fault}" for fault in faults)
        super().__init__(f"{len(faults)} faults in the data:\n{listed}")

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
def room_on_disk(folder: Path) -> Iterator[None]:
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
