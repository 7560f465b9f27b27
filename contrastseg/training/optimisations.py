"""How the networks are laid out and compiled: the same function, computed in another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from contrastseg.networks.features import FeatureNetwork

MemoryFormat = Literal["contiguous", "channels_last"]
CompileMode = Literal["off", "default", "reduce-overhead"]
_CHANNELS_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
_COMPILED = ("features", "encode", "classify")


def lay_out(modules: nn.Module, spatial_dims: int, chosen: MemoryFormat) -> None:
    """Put the convolutions' weights into a layout; the maps they compute take it over.

    Random numbers that a dropout draws over feature maps come in the order of memory, so they change with it.

    Args:
        modules: Changed in place.
        spatial_dims: 2 or 3.
        chosen: `contiguous` leaves the modules as they are.
    """
    if chosen == "channels_last":
        modules.to(memory_format=_CHANNELS_LAST[spatial_dims])  # type: ignore[call-overload]


def compile_networks(modules: nn.Module, mode: CompileMode) -> None:
    """Compile what the networks compute; names of parameters stay as they are, so checkpoints fit either way.

    `reduce-overhead` records CUDA graphs on a GPU. A run has few shapes, each compiled for itself. Attached blocks are
    compiled with the network they are part of.
    """
    if mode == "off":
        return
    for network in modules.modules():
        if isinstance(network, FeatureNetwork):
            for name in _COMPILED:
                setattr(network, name, torch.compile(getattr(network, name), mode=mode, dynamic=False))


def begin_iteration(mode: CompileMode) -> None:
    """Say that what compiled networks returned before this call is not needed any more.

    `reduce-overhead` records a CUDA graph of every call of a network. The calls of one iteration have memory of their
    own, the next iteration takes it over. Without this mark torch guesses where an iteration begins, and a teacher's
    output could be overwritten by the student's.
    """
    if mode == "reduce-overhead":
        torch.compiler.cudagraph_mark_step_begin()


def in_iterations(predict: Callable[[Tensor], Tensor], mode: CompileMode) -> Callable[[Tensor], Tensor]:
    """Make every call of `predict` an iteration of its own (see `begin_iteration`) whose logits stay."""
    if mode != "reduce-overhead":
        return predict

    def iteration(images: Tensor) -> Tensor:
        begin_iteration(mode)
        return predict(images).clone()

    return iteration


class _SmallInFloat32:
    """A convolution that leaves autocast where an axis of its input is shorter than its kernel.

    There oneDNN's bfloat16 gradient of the weights reads memory that was never written (seen with torch 2.13 on a CPU
    with AVX-512 BF16: other gradients at every call, at times NaN, once a damaged heap). Maps are that small at the
    bottom of a network, where float32 costs next to nothing.
    """

    kernel_size: tuple[int, ...]

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not any(side < kernel for side, kernel in zip(images.shape[2:], self.kernel_size, strict=True)):
            return super()._conv_forward(images, weight, bias)  # type: ignore[misc]
        with torch.autocast("cpu", enabled=False):
            return super()._conv_forward(  # type: ignore[misc]
                images.float(), weight.float(), None if bias is None else bias.float()
            )


class _Conv2d(_SmallInFloat32, nn.Conv2d):
    """In two dimensions."""


class _Conv3d(_SmallInFloat32, nn.Conv3d):
    """In three."""


def keep_small_in_float32(modules: nn.Module) -> None:
    """For mixed precision on a CPU: convolutions of maps smaller than their kernel are computed in float32."""
    for module in modules.modules():
        for plain, steady in ((nn.Conv2d, _Conv2d), (nn.Conv3d, _Conv3d)):
            if type(module) is plain:
                module.__class__ = steady
