"""Perturbations that predictions are compared under: photometric jitter, blur, channel dropout; batched, on the device.

What changes from sample to sample is a tensor, so a recorded step replays them with new values.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.tensors import constant

_GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""
_SIXTHS = 6.0
_DELTA = 1e-3  # a blur so narrow, in pixels, that it copies


def photometric_jitter(images: Tensor, change: Tensor, limits: tuple[float, float] | None = None) -> Tensor:
    """Change brightness and contrast and, of three channels, saturation and hue, in this order.

    With values in [0, 1]: x ← b·x, x ← c·x + (1 − c)·mean grey, x ← s·x + (1 − s)·grey, each cut to [0, 1]; then the
    hue is turned. These are torchvision's `ColorJitter` operations, without rounding to 8 bits.

    Args:
        images: (B, C, *spatial); three channels are red, green and blue.
        change: (4, B), float32: factors b, c and s, and the turn of the hue as a share of a whole turn.
        limits: What 0 and 1 are in the images; if unset, the lowest and highest value of each image.

    Returns:
        Shape and type of the images.

    Example:
        >>> images = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
        >>> photometric_jitter(images, torch.tensor([[0.5], [1.0], [1.0], [0.0]])).flatten().tolist()
        [0.0, 0.25, 0.5]
    """
    values = images.float()
    per_image = (-1, *[1] * (images.ndim - 1))
    if limits is None:
        low, high = (each.view(per_image) for each in values.flatten(1).aminmax(dim=1))
        span = (high - low).clamp(min=1e-6)
    else:
        low, span = limits[0], max(limits[1] - limits[0], 1e-6)  # type: ignore[assignment]
    brightness, contrast, saturation, turn = (row.view(per_image) for row in change)
    colours = images.shape[1] == len(_GREY)
    values = ((values - low) / span * brightness).clamp(0, 1)
    mean = (_grey(values) if colours else values).flatten(1).mean(1).view(per_image)
    values = (contrast * values + (1 - contrast) * mean).clamp(0, 1)
    if colours:
        values = (saturation * values + (1 - saturation) * _grey(values)).clamp(0, 1)
        turn = turn.flatten() * _SIXTHS
        values = change_colours(values, torch.stack([turn, torch.zeros_like(turn)]))
    return (values * span + low).to(images.dtype)


def _grey(images: Tensor) -> Tensor:
    weights = constant(_GREY, images.device).view(1, 3, *[1] * (images.ndim - 2))
    return (images * weights).sum(1, keepdim=True)


def change_colours(images: Tensor, change: Tensor) -> Tensor:
    """Turn the hue and raise or lower the saturation, as HSV has them. (B, 3, *patch) in and out.

    Args:
        images: Red, green and blue from 0 to 1.
        change: (2, B): turn of the hue in sixths of a turn, and what is added to the saturation; on the same device.

    Example:
        >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
        >>> change_colours(red, torch.tensor([[2.0], [0.0]])).flatten().tolist()  # a third of a turn: green
        [0.0, 1.0, 0.0]
    """
    turn, more = change.view(2, -1, *[1] * (images.ndim - 1))
    value, highest = images.max(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    # Of red: green - blue; of green: blue - red; of blue: red - green.
    difference = images.roll(-1, 1) - images.roll(-2, 1)
    hue = difference.gather(1, highest) / chroma.clamp(min=1e-6) + 2 * highest + turn
    saturation = (chroma / value.clamp(min=1e-6) + more).clamp(0, 1)
    places = constant((5.0, 3.0, 1.0), images.device).view(3, *[1] * (images.ndim - 2))
    distance = (hue + places) % 6
    return value * (1 - saturation * torch.minimum(distance, 4 - distance).clamp(0, 1))


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Blur each image by a Gaussian of its own width, along all spatial axes; its border continues outwards.

    Args:
        images: (B, C, *spatial).
        sigma: (B,), standard deviation in pixels; 0 leaves an image as it is.
        radius: Where the Gaussian is cut off, in pixels: three of the largest standard deviations.

    Returns:
        Shape and type of the images.

    Example:
        >>> images = torch.zeros(1, 1, 5, 5)
        >>> images[0, 0, 2, 2] = 1.0
        >>> blurred = gaussian_blur(images, torch.tensor([0.5]), radius=2)
        >>> round(blurred[0, 0, 2, 2].item(), 3), round(blurred.sum().item(), 3)
        (0.619, 1.0)
    """
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=torch.float32)
    weights = (-0.5 * (offsets / sigma.clamp(min=_DELTA)[:, None]).square()).exp()
    weights = (weights / weights.sum(1, keepdim=True))[:, None]
    values = images.float()
    # Autocast would take the products in half precision.
    with torch.autocast(images.device.type, enabled=False):
        for axis in range(2, images.ndim):
            lines = values.movedim(axis, -1)
            padded = F.pad(lines.flatten(1, -2).transpose(0, 1), (radius, radius), mode="replicate")
            values = F.conv1d(padded, weights, groups=len(images)).transpose(0, 1).reshape(lines.shape)
            values = values.movedim(-1, axis)
    return values.to(images.dtype)


def channel_dropout(features: Tensor, share: float) -> Tensor:
    """Set whole channels to 0 at random and divide the others by 1 − share, whatever mode a network is in.

    Args:
        features: (B, C, *spatial), one map in 2D or 3D.
        share: Probability of each channel of each sample, from 0 to below 1.

    Example:
        >>> kept = channel_dropout(torch.ones(1, 1000, 2, 2), 0.5)
        >>> sorted(set(kept.flatten().tolist()))
        [0.0, 2.0]
    """
    dropout = F.dropout2d if features.ndim == 4 else F.dropout3d
    return dropout(features, share, training=True)
