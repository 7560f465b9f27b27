"""The numbers of one batch on their way to the device: one copy, whatever they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors of the host on the device, in one copy that the host does not wait for.

    Args:
        tensors: int64 ones first, then float32 ones.
        device: Where to; on a CPU they stay as they are.
    """
    if device.type == "cpu":
        return list(tensors)
    packed = torch.cat([tensor.reshape(-1).view(torch.uint8) for tensor in tensors])
    sent = packed.pin_memory().to(device, non_blocking=True)
    sizes = [tensor.numel() * tensor.element_size() for tensor in tensors]
    return [part.view(tensor.dtype).view(tensor.shape) for part, tensor in zip(sent.split(sizes), tensors, strict=True)]
