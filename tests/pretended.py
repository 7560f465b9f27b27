"""A GPU that only pretends: tensors hold data of the CPU and say that they lie on `cuda:0`.

What a real GPU would refuse is an error here: a tensor of the CPU, other than a scalar, beside one of the device. What
it would do is counted: operations are launches; copies from the host are sent; whatever the host must wait for (a
value read, a shape that depends on values, a copy in either direction that does not say `non_blocking`) is a wait, with
the place of the project that asked for it. A copy to the host that is not waited for holds nothing until an event
recorded after it is. Gradients flow as on the CPU, since only what Python is told of the device is pretended.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import contrastseg

DEVICE = torch.device("cuda", 0)
_CPU = torch.device("cpu")
_PACKAGE = str(Path(contrastseg.__file__).parent)

# Nothing runs on the device for these: they look at memory in another way, or take it.
_NO_LAUNCH = {
    *("alias", "as_strided", "chunk", "detach", "diagonal", "expand", "expand_as", "lift_fresh", "movedim", "narrow"),
    *("permute", "reshape", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind"),
    *("unfold", "unsqueeze", "view", "view_as", "_unsafe_view", "_reshape_alias"),
    *("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"),
}
# The host must know values before it can go on.
_WAITS = {
    *(
        "_local_scalar_dense",
        "argwhere",
        "bincount",
        "equal",
        "isin",
        "is_nonzero",
        "item",
        "masked_select",
        "nonzero",
        "unique_consecutive",
    ),
    *("unique_dim", "_unique2"),
}
_READS = {"__bool__", "__float__", "__index__", "__int__", "__contains__", "item", "tolist"}
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}
# Even a scalar of the CPU may not be joined to tensors of the device.
_JOINING = {"cat", "stack"}
# Gradients that nothing came back for.
_MADE_BY_AUTOGRAD = {"zeros", "ones", "full", "scalar_tensor"}
# What Python is told of a tensor on the device.
_TOLD = {Tensor.device.__get__: DEVICE, Tensor.is_cuda.__get__: True, Tensor.is_cpu.__get__: False}  # type: ignore[attr-defined]


class Mismatch(RuntimeError):
    """A tensor of the CPU beside one of the device."""


def asking_function() -> str:
    """The innermost function of the project that is running, as `file.py:function`; `outside` if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            return f"{Path(code.co_filename).name}:{code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return "outside"


@dataclass
class Counts:
    """What a pretended device was asked to do.

    Attributes:
        launches: Operations by name.
        sent: Copies from the host.
        waits: What the host waited for, by (operation, `file.py:function` of the project).
    """

    launches: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    waits: Counter[tuple[str, str]] = field(default_factory=Counter)

    def clear(self) -> None:
        """Begin again."""
        self.launches.clear()
        self.waits.clear()
        self.sent = 0

    def send(self, waits: bool) -> None:
        """A copy from the host, which waits until it is there unless it is told not to."""
        self.sent += 1
        if waits:
            self.wait("copy from the host")

    def wait(self, operation: str) -> None:
        """One wait, asked for by the innermost function of the project."""
        self.waits[operation, asking_function()] += 1


_counts = Counts()


class OnDevice(Tensor):
    """A tensor of the CPU that says it lies on the device."""

    held: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=_CPU,  # for autograd, which has no threads for a device without a driver
            requires_grad=held.requires_grad,
        )
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operator, args, kwargs or {})


def _host(value: Any) -> Any:
    return value.held if isinstance(value, OnDevice) else value


def _on_device(value: Any) -> Any:
    return OnDevice(value) if isinstance(value, Tensor) and not isinstance(value, OnDevice) else value


