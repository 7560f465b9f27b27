"""Whole files or none: atomic writing and content hashes, for every room."""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contrastseg.errors import ContrastsegError, FileError, SuiteError

OTHER_IMAGES = (
    *(".gif", ".webp", ".heic", ".heif", ".avif", ".jp2"),
    *(".npy", ".npz", ".h5", ".mhd", ".nhdr", ".img", ".dcm"),
)
"""Endings of images and label maps that are read nowhere outside published data sets: named, never skipped."""

_WRITABLE = "choose a folder that you can write to, or change the rights of this one (`chmod`)"

# What a disk reports when it refuses to write, and what to do about it. Other errors of the system are not the disk's.
_DISK = {
    errno.ENOSPC: ("no space left on the disk", "free some space and run again"),
    errno.EDQUOT: ("the quota of this disk is used up", "free some space and run again"),
    errno.EFBIG: ("the file would be larger than this system allows", "raise the limit (`ulimit -f`) and run again"),
    errno.EROFS: ("the disk is read-only", _WRITABLE),
    errno.EACCES: ("permission denied: cannot write to this folder", _WRITABLE),
    errno.EPERM: ("permission denied: cannot write to this folder", _WRITABLE),
    errno.EIO: ("the disk reports an input/output error", "check the disk; results on it may be damaged"),
}


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there when the block ends without an error.

    The temporary name keeps the suffixes of `path` (writers choose the format by them) and starts with a dot.
    A reader therefore sees the old file, the whole new one, or none.

    Raises:
        FileError: The disk is full or cannot be written to; the old file is as it was.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    with wrap_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(OSError):  # what went wrong before is worth more
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def wrap_write_errors(path: str | Path) -> Iterator[None]:
    """Turn what the disk says while the block writes `path` into a `FileError` with a remedy.

    It is looked for behind other errors too: writers in C notice that they were refused, and not why.
    """
    try:
        yield
    except ContrastsegError:
        raise
    except Exception as error:
        if (found := disk_error(error, path)) is None:
            raise
        raise found from error


def disk_error(error: BaseException, path: str | Path | None = None) -> FileError | None:
    """The error of the disk behind an error, None where there is none.

    Args:
        error: What was raised.
        path: What was written; the file that the system names, if unset.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _DISK:
            reason, remedy = _DISK[seen.errno]
            return FileError(reason, file=seen.filename if path is None else path, remedy=remedy)
        seen = seen.__cause__ or seen.__context__
    return None


@contextlib.contextmanager
def wrap_parse_errors(
    path: str | Path, kind: type[ContrastsegError] = FileError, remedy: str = "restore it, or make it again"
) -> Iterator[None]:
    """Turn what goes wrong while the block takes apart what it read from `path` into an error that names it."""
    try:
        yield
    except ContrastsegError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, csv.Error) as error:
        said = " ".join(str(error).split())[:300]
        raise kind(
            f"the content is not what it should be ({type(error).__name__}: {said})", file=path, remedy=remedy
        ) from error


def require_path(path: Path, what: str, remedy: str) -> Path:
    """`path`, when it is there.

    Raises:
        SuiteError: It is not.
    """
    if not path.exists():
        raise SuiteError(f"{what} not found", file=path, remedy=remedy)
    return path


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file (UTF-8).

    Raises:
        FileError: It is missing, holds something else, or half of it.
    """
    try:
        text = Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileError("file not found", file=path, remedy="make the file again, or restore it") from error
    except OSError as error:
        raise FileError(
            f"the file cannot be read ({error.strerror})", file=path, remedy="check its name and rights (`ls -l`)"
        ) from error
    try:
        return json.loads(text.decode("utf-8-sig"))  # editors on Windows begin a file with a mark
    except (ValueError, RecursionError) as error:
        reason = f"the file is not valid JSON, or incomplete ({error})"
        raise FileError(reason, file=path, remedy="delete it and make it again, or restore it") from error


def write_if_changed(path: str | Path, text: str) -> bool:
    """Write `text` only when it differs from the file; return whether it did. Keeps mtime-based reruns quiet."""
    path = Path(path)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def sha256(path: str | Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: str | Path) -> str:
    """The hex MD5 of a file's bytes: what some publishers give; it tells damage, not malice."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def digest(value: Any) -> str:
    """A short (16 hex digits) hash of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
