"""Whole images through a network: weighted sliding windows, in full batches, on the device."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contrastseg.tensors import to_device
from contrastseg.training.sending import upload
from contrastseg.training.settings import InferenceSettings

Predictor = Callable[[Tensor], Tensor]

_USUAL = InferenceSettings()
_PADDING = {"edge": "replicate", "zero": "constant"}

# Voxels of a batch on a CPU. With more, a layer's results outgrow what the allocator keeps, and the system fills every
# page of each layer's memory with zeros first: a quarter of the processor time at 24 windows of 128 x 128.
_CPU_VOXELS = 2**16


def window_starts(size: int, window: int, overlap: float, stride: int | None = None) -> list[int]:
    """Compute where windows start along an axis: every `stride` and at the end.

    Without a stride they are evenly spread, at least `overlap` of a window shared by neighbours.

    Args:
        size: Of the axis.
        window: Of the window.
        overlap: Share of a window, from 0 to below 1.
        stride: In voxels; stronger than `overlap`.
    """
    if size <= window:
        return [0]
    if stride is not None:
        return [*range(0, size - window, stride), size - window]
    count = math.ceil((size - window) / max(1.0, window * (1 - overlap))) + 1
    return [round(i * (size - window) / (count - 1)) for i in range(count)]


def windows_of_batch(batch_size: int, window: Sequence[int], device: torch.device) -> int:
    """Choose how many windows go through the network at once: `batch_size`, on a CPU fewer where windows are large.

    Args:
        batch_size: Of training.
        window: Size of a window.
        device: Where the network is.
    """
    if device.type != "cpu":
        return batch_size
    # Not one alone where two may be: torch takes its slower convolution for a single small image.
    return min(batch_size, max(2, _CPU_VOXELS // math.prod(window)))


@lru_cache(maxsize=4)
def gaussian_weights(window: tuple[int, ...], device: torch.device) -> Tensor:
    """(*window) weights that fall towards the border, σ an eighth of the window; nowhere 0. Made once, on the CPU."""
    weights = torch.ones(())
    for n in window:
        x = (torch.arange(n) - (n - 1) / 2) / (n / 8)
        weights = weights[..., None] * torch.exp(-0.5 * x**2)
    return to_device(weights.clamp(min=float(weights.max()) * 1e-3), device)


class _Grid:
    """Where the windows of one image size lie, and the sum of their weights at every voxel."""

    def __init__(
        self,
        shape: Sequence[int],
        window: Sequence[int],
        overlap: float,
        device: torch.device,
        settings: InferenceSettings,
    ) -> None:
        self.shape = tuple(shape)
        self.device = device
        self.softmax = settings.average == "softmax"
        strides: Sequence[int | None] = settings.stride or [None] * len(window)
        starts = [
            window_starts(size, n, overlap, stride) for size, n, stride in zip(shape, window, strides, strict=True)
        ]
        self.windows = [
            tuple(slice(start, start + n) for start, n in zip(corner, window, strict=True))
            for corner in itertools.product(*starts)
        ]
        uniform = settings.weights == "uniform"
        self.weights = torch.ones(*window, device=device) if uniform else gaussian_weights(tuple(window), device)

    @cached_property
    def weight_sum(self) -> Tensor:
        total = torch.zeros(self.shape, device=self.device)
        for window in self.windows:
            total[window].add_(self.weights)
        return total


class _Stack:
    """Images (N, C, *spatial) of one size whose windows are on their way through the network.

    Args:
        images: Padded to the window where they were smaller.
        grid: Of their windows.
        crop: The part that was there before padding.
    """

    def __init__(self, images: Tensor, grid: _Grid, crop: tuple[slice, ...]) -> None:
        self.images = images
        self.grid = grid
        self.crop = crop
        self.missing = len(images) * len(grid.windows)
        self._parts: list[Tensor] = []
        self._total: Tensor | None = None

    def add(self, window: tuple[slice, ...], images: slice, logits: Tensor) -> bool:
        """Add the logits of some images in one window; true when these were the last ones."""
        self.missing -= len(logits)
        if self.grid.softmax:
            logits = logits.softmax(1)
        if len(self.grid.windows) == 1:
            self._parts.append(logits)
        else:
            if self._total is None:
                shape = (len(self.images), logits.shape[1], *self.grid.shape)
                self._total = torch.zeros(shape, device=logits.device)
            self._total[(images, slice(None), *window)].addcmul_(logits, self.grid.weights)
        return not self.missing

    def logits(self) -> Tensor:
        """(N, K, *spatial) of the images before they were padded."""
        if self._total is not None:
            total = self._total.div_(self.grid.weight_sum)
        else:
            total = self._parts[0] if len(self._parts) == 1 else torch.cat(self._parts)
        if self.grid.softmax:  # logits again, for those who resample or compare them
            total = total.clamp(min=torch.finfo(total.dtype).tiny).log()
        return total[(slice(None), slice(None), *self.crop)]


# Some images of a stack in one window: one slice of memory to read and, later, one to add to.
_Run = tuple[_Stack, tuple[slice, ...], slice]


def batched_logits(
    predictor: Predictor,
    stacks: Iterable[Tensor],
    window: Sequence[int],
    overlap: float = 0.5,
    batch_size: int = 8,
    settings: InferenceSettings = _USUAL,
    border: Literal["edge", "zero"] = "edge",
) -> Iterator[list[Tensor]]:
    """Logits of many stacks of images; windows of several stacks, of any sizes, share a batch.

    Every batch but the last is full. The next stack is taken when the windows of those before it do not fill the
    batch, so that what is held at a time is one batch of windows and at most two stacks with more windows than that.
    Axes smaller than the window are continued as training continues them. The host waits for nothing.

    Args:
        predictor: Logits (B, K, *window) of windows (B, C, *window).
        stacks: Images (N, C, *spatial), all on one device.
        window: Size of a window.
        overlap: Share of a window that neighbours have in common, at least.
        batch_size: Windows of a batch.
        settings: Strides in place of the overlap, weights of a window, what is averaged.
        border: What lies beyond an image: its border goes on, or 0.

    Yields:
        After each batch, in order, the logits (N, K, *spatial), float32, of every stack that it completed. Which
        windows share a batch may change the last digits.

    Raises:
        Exception: What `stacks` raised, after the stacks before it have come out.
    """
    batch: list[_Run] = []
    room = batch_size
    grid: _Grid | None = None
    source = iter(stacks)
    while True:
        try:
            images = next(source)
        except StopIteration:
            break
        except Exception:
            if batch:
                yield _run_batch(predictor, batch)
            raise
        padded, crop = _padded(images, window, border)
        if grid is None or grid.shape != padded.shape[2:]:
            grid = _Grid(padded.shape[2:], window, overlap, padded.device, settings)
        stack = _Stack(padded, grid, crop)
        del images, padded
        for window_slices in grid.windows:
            first, count = 0, len(stack.images)
            while first < count:
                last = min(count, first + room)
                batch.append((stack, window_slices, slice(first, last)))
                room -= last - first
                first = last
                if not room:
                    yield _run_batch(predictor, batch)
                    batch, room = [], batch_size
        del stack
    if batch:
        yield _run_batch(predictor, batch)


def _padded(images: Tensor, window: Sequence[int], border: str) -> tuple[Tensor, tuple[slice, ...]]:
    """Images as large as the window at least, and where the original ones lie in them."""
    shape = images.shape[2:]
    missing = [max(0, n - size) for n, size in zip(window, shape, strict=True)]
    before = [m // 2 for m in missing]
    padding = [amount for b, m in reversed(list(zip(before, missing, strict=True))) for amount in (b, m - b)]
    padded = F.pad(images, padding, mode=_PADDING[border]) if any(missing) else images
    return padded, tuple(slice(b, b + size) for b, size in zip(before, shape, strict=True))


def _run_batch(predictor: Predictor, batch: Sequence[_Run]) -> list[Tensor]:
    """The logits of the stacks whose last windows are in the batch."""
    windows = [stack.images[(images, slice(None), *window)] for stack, window, images in batch]
    logits = predictor(torch.cat(windows)).float()
    completed = []
    for (stack, window, images), window_logits in zip(batch, logits.split([len(w) for w in windows]), strict=True):
        if stack.add(window, images, window_logits):
            completed.append(stack.logits())
    return completed


def sliding_logits(
    predictor: Predictor,
    images: Tensor,
    window: Sequence[int],
    overlap: float = 0.5,
    batch_size: int = 8,
    settings: InferenceSettings = _USUAL,
) -> Tensor:
    """Compute logits (N, K, *spatial), float32, of images larger or smaller than the window.

    Args:
        predictor: Logits (B, K, *window) of windows (B, C, *window).
        images: (N, C, *spatial).
        window: Size of a window.
        overlap: Share of a window that neighbours have in common, at least.
        batch_size: Windows of a batch.
        settings: Strides in place of the overlap, weights of a window, what is averaged.
    """
    (logits,) = itertools.chain.from_iterable(
        batched_logits(predictor, [images], window, overlap, batch_size, settings)
    )
    return logits


def stack_of(image: np.ndarray, scale: float, spatial_dims: int, device: torch.device) -> Tensor:
    """Send a prepared image to the device as a stack (N, C, *spatial), float32: N slices, or one image.

    Args:
        image: (C, *spatial), as it is stored.
        scale: Factor of the stored values.
        spatial_dims: Of the network; a 2D network sees a volume slice by slice.
        device: Where the network is.
    """
    tensor = upload(image, device).float() * scale
    return tensor.movedim(1, 0) if _sliced(image, spatial_dims) else tensor[None]


def logits_of(stack: Tensor, image: np.ndarray, spatial_dims: int) -> Tensor:
    """Turn logits of a stack into those of its image, (K, *spatial).

    Args:
        stack: Logits (N, K, *spatial).
        image: (C, *spatial), whose stack it was.
        spatial_dims: Of the network.
    """
    return stack.movedim(0, 1) if _sliced(image, spatial_dims) else stack[0]


def labels_of(stack: Tensor, image: np.ndarray, spatial_dims: int) -> Tensor:
    """Turn logits of a stack into the label map of its image, uint8 (*spatial); the lowest class wins a tie.

    Args:
        stack: Logits (N, K, *spatial).
        image: (C, *spatial), whose stack it was.
        spatial_dims: Of the network.
    """
    labels = stack.argmax(1).to(torch.uint8)
    return labels if _sliced(image, spatial_dims) else labels[0]


def _sliced(image: np.ndarray, spatial_dims: int) -> bool:
    """Whether a volume goes through a 2D network."""
    return image.ndim == spatial_dims + 2


@torch.inference_mode()
def case_logits(
    predictor: Predictor,
    image: np.ndarray,
    scale: float,
    spatial_dims: int,
    window: Sequence[int],
    device: torch.device,
    overlap: float = 0.5,
    batch_size: int = 8,
) -> np.ndarray:
    """Logits (K, *spatial) of a prepared image (C, *spatial); a 2D network takes a volume slice by slice."""
    stack = sliding_logits(predictor, stack_of(image, scale, spatial_dims, device), window, overlap, batch_size)
    return logits_of(stack, image, spatial_dims).cpu().numpy()
