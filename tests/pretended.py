"""A GPU that only pretends: tensors hold data of the CPU and say that they lie on `cuda:0`.

What a real GPU would refuse is an error here: a tensor of the CPU, other than a scalar, beside one of the device. What
it would do is counted: operations are launches; copies from the host are sent; whatever the host must wait for (a
value read, a shape that depends on values) is a wait, with the place of the project that asked for it. A copy to the
host that is not waited for holds nothing until an event recorded after it is. Forward passes only.
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
        "bincount",
        "equal",
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


class Mismatch(RuntimeError):
    """A tensor of the CPU beside one of the device."""


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

    def wait(self, operation: str) -> None:
        """One wait, asked for by the innermost function of the project."""
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code.co_filename.startswith(_PACKAGE):
                self.waits[operation, f"{Path(code.co_filename).name}:{code.co_name}"] += 1
                return
            frame = frame.f_back  # type: ignore[assignment]
        self.waits[operation, "outside"] += 1


_counts = Counts()


class OnDevice(Tensor):
    """A tensor of the CPU that says it lies on the device."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made: OnDevice = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
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
        if not isinstance(tensor, OnDevice) and tensor.dim() > 0:
            raise Mismatch(f"{name}: a tensor of the CPU, {tuple(tensor.shape)}, beside one of the device")


def _copy(operator: Any, args: Any, kwargs: dict[str, Any], there: bool) -> Any:
    """`_to_copy`: from one device to the other, or from one type to another."""
    asked = kwargs.get("device")
    goes = torch.device(asked).type == "cuda" if asked is not None else there
    made = operator(*tree_map(_host, args), **{**kwargs, **({} if asked is None else {"device": _CPU})})
    if there and goes:
        _counts.launches["_to_copy"] += 1
    elif goes:
        _counts.sent += 1
    elif there:
        _counts.wait("cpu")
    return OnDevice(made) if goes else made


def _run(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    name = operator.overloadpacket.__name__
    tensors = _tensors(args, kwargs)
    there = any(isinstance(tensor, OnDevice) for tensor in tensors)
    if name == "_to_copy":
        return _copy(operator, args, kwargs, there)
    if name == "copy_":
        operator(*tree_map(_host, args), **kwargs)
        if there:
            target, source = (isinstance(tensor, OnDevice) for tensor in tensors[:2])
            if target and source:
                _counts.launches[name] += 1
            elif target:
                _counts.sent += 1
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
    if not (there or wanted):
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
            _counts.sent += 1


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operator, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """What torch's own binding would ask a driver for, before it does."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        first = args[0] if args else None
        if isinstance(first, Tensor):
            if name == "pin_memory":
                return first
            if name in ("to", "cuda"):
                return self._to(function, name, first, args[1:], kwargs)
            if isinstance(first, OnDevice):
                if name == "cpu":
                    return torch.ops.aten._to_copy.default(first, device=_CPU)
                if name in _READS:
                    _counts.wait(name)
                    return function(first.held, *args[1:], **kwargs)
                if name in ("numpy", "__array__"):
                    raise TypeError("a tensor of the device has no NumPy array: copy it to the host first")
                if name in ("__getitem__", "__setitem__"):
                    return self._index(name, first, args)
        asked = kwargs.get("device")
        if asked is not None and torch.device(asked).type == "cuda":
            made = function(*args, **{**kwargs, "device": _CPU})
            if name in ("tensor", "as_tensor"):
                _counts.sent += 1
            elif name not in _NO_LAUNCH:
                _counts.launches[name] += 1
            return _on_device(made)
        try:
            return function(*args, **kwargs)
        except RuntimeError as error:
            if "not linked with support for cuda" not in str(error):
                raise
            return self._without_driver(function, name, args, kwargs)

    def _without_driver(self, function: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
        """What torch sets the current device for, before it hands the call on: done on the held tensors."""
        tensors = _tensors(args, kwargs)
        if name == "copy_":
            if isinstance(args[0], OnDevice) and not isinstance(args[1], OnDevice):
                _counts.sent += 1
            else:
                _counts.launches[name] += 1
        else:
            _refuse_neighbours(name, tensors)
            _counts.launches[name] += 1
        if name in _WAITS | {"argwhere", "unique"}:
            _counts.wait(name)
        made = function(*tree_map(_host, args), **tree_map(_host, kwargs))
        if name.endswith("_") and not name.endswith("__"):
            return args[0]
        return tree_map(_on_device, made)

    def _to(self, function: Any, name: str, tensor: Tensor, rest: Any, kwargs: dict[str, Any]) -> Tensor:
        device = DEVICE if name == "cuda" else kwargs.pop("device", None)
        dtype = kwargs.pop("dtype", None)
        for value in rest:
            if isinstance(value, Tensor):
                device, dtype = value.device, value.dtype
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
        if goes == there and dtype == tensor.dtype and not kwargs.get("copy"):
            return tensor
        layout = {k: v for k, v in kwargs.items() if k == "memory_format"}
        made: Tensor = torch.ops.aten._to_copy.default(tensor, dtype=dtype, device=DEVICE if goes else _CPU, **layout)
        return made

    def _index(self, name: str, tensor: OnDevice, args: Any) -> Any:
        indices = _tensors(args[1])
        _count_indices(indices)
        if indices or name == "__setitem__":
            _counts.launches[name] += 1
        where = tree_map(_host, args[1])
        if name == "__getitem__":
            return OnDevice(tensor.held[where])
        if isinstance(args[2], Tensor):
            _refuse_neighbours(name, [args[2]])
        tensor.held[where] = _host(args[2])
        return None


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


_PlainGenerator = torch.Generator


class _Generator(_PlainGenerator):
    def __new__(cls, device: Any = "cpu") -> torch.Generator:
        return _PlainGenerator()


@contextmanager
def pretended() -> Iterator[Counts]:
    """Within it, `cuda` is a pretended device; its counts begin at nothing."""
    _counts.clear()
    events = mock.patch.object(torch.cuda, "Event", _Event)
    with mock.patch.object(torch, "Generator", _Generator), events, torch.no_grad(), _Functions(), _Operators():
        yield _counts


def move(module: nn.Module) -> None:
    """Parameters and buffers of a module onto the pretended device, in place."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(OnDevice(parameter.detach()), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = OnDevice(buffer)
