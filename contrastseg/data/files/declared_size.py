"""What a file's header may promise, and what to do about a file that is not whole."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.read_errors import COPY_AGAIN
from contrastseg.errors import DataError

# Deflate, which NIfTI, PNG and h5 files are compressed by, reaches 1032 to 1.
_LARGEST_RATIO = 1100
_ALWAYS_READ = 1 << 28


def check_declared_size(claimed: int, stored: int, path: Path, case: str | None = None) -> None:
    """Refuse a header that promises more than the file can hold, before memory is asked for.

    Args:
        claimed: Bytes that the header says there are.
        stored: Bytes of the file; compressed ones may hold a thousand times as many.
        path: For the message.
        case: For the message.

    Raises:
        DataError: It does.
    """
    if claimed > _ALWAYS_READ and claimed > _LARGEST_RATIO * stored:
        raise DataError(
            f"the header declares {claimed / 1e9:.1f} GB, and the file has {stored} bytes",
            case=case,
            file=path,
            remedy=COPY_AGAIN,
        )
