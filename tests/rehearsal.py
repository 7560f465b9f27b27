"""A CUDA graph without a GPU: operations are noted once and repeated on the very same memory, with no Python between.

What a replay would get wrong on a GPU it gets wrong here: a number that Python computed stays as it was, and so does
the choice of operations. Random numbers come from torch's generator as it is seeded at the replay, as on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from contrastseg.losses import info_nce, pixel_sampling, pseudo_labels, region_contrast, supervised_contrast
from contrastseg.networks import heads
from tests.pretended import _INDEXING, _WAITS

VALUE_READERS = (heads, info_nce, pixel_sampling, pseudo_labels, region_contrast, supervised_contrast)
"""Modules with a `values_at_hand` that is true on a CPU: a test that stands for a GPU makes it false."""

# The running statistics, which the operator changes and its schema does not say so.
_CHANGED_UNSAID = {"native_batch_norm": slice(3, 5)}


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def waits(operator: Any, args: Any) -> bool:
    """Whether the host of a GPU would have to wait for the device here."""
    name = operator.overloadpacket.__name__
    if name in _INDEXING:
        return any(index.dtype in (torch.bool, torch.uint8) for index in _tensors(args[1]))
    return name in _WAITS or (name == "repeat_interleave" and "Tensor" in operator._overloadname)


class _Watching(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if waits(operator, args):
            self.found.append(operator.overloadpacket.__name__)
        return operator(*args, **(kwargs or {}))


class _Noting(TorchDispatchMode):
    """Notes operations; they have to be done to go on, so what they change is kept, to be put back."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Any, Any, dict[str, Any], list[Tensor | None]]] = []
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._made: set[int] = set()

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if waits(operator, args):
            raise RuntimeError(f"operation not permitted while a step is recorded: {operator.overloadpacket.__name__}")
        self._keep(operator, args, kwargs)
        made = operator(*args, **kwargs)
        given = {_memory(tensor) for tensor in _tensors([args, kwargs])}
        results = [leaf if isinstance(leaf, Tensor) else None for leaf in tree_leaves(made)]
        own = [None if one is None or _memory(one) in given else one.detach() for one in results]
        self._made |= {_memory(one) for one in own if one is not None}
        if operator._schema.is_mutable or any(one is not None for one in own):  # else it only looks at memory
            self.noted.append((operator, args, kwargs, own))
        return made

    def _keep(self, operator: Any, args: Any, kwargs: dict[str, Any]) -> None:
        changed = []
        for argument, value in zip(operator._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                changed += _tensors(value)
        for argument in operator._schema.arguments[len(args) :]:
            if argument.alias_info is not None and argument.alias_info.is_write:
                changed += _tensors(kwargs.get(argument.name))
        changed += _tensors(args[_CHANGED_UNSAID.get(operator.overloadpacket.__name__, slice(0))])
        for tensor in changed:
            storage = tensor.untyped_storage()
            if _memory(tensor) not in self._made and _memory(tensor) not in self._before:
                self._before[_memory(tensor)] = storage, storage.clone()

    def put_back(self) -> None:
        for storage, before in self._before.values():
            storage.copy_(before)


class Rehearsal:
    """A `Recorder` on the CPU.

    Args:
        own_generator: As in `Recorder`. Layers draw from torch's CPU generator here, so it holds only where none draws.
    """

    def __init__(self, own_generator: bool = False) -> None:
        self.own_generator = own_generator
        self.replays = 0

    def run(self, work: Callable[[], None]) -> None:
        work()

    @contextmanager
    def watching(self) -> Iterator[list[str]]:
        found: list[str] = []
        with _Watching() as mode:
            yield found
        found += mode.found

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        random = torch.get_rng_state()
        mode = _Noting()
        try:
            with mode:
                work()
        finally:
            mode.put_back()
            torch.set_rng_state(random)

        @torch.no_grad()
        def replay() -> None:
            self.replays += 1
            for operator, args, kwargs, own in mode.noted:
                again = tree_leaves(operator(*args, **kwargs))
                for place, value in zip(own, again, strict=True):
                    if place is not None:
                        assert place.shape == value.shape, "memory has a shape that does not change"
                        place.copy_(value)

        return replay
