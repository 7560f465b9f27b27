"""Opens photographs as viewers show them, and refuses those whose values would be cut."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contrastseg.data.files.declared_size import check_declared_size
from contrastseg.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr")
_ANY_SIZE = threading.Lock()  # held while Pillow's own limit is lifted
# What Pillow calls the pixels of a file it cuts; BGR;16 has 16 bits a pixel.
_SIXTEEN_BITS = re.compile(r"(?:L|LA|RGB|RGBA|RGBX|RGBa|CMYK);(?:16|32)[BLNS]*$")


def open_photo(path: Path) -> Image.Image:
    """The image as viewers show it: turned upright by its EXIF orientation, whatever its format.

    It is opened from memory: a damaged length inside it then asks for no more than the file holds.
    """
    image = open_image(path)
    _check_depth(image, path)
    if turn_of(image) is not None:
        image.load()
        # Asked again, as Pillow itself turns a TIFF file while it loads it.
        if (turn := turn_of(image)) is not None:
            return image.transpose(turn)
    return image


def open_image(path: Path) -> Image.Image:
    """The image as it is stored, however large it is, where the file can hold as much.

    Pillow alone refuses more than 179 million pixels, and slides have more.

    Raises:
        DataError: The header promises more pixels than the file can hold.
    """
    from PIL import Image as images

    content = path.read_bytes()
    with _ANY_SIZE:
        allowed, images.MAX_IMAGE_PIXELS = images.MAX_IMAGE_PIXELS, None
        try:
            image = images.open(io.BytesIO(content))
        finally:
            images.MAX_IMAGE_PIXELS = allowed
    check_declared_size(image.width * image.height * len(image.getbands()), len(content), path)
    return image


def _check_depth(image: Image.Image, path: Path) -> None:
    """Refuse an image of more bits a channel than Pillow reads: it cuts them to 8 without a word.

    Args:
        image: Opened, not loaded yet.
        path: For the message.

    Raises:
        DataError: It has.
    """
    tiles: Any = getattr(image, "tile", ()) if image.mode in _EIGHT_BITS else ()
    for _, _, _, how in tiles:
        parts = how if isinstance(how, tuple) else (how,)
        deep = any(isinstance(part, str) and _SIXTEEN_BITS.match(part) for part in parts)
        if deep or any(isinstance(part, int) and image.format == "PPM" and part > 255 for part in parts):
            raise DataError(
                f"an image of 16 bits a channel ({len(image.getbands())} channels)",
                file=path,
                remedy="convert it to 8 bits a channel (`magick FILE -depth 8 FILE`), or store volumes as NIfTI, which "
                "keeps 16 bits",
            )


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What brings the stored pixels upright; None where they are, or where nothing readable is said of it."""
    from PIL import ExifTags
    from PIL.Image import Transpose

    if image.format == "PNG":
        image.load()  # its EXIF may follow the pixels
    orientation: Any = None
    # Damaged EXIF warns or fails in every way, and the pixels may be sound.
    with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)


def grey_values(image: Image.Image) -> np.ndarray | None:
    """The values of an image without colours; transparency is dropped.

    Returns:
        uint8 (Y, X), 0 and 255 for one bit a pixel; None where there are colours, more bits than 8, or nothing but
        transparency that shows anything.
    """
    if image.mode in ("1", "L"):
        return np.array(image.convert("L"))
    if image.mode not in ("P", "LA", "PA", "RGB", "RGBA"):
        return None
    channels = np.asarray(image.convert("RGBA"))
    grey, alpha = channels[..., 0], channels[..., 3]
    if (channels[..., :3] != grey[..., None]).any():
        return None
    if grey.size and (grey == grey.flat[0]).all() and not (alpha == alpha.flat[0]).all():
        return None
    return np.ascontiguousarray(grey)


def reversed_greys(image: Image.Image) -> bool:
    """Whether a palette without colours shows a low index brighter than a high one: then it is no map of indices."""
    return falls(np.reshape(image.getpalette("RGB") or [], (-1, 3)), np.asarray(image))


def falls(palette: np.ndarray, indices: np.ndarray) -> bool:
    """Whether a palette (entries, 3) has no colours at the indices (any shape) and darkens as they rise."""
    colours = palette[np.unique(indices)]
    return bool((colours == colours[:, :1]).all() and (np.diff(colours[:, 0].astype(int)) < 0).any())
