"""The parts of units that one batch is sampled from: cut out one by one, or gathered on the device all at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from contrastseg.training.flat_pool import FlatLayer

Layer = Literal["image", "label", "superpixels"]


class Blocks(Protocol):
    """Parts of the units of one batch.

    Attributes:
        numbers: What has to lie on the device before they can be taken: (n,) int64, made on the host.
    """

    numbers: np.ndarray

    def take(self, layer: Layer, numbers: Tensor) -> Tensor:
        """(B, C, *shape) on the device; `numbers` are this object's, on the device.

        Images come as float32, other layers (C = 1) likewise, since that is what the warp samples; it holds whole
        numbers up to 2^24 exactly.
        """
        ...


def _floats(block: Tensor, layer: Layer, scale: float) -> Tensor:
    if layer != "image" or scale == 1:
        return block.float()
    # Of whole numbers the product is float32 by itself: one operation instead of two.
    return block.float() * scale if block.is_floating_point() else block * scale


class CopiedBlocks:
    """Cut out of every unit where it is stored, stacked, and brought to the device.

    Args:
        whole: A unit's (C, *spatial) of a layer.
        units: Of the batch.
        starts: (B, d) where blocks begin, in pixels of their units; beyond a unit its border continues.
        shape: Of a block.
        device: Where blocks are wanted.
        scale: Stored values of images times this are image units.
    """

    def __init__(
        self,
        whole: Callable[[int, Layer], Tensor],
        units: np.ndarray,
        starts: np.ndarray,
        shape: Sequence[int],
        device: torch.device,
        scale: float,
    ) -> None:
        self.numbers = np.empty(0, np.int64)
        self._whole, self._units, self._starts, self._shape = whole, units.tolist(), starts.tolist(), shape
        self._device, self._scale = device, scale

    def take(self, layer: Layer, numbers: Tensor) -> Tensor:
        """As `Blocks.take`."""
        blocks = []
        for unit, start in zip(self._units, self._starts, strict=True):
            block = self._whole(unit, layer)
            for axis, (first, length) in enumerate(zip(start, self._shape, strict=True), start=1):
                index = torch.arange(first, first + length, device=block.device).clamp_(0, block.shape[axis] - 1)
                block = block.index_select(axis, index)
            blocks.append(block)
        return _floats(torch.stack(blocks).to(self._device, non_blocking=True), layer, self._scale)


class FlatBlocks:
    """Gathered from flat layers on the device: as many operations whatever the size of the batch.

    Args:
        layers: Of the pool.
        firsts: Per layer (B, C), the index of the first element of every channel of the batch's units.
        extents: (B, d), shapes of the units.
        starts: (B, d) where blocks begin, in pixels of their units; beyond a unit its border continues.
        shape: Of a block.
        scale: Stored values of images times this are image units.
    """

    def __init__(
        self,
        layers: Mapping[Layer, FlatLayer],
        firsts: Mapping[Layer, np.ndarray],
        extents: np.ndarray,
        starts: np.ndarray,
        shape: Sequence[int],
        scale: float,
    ) -> None:
        self._layers, self._scale = layers, scale
        batch, dims = extents.shape
        # Where a block's rows, columns and slices lie from its unit's first element; their sums are made on the device.
        axes: list[np.ndarray] = []
        step: int | np.ndarray = 1
        for axis in reversed(range(dims)):
            extent = extents[:, axis, None]
            where = starts[:, axis, None] + np.arange(shape[axis])
            axes.insert(0, np.minimum(np.maximum(where, 0), extent - 1) * step)
            step = step * extent
        # Those of the first axis are from the pool's first element on, for every layer and channel.
        firsts_of_axis = {layer: first[:, :, None] + axes[0][:, None] for layer, first in firsts.items()}
        pieces = [*axes[1:], *firsts_of_axis.values()]
        self._sizes = [piece.size for piece in pieces]
        self.numbers = np.concatenate(pieces, axis=None)
        inner = [(batch, 1, *(-1 if axis == other else 1 for other in range(dims))) for axis in range(1, dims)]
        self._spreads = [*inner, *((batch, -1, shape[0], *(1,) * (dims - 1)) for _ in firsts)]
        self._parts: dict[Layer, Tensor] = {}
        self._inner: Tensor | None = None

    def take(self, layer: Layer, numbers: Tensor) -> Tensor:
        """As `Blocks.take`; layers share the indices within a row."""
        if self._inner is None:
            sent = numbers.split_with_sizes(self._sizes)
            indices = [piece.view(spread) for piece, spread in zip(sent, self._spreads, strict=True)]
            inner = len(indices) - len(self._layers)
            self._inner = reduce(torch.add, indices[:inner])
            self._parts = dict(zip(self._layers, indices[inner:], strict=True))
        return _floats(self._layers[layer].values.take(self._parts[layer] + self._inner), layer, self._scale)


class JoinedBlocks:
    """Blocks of several storages in the batch's order.

    Args:
        blocks: Of every storage that the batch has units of.
        members: Per storage the positions of its units in the batch.
    """

    def __init__(self, blocks: Sequence[Blocks], members: Sequence[Sequence[int]]) -> None:
        self._parts = blocks
        order = np.argsort([position for positions in members for position in positions])
        self._sizes = [*(each.numbers.size for each in blocks), order.size]
        self.numbers = np.concatenate([*(each.numbers for each in blocks), order])

    def take(self, layer: Layer, numbers: Tensor) -> Tensor:
        """As `Blocks.take`."""
        *pieces, order = numbers.split(self._sizes)
        blocks = [each.take(layer, piece) for each, piece in zip(self._parts, pieces, strict=True)]
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks).index_select(0, order)
