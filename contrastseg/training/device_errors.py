"""Errors of the device: out of memory, failed or gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from contrastseg.errors import DeviceError, DeviceMemoryError

# As torch and CUDA's libraries say it, in lower case; their types alone do not tell.
_FULL = ("out of memory", "can't allocate memory", "alloc_failed", "cudaerrormemoryallocation", "bad_alloc")
_GONE = (
    "cuda error",
    "cuda driver error",
    "unspecified launch failure",
    "device-side",
    "no cuda-capable device",
    "cublas_status",
    "cudnn_status",
    "nccl error",
    "hip error",
)


@contextlib.contextmanager
def device_errors(
    batch_size: int,
    patch_size: Sequence[int],
    *,
    training: bool = True,
    cases: Callable[[], Iterable[str]] = tuple,
) -> Iterator[None]:
    """Turn torch's errors of a full or lost device into errors with a remedy.

    No step is taken again with a part of the batch: batch statistics and the pairs that contrastive terms are made of
    depend on how many samples are seen at once, so that it would be another method that finishes.

    Args:
        batch_size: Samples at once, for the message.
        patch_size: Of each.
        training: Whether the block trains, and so can resume from a checkpoint.
        cases: Names the cases that the block works on; called when it fails.

    Raises:
        DeviceMemoryError: The device, or the machine, has not as much memory as the block asks for.
        DeviceError: The device failed or is gone.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        message = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in _FULL):
            raise DeviceMemoryError(
                f"out of memory: {message}",
                case=", ".join(cases()) or None,
                remedy=_less(batch_size, patch_size, training),
            ) from error
        if isinstance(error, getattr(torch, "AcceleratorError", ())) or any(words in text for words in _GONE):
            again = "the last checkpoint is kept and the same command goes on from it" if training else "predict again"
            raise DeviceError(
                f"the device failed or is gone: {message}",
                case=", ".join(cases()) or None,
                remedy=f"{again}; if it fails at the same step, look at `nvidia-smi` and the kernel's log (`dmesg`)",
            ) from error
        raise


def _less(batch_size: int, patch_size: Sequence[int], training: bool) -> str:
    if not training:
        return "predict on a device with more memory, or with CUDA_VISIBLE_DEVICES= on the processor"
    return (
        f"lower training.batch_size ({batch_size}) or training.patch_size ({list(patch_size)}) for all methods of the"
        " comparison, or let fewer runs share the device; it is not tried again with smaller parts of the batch, since"
        " batch statistics and contrastive pairs depend on its size"
    )