def _tensors(*values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _refuse_neighbours(name: str, tensors: list[Tensor]) -> None:
    for tensor in tensors:
        if not isinstance(tensor, OnDevice) and (tensor.dim() > 0 or name in _JOINING):
            raise Mismatch(f"{name}: a tensor of the CPU, {tuple(tensor.shape)}, beside one of the device")


def _run(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = operator.overloadpacket.__name__
    tensors = _tensors(args, kwargs)
    there = any(isinstance(tensor, OnDevice) for tensor in tensors)
    if name == "copy_":
        operator(*tree_map(_host, args), **kwargs)
        if there:
            target, source = (isinstance(tensor, OnDevice) for tensor in tensors[:2])
            if target and source:
                _counts.launches[name] += 1
            elif target:
                _counts.send(waits=not (args[2] if len(args) > 2 else kwargs.get("non_blocking")))
            else:
                _counts.wait("cpu")
        return args[0]
    asked = kwargs.get("device")
    wanted = asked is not None and torch.device(asked).type == "cuda"
    if there:
        if name in _INDEXING:
            _count_indices(_tensors(args[1]))
            tensors = _tensors(args[0], args[2:], kwargs)
        _refuse_neighbours(name, tensors)
        if name in _WAITS or (name == "repeat_interleave" and "Tensor" in operator._overloadname):
            _counts.wait(name)
    made = operator(
        *tree_map(_host, args), **{**tree_map(_host, kwargs), **({} if asked is None else {"device": _CPU})}
    )
    if not (there or wanted or (_autograd_at_work[-1] and name in _MADE_BY_AUTOGRAD)):
        return made
    if name not in _NO_LAUNCH:
        _counts.launches[name] += 1
    if name.endswith("_") and isinstance(args[0], OnDevice):
        return args[0]
    return tree_map(_on_device, made)


def _count_indices(indices: list[Tensor]) -> None:
    for index in indices:
        if index.dtype in (torch.bool, torch.uint8):
            _counts.wait("boolean index")
        if not isinstance(index, OnDevice) and index.dim() > 0:
            _counts.send(waits=True)


# Whether autograd is at work: True, and False while it is in a function that Python called.
_autograd_at_work: list[bool] = [False]


@contextmanager
def _at_work(autograd: bool) -> Iterator[None]:
    _autograd_at_work.append(autograd)
    try:
        yield
    finally:
        _autograd_at_work.pop()


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operator, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """What torch's own binding would ask a driver for, before it does."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        kwargs.pop("pin_memory", None)  # memory of the host is memory of the host
        name = getattr(function, "__name__", "")
        first = args[0] if args else None
        if isinstance(first, OnDevice) and function in _TOLD:
            return _TOLD[function]
        if isinstance(first, Tensor):
            if name == "pin_memory":
                return first
            if name in ("to", "cuda"):
                return self._to(function, name, first, args[1:], kwargs)
            if isinstance(first, OnDevice):
                if name == "cpu":
                    return self._to(function, "to", first, (_CPU,), kwargs)
                if name in _READS:
                    _counts.wait(name)
                    return function(first.held, *args[1:], **kwargs)
                if name in ("numpy", "__array__"):
                    raise TypeError("a tensor of the device has no NumPy array: copy it to the host first")
        asked = kwargs.get("device")
        if asked is not None and torch.device(asked).type == "cuda":
            made = function(*args, **{**kwargs, "device": _CPU})
            if name in ("tensor", "as_tensor"):
                _counts.send(waits=True)
            elif name not in _NO_LAUNCH:
                _counts.launches[name] += 1
            return _on_device(made)
        with _at_work(False):
            return function(*args, **kwargs)

    def _to(self, function: Any, name: str, tensor: Tensor, rest: Any, kwargs: dict[str, Any]) -> Tensor:
        device = DEVICE if name == "cuda" else kwargs.pop("device", None)
        dtype = kwargs.pop("dtype", None)
        for value in rest:
            if isinstance(value, Tensor):
                device, dtype = (DEVICE if isinstance(value, OnDevice) else _CPU), value.dtype
            elif isinstance(value, torch.dtype):
                dtype = value
            elif isinstance(value, torch.device | str):
                device = torch.device(value)
        dtype = dtype or tensor.dtype
        there = isinstance(tensor, OnDevice)
        goes = there if device is None else torch.device(device).type == "cuda"
        if there and not goes and kwargs.get("non_blocking"):
            copy = torch.full(tensor.shape, 77, dtype=dtype)
            _on_their_way.append((copy, tensor.held))
            return copy
        layout = {k: v for k, v in kwargs.items() if k == "memory_format"}
        if goes == there:
            if dtype == tensor.dtype and not kwargs.get("copy"):
                return tensor
            made: Tensor = torch.ops.aten._to_copy.default(tensor, dtype=dtype, **layout)
            return made
        if goes:
            _counts.send(waits=not kwargs.get("non_blocking"))
            return OnDevice(tensor.detach().to(dtype, copy=True, **layout))
        _counts.wait("cpu")
        return tensor.detach().held.to(dtype, copy=True, **layout)


# Copies to the host that no event has been recorded after: target and source.
_on_their_way: list[tuple[Tensor, Tensor]] = []


class _Event:
    """`torch.cuda.Event`: copies that were begun before it was recorded are there when it has been waited for."""

    def record(self) -> None:
        self._copies = list(_on_their_way)
        _on_their_way.clear()

    def synchronize(self) -> None:
        _counts.wait("event")
        for target, source in self._copies:
            target.copy_(source)


_plain_backward = torch.autograd._engine_run_backward  # type: ignore[attr-defined]


def _run_backward(*args: Any, **kwargs: Any) -> Any:
    """Autograd's engine, in which hooks and checkpoints call functions again."""
    with _Functions(), _at_work(True):
        return _plain_backward(*args, **kwargs)


_PlainGenerator = torch.Generator


class _Generator(_PlainGenerator):
    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        return _PlainGenerator()


@contextmanager
def pretended() -> Iterator[Counts]:
    """Within it, `cuda` is a pretended device; its counts begin at nothing."""
    _counts.clear()
    patches = (
        mock.patch.object(torch.cuda, "Event", _Event),
        mock.patch.object(torch, "Generator", _Generator),
        mock.patch.object(torch.autograd, "_engine_run_backward", _run_backward),
    )
    with patches[0], patches[1], patches[2], _Functions(), _Operators():
        yield _counts


def move(module: nn.Module) -> None:
    """Parameters and buffers of a module onto the pretended device, in place."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(OnDevice(parameter.detach()), parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = OnDevice(buffer)
