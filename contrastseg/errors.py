"""Typed errors: every one names the case, the file, the reason and the remedy, as far as they are known."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Protocol

_FEW = 5  # names that a reader sees at a glance
_SECRETS = (
    re.compile(r"(\w://)[^/\s@]+(?=@)"),  # user:password@
    re.compile(r"([?&;][\w.-]*(?:token|secret|sig|key|passw|pwd|auth|credential|session)[\w.-]*=)[^&\s'\"]+", re.I),
    re.compile(r"\b((?:authorization:\s*\w+|bearer)\s+)[\w.~+/=-]{8,}", re.I),
)


class ContrastsegError(Exception):
    """An error a user can act on.

    Args:
        reason: What is wrong, in one sentence.
        case: The case (or patient, run, method) it concerns.
        file: The file it was found in.
        remedy: What to do about it.
    """

    def __init__(
        self,
        reason: str,
        *,
        case: str | None = None,
        file: str | Path | None = None,
        remedy: str | None = None,
    ) -> None:
        self.reason = redacted(reason)
        self.case = case
        self.file = None if file is None else Path(file)
        self.remedy = remedy
        super().__init__(self.reason, case, file, remedy)

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is copied by its arguments in order, and these have names; workers hand their errors over so.
        return _again, (type(self), self.reason, self.case, self.file, self.remedy)

    def __str__(self) -> str:
        parts = [self.reason]
        if self.case is not None:
            parts.append(f"case: {self.case}")
        if self.file is not None:
            parts.append(f"file: {self.file}")
        if self.remedy is not None:
            parts.append(f"Fix: {self.remedy}")
        return "\n  ".join(parts)


def redacted(text: str) -> str:
    """The text without passwords, tokens and signatures in addresses: libraries quote the addresses they fail at."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def _again(
    kind: type[ContrastsegError], reason: str, case: str | None, file: Path | None, remedy: str | None
) -> ContrastsegError:
    return kind(reason, case=case, file=file, remedy=remedy)


class FileError(ContrastsegError):
    """A file that cannot be read, or not be written."""


class DataError(ContrastsegError):
    """Input data that cannot be used as it is."""


class SplitError(ContrastsegError):
    """A split that names absent patients, repeats one, or leaves no one to train or test on."""


class PoolError(ContrastsegError):
    """A pre-training pool that holds a test case, no case at all, or cases that do not fit."""


class SuiteError(ContrastsegError):
    """A suite that asks for something that does not exist or contradicts itself."""


class RecipeError(ContrastsegError):
    """A recipe file that is wrong, or a suite that claims a recipe and does not follow it."""


class UnavailableDataError(DataError):
    """A data set that is neither on this machine nor openly downloadable."""


class TrainingError(ContrastsegError):
    """A training run that cannot start or go on."""


class CheckpointError(TrainingError):
    """A checkpoint that is missing, incomplete, or belongs to another run."""


class DeviceError(ContrastsegError):
    """No device that the run may use, or one that failed."""


class DeviceMemoryError(DeviceError):
    """More memory asked for than the device has."""


class ScoringError(ContrastsegError):
    """A prediction and a reference that cannot be compared."""


class EnterError(ContrastsegError):
    """Predictions of another trainer that cannot stand in a suite's tables as they are."""


class SubmissionError(EnterError):
    """A submitted row that cannot be accepted as it is."""


def unknown_name(kind: str, name: str, known: list[str] | tuple[str, ...]) -> str:
    """One sentence that says which name is unknown and which ones there are, and which of many was probably meant."""
    near = difflib.get_close_matches(name, known, 1) if len(known) > _FEW else []
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind} {name!r}; there are: {', '.join(sorted(known)) or 'none'}{meant}"


class _Faulty(Protocol):
    def errors(self) -> list[Any]: ...


def invalid_values(error: _Faulty, where: str = "") -> str:
    """What a model says of its values (pydantic's `ValidationError`), in a line each: place, fault, what was found.

    Args:
        error: The error.
        where: The place of the whole value, such as ``preparation``.
    """
    lines = []
    for fault in error.errors():
        place = ".".join([*([where] if where else []), *map(str, fault["loc"])])
        found = "" if fault["type"] in ("missing", "value_error") else f"; found {fault['input']!r:.60}"
        said = fault["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {said}{found}" if place else f"{said}{found}")
    return "\n  ".join(lines)
