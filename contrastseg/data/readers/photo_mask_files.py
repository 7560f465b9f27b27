"""Reads masks of one structure from photographs' files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrastseg.data.files.photographs import grey_values, open_photo
from contrastseg.data.read_errors import wrap_read_errors
from contrastseg.data.readers.mask_values import Coding, grey_notes, plain_coding
from contrastseg.errors import DataError


def read_grey_mask(path: Path, case: str) -> np.ndarray:
    """Read the values of a mask as they are stored: uint8 (Y, X), 0 and 255 of a bitmap of one bit.

    Raises:
        DataError: The file is unreadable, has colours, or 16 bits.
    """
    with wrap_read_errors(path, case), open_photo(path) as image:
        grey = grey_values(image)
        if grey is None:
            raise DataError(
                f"a mask of mode {image.mode}",
                case=case,
                file=path,
                remedy="store the structure as 255 on 0 in a greyscale image of 8 bits",
            )
    return grey


def read_binary_mask(path: Path, case: str, coding: Coding | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a mask of one structure.

    Args:
        path: The file.
        case: For messages.
        coding: What the values mean in the whole set, see `coding_of`. Without it the file must hold 0 and 1, 0 and 255
            or greys up to white.

    Returns:
        uint8 (Y, X) of 0 and 1; a note where values had to be thresholded (lossy compression, interpolation).

    Raises:
        DataError: The file is unreadable, has colours, or 16 bits, or a value that the coding does not know.
    """
    grey = read_grey_mask(path, case)
    coding = coding or plain_coding(grey, case, path)
    return coding.apply(grey, case, path), grey_notes(grey, coding)
