"""Batched augmentation on the device: parameters are drawn on the CPU, one `warp` moves image, label and coordinates.

All positions are in pixels of the unit (case or slice) a sample is taken from, in array order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.tensors import constant
from contrastseg.training.settings import AugmentationSettings

_COARSE = 4  # control points per axis of the elastic warp
_BEYOND = 3.0  # -1 to 1 is a block
_ROUNDING = 1e-3  # of positions, in pixels


@dataclass(frozen=True)
class Warp:
    """How patches look at their units.

    Attributes:
        matrix: (B, d, d), patch offset (pixels from the patch's centre) to unit offset.
        elastic: (B, d, 4, …) displacement in pixels at coarse control points, or None.
    """

    matrix: Tensor
    elastic: Tensor | None


@lru_cache(maxsize=64)
def _limits(ranges: tuple[tuple[float, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    """(n, 1) widths and lower ends of ranges."""
    widths = np.array([high - low for low, high in ranges], np.float32)
    return widths[:, None], np.array([low for low, _ in ranges], np.float32)[:, None]


def _between(uniform: np.ndarray, *ranges: tuple[float, float]) -> np.ndarray:
    """(n, B) numbers from 0 to 1 as numbers in n ranges."""
    widths, lower = _limits(ranges)
    scaled: np.ndarray = uniform * widths + lower
    return scaled


def draw_warp(random: torch.Generator, batch: int, spatial_dims: int, settings: AugmentationSettings) -> Warp:
    """Draw rotation and scaling in the plane (and about the slice axis in 3D), mirroring, and a smooth warp.

    Args:
        random: On the CPU.
        batch: Number of samples.
        spatial_dims: 2 or 3.
        settings: Ranges.
    """
    # In NumPy, whose operations on a few dozen numbers cost a third of torch's, and from one draw. Only where the two
    # round differently is it torch.
    uniform = torch.rand(4, batch, generator=random).numpy()
    largest, (smaller, larger) = settings.rotation_degrees, settings.scale
    degrees, scale = _between(uniform[:2], (-largest, largest), (math.log(smaller), math.log(larger)))
    angle = torch.from_numpy(degrees * np.float32(math.pi / 180))
    # A larger picture looks at a smaller part of the unit, hence the inverse.
    zoom = 1 / torch.from_numpy(scale).exp().numpy()
    cosine, sine = zoom * angle.cos().numpy(), zoom * angle.sin().numpy()
    thresholds = np.array([0.5 if axis in settings.flip_axes else 0 for axis in range(2)], np.float32)
    rows, columns = np.where(uniform[2:].reshape(batch, 2) < thresholds, np.float32(-1), np.float32(1)).T
    matrix = np.zeros((batch, spatial_dims, spatial_dims), np.float32)
    for axis in range(spatial_dims - 2):
        matrix[:, axis, axis] = 1
    matrix[:, -2, -2], matrix[:, -2, -1] = cosine * rows, -sine * columns
    matrix[:, -1, -2], matrix[:, -1, -1] = sine * rows, cosine * columns
    return Warp(torch.from_numpy(matrix), draw_elastic(random, batch, spatial_dims, settings))


def draw_elastic(
    random: torch.Generator, batch: int, spatial_dims: int, settings: AugmentationSettings
) -> Tensor | None:
    """Draw the smooth part of a warp, in the plane.

    Args:
        random: On the CPU.
        batch: Number of samples.
        spatial_dims: 2 or 3.
        settings: `elastic` is the largest displacement, in pixels.

    Returns:
        (B, d, *coarse grid), in pixels of the patch; None where the settings ask for none.
    """
    if settings.elastic == 0:
        return None
    shape = (batch, spatial_dims) + (_COARSE,) * spatial_dims
    elastic = (torch.rand(shape, generator=random) * 2 - 1) * settings.elastic
    elastic[:, : spatial_dims - 2] = 0
    return elastic


def identity_warp(batch: int, spatial_dims: int) -> Warp:
    """Make the warp that copies."""
    return Warp(torch.eye(spatial_dims).repeat(batch, 1, 1), None)


def draw_intensity(random: torch.Generator, batch: int, settings: AugmentationSettings) -> Tensor:
    """Draw the changes of intensity of each sample.

    Args:
        random: On the CPU.
        batch: Number of samples.
        settings: Ranges.

    Returns:
        (4, B, 1): an added constant, a contrast factor, an exponent, and the deviation of noise.
    """
    drawn = np.empty((4, batch), np.float32)
    drawn[0] = torch.randn(batch, generator=random).numpy() * np.float32(settings.brightness)
    uniform = torch.rand(3, batch, generator=random).numpy()
    drawn[1:] = _between(uniform, settings.contrast, settings.gamma, (0.0, settings.noise))
    return torch.from_numpy(drawn[:, :, None])


def _extents(farthest: Sequence[float]) -> tuple[int, ...]:
    return tuple(int(2 * math.ceil(r + 1) + 2) for r in farthest)


def block_shape(warp: Warp, patch: Sequence[int]) -> tuple[int, ...]:
    """Extents of the block of a unit that holds every pixel the warped patches look at, and its neighbours."""
    half = constant(tuple((n - 1) / 2 for n in patch), torch.device("cpu"))
    farthest = (warp.matrix.abs() @ half).numpy().max(axis=0)
    if warp.elastic is not None:
        farthest = farthest + warp.elastic.abs().max().numpy()
    return _extents(farthest.tolist())


def largest_block(patch: Sequence[int], settings: AugmentationSettings) -> tuple[int, ...]:
    """Extents of a block that is large enough for every warp that can be drawn: one shape for all steps."""
    half = [(n - 1) / 2 for n in patch]
    rows, columns = half[-2:]
    zoom, slope = 1 / settings.scale[0], math.tan(math.radians(settings.shear))
    turned = []
    for along, across in ((rows, columns), (columns, rows)):
        # |cos a|·along + |sin a|·across grows up to the angle whose tangent is across / along; that is the diagonal.
        angle = min(math.radians(settings.rotation_degrees), math.atan2(across, along))
        turned.append(math.cos(angle) * along + math.sin(angle) * across)
    if settings.rot90:
        turned = [max(turned)] * 2
    sheared = [turned[0] * (1 + slope**2) + turned[1] * slope, turned[0] * slope + turned[1]]
    farthest = [*half[:-2], *(zoom * each for each in sheared)]
    rounding = 1e-3  # of the float32 numbers that warps are drawn in
    return _extents([r + settings.elastic + rounding for r in farthest])


@lru_cache(maxsize=8)
def _patch_grid(patch: tuple[int, ...], device: torch.device) -> Tensor:
    """(1, d, pixels): offsets of a patch's pixels from its centre."""
    axes = [torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, len(patch)).mT


@lru_cache(maxsize=64)
def _steps(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """(d,): what one pixel of a block is in `grid_sample`'s coordinates."""
    extent = torch.tensor(shape, device=device, dtype=torch.float32)
    return 2 / (extent - 1).clamp(min=1)


def source_offsets(warp: Warp, patch: Sequence[int]) -> Tensor:
    """(B, *patch, d): where each pixel of the patch looks, in unit pixels from its centre; on the warp's device."""
    dims = len(patch)
    grid = _patch_grid(tuple(patch), warp.matrix.device)
    offsets = torch.bmm(warp.matrix.view(1, -1, dims), grid).view(-1, dims, *patch)
    if warp.elastic is not None:
        mode = "bilinear" if dims == 2 else "trilinear"
        offsets = offsets + F.interpolate(warp.elastic, size=list(patch), mode=mode, align_corners=True)
    return offsets.movedim(1, -1)


def sampling_grid(positions: Tensor, shape: Sequence[int]) -> Tensor:
    """Positions (B, *patch, d) in pixels of blocks of a shape, as `sample` wants them; a unit's layers share it."""
    # grid_sample wants the last axis first, and −1…1 from the first pixel's centre to the last one's.
    return (positions * _steps(tuple(shape), positions.device) - 1).flip(-1)


def sample(block: Tensor, grid: Tensor, nearest: bool = False, border: Literal["edge", "zero"] = "edge") -> Tensor:
    """Values of a block (B, C, *block) where a `sampling_grid` of it looks; its border continues outwards, or is 0."""
    mode = "nearest" if nearest else "bilinear"
    padding = "border" if border == "edge" else "zeros"
    return F.grid_sample(block, grid, mode=mode, padding_mode=padding, align_corners=True)


def leave_out(grid: Tensor, positions: Tensor, middle: Tensor) -> Tensor:
    """A grid that looks beyond its block, where `sample` finds 0, wherever a position is beyond its unit.

    Beyond are positions outside the centres of a unit's first and last pixels, as in scipy's mode `constant`.

    Args:
        grid: (B, *patch, d), of `sampling_grid`.
        positions: (B, *patch, d), in pixels of units.
        middle: (B, 1, …, d), (extent − 1) / 2 of units.
    """
    beyond = ((positions - middle).abs() > middle + _ROUNDING).any(-1, keepdim=True)
    return grid.masked_fill(beyond, _BEYOND)


def change_intensity(images: Tensor, change: Tensor, random: torch.Generator | None) -> Tensor:
    """Gamma on the sample's own range, contrast about its mean, brightness, noise. (B, C, *patch) in and out.

    Args:
        images: On any device.
        change: As `draw_intensity` makes it, on the same device.
        random: For noise fields, on the same device too: the only numbers not drawn on the CPU. None adds none.
    """
    brightness, contrast, gamma, noise = change.unbind()
    flat = images.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    span = (high - low).clamp_(min=1e-6)
    flat = (flat - low).div_(span).clamp_(min=1e-6).pow_(gamma).mul_(span).add_(low)
    mean = flat.mean(1, keepdim=True)
    flat.sub_(mean).mul_(contrast).add_(mean).add_(brightness)
    if random is not None:
        flat += torch.randn(flat.shape, generator=random, device=flat.device).mul_(noise)
    return flat.view(images.shape)


def add_clipped_noise(images: Tensor, strength: float, random: torch.Generator) -> Tensor:
    """Add clip(strength · N(0, 1), ±2 · strength).

    Args:
        images: (B, C, *patch).
        strength: Standard deviation before clipping, in image units.
        random: On the images' device.
    """
    noise = torch.randn(images.shape, generator=random, device=images.device)
    return images + (noise * strength).clamp(-2 * strength, 2 * strength)
