"""Turns what readers raise on a broken file into an error that names the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from contrastseg.errors import ContrastsegError, DataError

COPY_AGAIN = "copy it again from where it was made or published, or leave out the case"


@contextlib.contextmanager
def wrap_read_errors(path: str | Path, case: str | None = None) -> Iterator[None]:
    """Turn whatever a reader raises on a missing, empty, truncated or foreign file into a `DataError` that names it."""
    path = Path(path)
    if path.is_symlink() and not path.exists():
        raise DataError(
            "the link leads nowhere", case=case, file=path, remedy="restore what it points at, or remove the link"
        )
    if not path.is_file():
        raise DataError("the file does not exist", case=case, file=path, remedy=COPY_AGAIN)
    if path.stat().st_size == 0:
        raise DataError("the file is empty", case=case, file=path, remedy=COPY_AGAIN)
    try:
        yield
    except ContrastsegError:
        raise
    except PermissionError as error:
        raise DataError(
            "permission denied: the file cannot be read",
            case=case,
            file=path,
            remedy=f"give yourself the right to read it (`chmod u+r {path.name}`)",
        ) from error
    except MemoryError as error:
        raise DataError(
            "the file does not fit into memory, if it holds what it says",
            case=case,
            file=path,
            remedy="check its header; if the size there is right, use a machine with more memory",
        ) from error
    except Exception as error:  # decoders raise errors of every kind on files that are none of theirs
        said = " ".join(str(error).split())[:300]
        raise DataError(
            f"the file cannot be read, it may be truncated or of another format ({type(error).__name__}: {said})",
            case=case,
            file=path,
            remedy=f"open it in another program; if that fails too, {COPY_AGAIN}",
        ) from error
