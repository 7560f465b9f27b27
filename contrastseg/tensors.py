"""Between the host and the device without waiting: copies, constants, and where shapes may hang on values."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def values_at_hand(tensor: Tensor) -> bool:
    """Whether the shape of a result may hang on the values of a tensor.

    On a CPU it may: rows that take no part are left out, and cost nothing. On a GPU the host would have to wait for the
    values, so those rows stay, with weight 0. The numbers are the same, up to the order of sums.
    """
    return tensor.device.type == "cpu"


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host where it is wanted; its copy to a GPU is one the host does not wait for."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers that do not change, (n,); sent to a device once. Not to be written to."""
    with torch.inference_mode(False):  # what validation asks for first may be needed in training
        return to_device(torch.tensor(values, dtype=dtype), device)
