"""Reads masks of one structure from photographs' files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from contrastseg.data.formats import reading
from contrastseg.data.mask_values import Coding, grey_notes, plain_coding
from contrastseg.data.photographs import open_photo
from contrastseg.errors import DataError


def read_grey_mask(path: Path, case: str) -> np.ndarray:
    """Read the values of a mask as they are stored: uint8 (Y, X), 0 and 255 of a bitmap of one bit.

    Raises:
        DataError: The file is unreadable, has colours, or 16 bits.
    """
    with reading(path, case), open_photo(path) as image:
        if image.mode in ("P", "RGB", "RGBA"):
            red, green, blue = image.convert("RGB").split()
            coloured = red.tobytes() != green.tobytes() or red.tobytes() != blue.tobytes()
            grey = None if coloured else red
        else:
            grey = image.convert("L") if image.mode in ("1", "L", "LA") else None
        if grey is None:
            raise DataError(
                f"a mask of mode {image.mode}",
                case=case,
                file=path,
                remedy="store the structure as 255 on 0 in a greyscale image of 8 bits",
            )
    return np.array(grey)


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
