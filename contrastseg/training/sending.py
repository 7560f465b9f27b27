"""Between host and device: as few copies as there can be, and no waiting but for what is needed now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from contrastseg.tensors import to_device

# Host memory that a device copies to by itself is page-locked, rounded up to a power of two, and kept for later. Above
# this size it would cost more than the wait that it saves.
_PAGE_LOCKED = 2**28


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of the host on the device, in one copy that the host does not wait for.

    Args:
        tensors: int64 ones first, then float32 ones.
        device: Where to; on a CPU they stay as they are.
    """
    if device.type == "cpu":
        return list(tensors)
    packed = torch.cat([tensor.reshape(-1).view(torch.uint8) for tensor in tensors])
    sent = to_device(packed, device)
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    return [part.view(tensor.dtype).view(tensor.shape) for part, tensor in zip(sent.split(sizes), tensors, strict=True)]


def send_packed(integers: np.ndarray, reals: Sequence[np.ndarray], device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """Numbers made by NumPy on the device, written one after the other into what is copied there.

    Args:
        integers: (n,) int64.
        reals: float32 arrays of any shapes.
        device: Where to.
    """
    arrays = [integers.view(np.float32), *reals]  # bits of whole numbers, which are only moved
    sizes = [array.size for array in arrays]
    packed = torch.empty(sum(sizes), pin_memory=device.type == "cuda")
    np.concatenate(arrays, axis=None, out=packed.numpy())
    whole, *parts = packed.to(device, non_blocking=True).split_with_sizes(sizes)
    return whole.view(torch.int64), [part.view(array.shape) for part, array in zip(parts, reals, strict=True)]


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to the device. The host does not wait for it, nor for what the device does before it."""
    return to_device(torch.from_numpy(np.array(array)), device)


def fetch(tensor: Tensor) -> Callable[[], np.ndarray]:
    """Begin to copy a tensor to the host.

    Returns:
        A function that waits for the copy, and for nothing that was asked of the device after it, and gives the array.
    """
    if tensor.device.type == "cpu":
        return tensor.numpy
    if tensor.numel() * tensor.element_size() > _PAGE_LOCKED:
        return tensor.cpu().numpy
    copy = tensor.to("cpu", non_blocking=True)
    copied = torch.cuda.Event()
    copied.record()

    def wait() -> np.ndarray:
        copied.synchronize()
        array: np.ndarray = copy.numpy()
        return array

    return wait
