"""Batched augmentation on the device: parameters are drawn on the CPU, one `warp` moves image, label and coordinates.

All positions are in pixels of the unit (case or slice) a sample is taken from, in array order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.training.settings import AugmentationSettings

_COARSE = 4  # control points per axis of the elastic warp


@dataclass(frozen=True)
class Warp:
    """How patches look at their units.

    Attributes:
        matrix: (B, d, d), patch offset (pixels from the patch's centre) to unit offset.
        elastic: (B, d, 4, …) displacement in pixels at coarse control points, or None.
    """

    matrix: Tensor
    elastic: Tensor | None


@dataclass(frozen=True)
class Intensity:
    """Per sample (B,): added constant, contrast factor, exponent, and standard deviation of noise."""

    brightness: Tensor
    contrast: Tensor
    gamma: Tensor
    noise: Tensor


def _between(uniform: np.ndarray, low: float, high: float) -> Tensor:
    """Numbers from 0 to 1 as numbers from `low` to `high`."""
    return torch.from_numpy(uniform * np.float32(high - low) + np.float32(low))


def draw_warp(random: torch.Generator, batch: int, spatial_dims: int, settings: AugmentationSettings) -> Warp:
    """Rotation and scaling in the plane (and about the slice axis in 3D), mirroring, and a smooth warp."""
    # In NumPy, whose operations on a few dozen numbers cost a third of torch's, and from one draw.
    uniform = torch.rand(4, batch, generator=random).numpy()
    angle = torch.deg2rad(_between(uniform[0], -settings.rotation_degrees, settings.rotation_degrees))
    # A larger picture looks at a smaller part of the unit, hence the inverse.
    zoom = _between(uniform[1], math.log(settings.scale[0]), math.log(settings.scale[1])).exp().reciprocal().numpy()
    mirrored = uniform[2:].reshape(batch, 2) < 0.5
    flips = np.ones((batch, 2), np.float32)
    for axis in settings.flip_axes:
        flips[mirrored[:, axis], axis] = -1
    cosine, sine = angle.cos().numpy() * zoom, angle.sin().numpy() * zoom
    matrix = np.zeros((batch, spatial_dims, spatial_dims), np.float32)
    matrix[:, range(spatial_dims - 2), range(spatial_dims - 2)] = 1
    matrix[:, -2, -2], matrix[:, -2, -1] = cosine * flips[:, 0], -sine * flips[:, 1]
    matrix[:, -1, -2], matrix[:, -1, -1] = sine * flips[:, 0], cosine * flips[:, 1]
    elastic = None
    if settings.elastic > 0:
        shape = (batch, spatial_dims) + (_COARSE,) * spatial_dims
        elastic = (torch.rand(shape, generator=random) * 2 - 1) * settings.elastic
        elastic[:, : spatial_dims - 2] = 0
    return Warp(torch.from_numpy(matrix), elastic)


def identity_warp(batch: int, spatial_dims: int) -> Warp:
    """The warp that copies."""
    return Warp(torch.eye(spatial_dims).repeat(batch, 1, 1), None)


def draw_intensity(random: torch.Generator, batch: int, settings: AugmentationSettings) -> Intensity:
    """Brightness, contrast, gamma and noise strength of each sample."""
    brightness = torch.randn(batch, generator=random) * settings.brightness
    uniform = torch.rand(3, batch, generator=random).numpy()
    ranges = (settings.contrast, settings.gamma, (0.0, settings.noise))
    return Intensity(brightness, *(_between(each, *limits) for each, limits in zip(uniform, ranges, strict=True)))


def _extents(reach: Sequence[float]) -> tuple[int, ...]:
    return tuple(int(2 * math.ceil(r + 1) + 2) for r in reach)


def block_shape(warp: Warp, patch: Sequence[int]) -> tuple[int, ...]:
    """Extents of the block of a unit that holds every pixel the warped patches look at, and its neighbours."""
    half = torch.tensor([(n - 1) / 2 for n in patch])
    reach = (warp.matrix.abs() @ half).amax(0)
    if warp.elastic is not None:
        reach = reach + warp.elastic.abs().amax()
    return _extents(reach.tolist())


def largest_block(patch: Sequence[int], settings: AugmentationSettings) -> tuple[int, ...]:
    """Extents of a block that is large enough for every warp `draw_warp` can draw: one shape for all steps."""
    half = [(n - 1) / 2 for n in patch]
    rows, columns = half[-2:]
    zoom = 1 / settings.scale[0]
    reach = [*half[:-2]]
    for own, other in ((rows, columns), (columns, rows)):
        # |cos a|·own + |sin a|·other grows up to the angle whose tangent is other / own, where it is the diagonal.
        angle = min(math.radians(settings.rotation_degrees), math.atan2(other, own))
        reach.append(zoom * (math.cos(angle) * own + math.sin(angle) * other))
    rounding = 1e-3  # of the float32 numbers that warps are drawn in
    return _extents([r + settings.elastic + rounding for r in reach])


@lru_cache(maxsize=8)
def _patch_grid(patch: tuple[int, ...], device: torch.device) -> Tensor:
    axes = [torch.arange(n, device=device, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


@lru_cache(maxsize=64)
def _steps(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """(d,): what one pixel of a block is in `grid_sample`'s coordinates."""
    extent = torch.tensor(shape, device=device, dtype=torch.float32)
    return 2 / (extent - 1).clamp(min=1)


def source_offsets(warp: Warp, patch: Sequence[int]) -> Tensor:
    """(B, *patch, d): where each pixel of the patch looks, in unit pixels from its centre; on the warp's device."""
    grid = _patch_grid(tuple(patch), warp.matrix.device)
    offsets = torch.einsum("bij,...j->b...i", warp.matrix, grid)
    if warp.elastic is not None:
        mode = "bilinear" if len(patch) == 2 else "trilinear"
        field = F.interpolate(warp.elastic, size=list(patch), mode=mode, align_corners=True)
        offsets = offsets + field.movedim(1, -1)
    return offsets


def sampling_grid(positions: Tensor, shape: Sequence[int]) -> Tensor:
    """Positions (B, *patch, d) in pixels of blocks of a shape, as `sample` wants them; a unit's layers share it."""
    # grid_sample wants the last axis first, and −1…1 from the first pixel's centre to the last one's.
    return (positions * _steps(tuple(shape), positions.device) - 1).flip(-1)


def sample(block: Tensor, grid: Tensor, nearest: bool = False) -> Tensor:
    """Values of a block (B, C, *block) where a `sampling_grid` of it looks; its border continues outwards."""
    mode = "nearest" if nearest else "bilinear"
    return F.grid_sample(block, grid, mode=mode, padding_mode="border", align_corners=True)


def change_intensity(images: Tensor, change: Intensity, random: torch.Generator | None) -> Tensor:
    """Gamma on the sample's own range, contrast about its mean, brightness, noise. (B, C, *patch) in and out.

    Args:
        images: On any device.
        change: On the same device.
        random: For noise fields, on the same device too: the only numbers not drawn on the CPU. None adds none.
    """
    axes = list(range(1, images.ndim))
    gamma, contrast, brightness, noise = (
        values.reshape(-1, *[1] * len(axes))
        for values in (change.gamma, change.contrast, change.brightness, change.noise)
    )
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    span = (high - low).clamp(min=1e-6)
    images = ((images - low) / span).clamp(min=1e-6) ** gamma * span + low
    mean = images.mean(axes, keepdim=True)
    images = (images - mean) * contrast + mean + brightness
    if random is not None:
        images = images + torch.randn(images.shape, generator=random, device=images.device) * noise
    return images


def add_clipped_noise(images: Tensor, strength: float, random: torch.Generator) -> Tensor:
    """Add clip(strength · N(0, 1), ±2 · strength)."""
    noise = torch.randn(images.shape, generator=random, device=images.device)
    return images + (noise * strength).clamp(-2 * strength, 2 * strength)
