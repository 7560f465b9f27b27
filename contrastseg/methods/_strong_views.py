"""Strong views of unlabelled images: photometric jitter, blur, and a box of another image (CutMix).

What a step draws is made on the host, in one tensor; the device changes the images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError

if TYPE_CHECKING:
    from torch import Tensor

JITTER: dict[str, Any] = {
    "jitter": (0.5, 0.5, 0.5, 0.25),
    "jitter_probability": 0.8,
    "blur": (0.1, 2.0),
    "blur_probability": 0.5,
    "intensity_limits": None,
}
JITTER_OPTIONS = {
    "jitter": "brightness, contrast and saturation by up to ±0.5, hue by up to a quarter turn, as released; images"
    " without three channels have the first two",
    "jitter_probability": "0.8, as released",
    "blur": "standard deviation of the Gaussian, 0.1 to 2 pixels, as released",
    "intensity_limits": "unset: each image's own lowest and highest value, since intensities may be of any scale; the"
    " release cuts at [0, 1], which is right for images of the intensity rule `minmax`",
}
JITTER_DIFFERS = (
    "The parts of the jitter come in one order (brightness, contrast, saturation, hue) and without rounding to 8 bits;"
    " the release draws the order. The blur is a Gaussian; the release's is an approximation by boxes."
)
CUTMIX: dict[str, Any] = {
    "cutmix_probability": 0.5,
    "cutmix_area": (0.02, 0.4),
    "cutmix_ratio": (0.3, 10 / 3),
}
_TRIES = 200


def check_ranges(method: str, settings: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse settings that are to be two numbers, the smaller first, and are not; an unset one passes.

    Raises:
        SuiteError: The first that is not.
    """
    for name in names:
        value = settings[name]
        if value is None:
            continue
        pair = value if isinstance(value, list | tuple) else []
        numbers = [each for each in pair if isinstance(each, int | float) and not isinstance(each, bool)]
        if len(pair) != 2 or len(numbers) != 2 or not pair[0] <= pair[1]:
            raise SuiteError(f"{name} of {method} is {value!r}", remedy="give two numbers, the smaller one first")


def draw_jitter(batch: int, settings: Mapping[str, Any]) -> Tensor:
    """Draw what `jittered` does to each image, (5, B), on the CPU from torch's generator.

    Args:
        batch: Images.
        settings: Those of `JITTER`.
    """
    import torch

    uniform = torch.rand(8, batch)
    ranges = torch.tensor(settings["jitter"])[:, None] * (uniform[:4] * 2 - 1)
    neutral = torch.tensor([1.0, 1.0, 1.0, 0.0])[:, None]
    change = neutral + ranges.where(uniform[4] < settings["jitter_probability"], 0)
    low, high = settings["blur"]
    sigma = (low + uniform[5] * (high - low)).where(uniform[6] < settings["blur_probability"], 0)
    return torch.cat([change, sigma[None]])


def jittered(images: Tensor, drawn: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Jitter and blur images (B, C, *spatial) as `draw_jitter` has drawn."""
    import math

    from contrastseg.losses.perturbation import gaussian_blur, photometric_jitter

    limits = settings["intensity_limits"]
    changed = photometric_jitter(images, drawn[:4], None if limits is None else tuple(limits))
    if settings["blur_probability"] == 0:
        return changed
    return gaussian_blur(changed, drawn[4], math.ceil(3 * settings["blur"][1]))


def draw_boxes(batch: int, shape: Sequence[int], settings: Mapping[str, Any]) -> Tensor:
    """Draw the box of each image, (2d, B): first pixels along each axis, then the ends; without pixels where none is.

    Area, ratio and place are uniform; ratio and place are drawn again until the box fits, as the release does. In 3D
    the share is one of the volume, of which the slice axis has the third root.

    Args:
        batch: Images.
        shape: Of an image.
        settings: Those of `CUTMIX`.
    """
    import numpy as np
    import torch

    extent = np.array(shape)
    dims, (low, high) = len(shape), settings["cutmix_ratio"]
    smallest, largest = settings["cutmix_area"]
    uniform = torch.rand(2, batch).numpy()
    share = smallest + uniform[1] * (largest - smallest)
    plane = share ** (2 / dims) * extent[-2] * extent[-1]
    first, side = np.zeros((batch, dims), np.int64), np.zeros((batch, dims), np.int64)
    left = np.ones(batch, bool)
    for _ in range(_TRIES):
        drawn = torch.rand(batch, 1 + dims).numpy()
        ratio = low + drawn[:, 0] * (high - low)
        sides = [share ** (1 / dims) * n for n in shape[:-2]] + [np.sqrt(plane * ratio), np.sqrt(plane / ratio)]
        tried = np.floor(np.stack(sides, axis=1)).astype(np.int64)
        first[left], side[left] = np.floor(drawn[:, 1:] * extent).astype(np.int64)[left], tried[left]
        left &= (first + side > extent).any(1)
        if not left.any():
            break
    side[left] = 0  # a ratio that no image has room for
    side[uniform[0] >= settings["cutmix_probability"]] = 0
    return torch.from_numpy(np.concatenate([first, first + side], axis=1).T.astype(np.float32))


def boxes(drawn: Tensor, shape: Sequence[int]) -> Tensor:
    """The masks (B, *shape) of drawn boxes (2d, B)."""
    from contrastseg.losses.mixing import box_mask

    low, high = drawn.chunk(2)
    return box_mask(low.T, high.T, shape)
