"""The inputs of a recorded step: memory that stays where it is and is filled anew before every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace

import torch
from torch import Tensor

from contrastseg.errors import TrainingError
from contrastseg.methods.contract import Batch, Sample
from contrastseg.training.sending import send

Make = Callable[[int], float | Tensor]


class StaticBatch:
    """Samples whose tensors lie where those of the first batch were copied to, all of them on the device.

    Args:
        batch: The first batch, a `Sample` per view. Tensors that its views share are copied once.
        device: Where the step computes.
    """

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._device = device
        given = _tensors(batch)
        self._layout = _layout(given)
        sources = [source for source, *_ in self._layout]
        # Those of the widest type first, so that one copy of all has them where their type may lie.
        self._distinct = sorted(set(sources), key=lambda index: (-given[index].element_size(), index))
        self._own = {index: torch.empty_like(given[index], device=device) for index in self._distinct}
        copies = iter([self._own[source] for source in sources])
        self.batch: dict[str, Sample] = {
            view: replace(sample, **{name: next(copies) for name in _names(sample)}) for view, sample in batch.items()
        }

    def fits(self, batch: Batch) -> bool:
        """Whether a batch has the shapes and types of the first, and its views share the same tensors."""
        return _layout(_tensors(batch)) == self._layout

    def fill(self, batch: Batch) -> None:
        """Copy a batch in that fits: one copy from the host, and one operation for every type."""
        everything = _tensors(batch)
        given = [everything[index] for index in self._distinct]
        distant = [index for index, tensor in enumerate(given) if tensor.device != self._device]
        if distant:
            for index, sent in zip(distant, send([given[index] for index in distant], self._device), strict=True):
                given[index] = sent
        own = [self._own[index] for index in self._distinct]
        for dtype in dict.fromkeys(tensor.dtype for tensor in own):
            alike = [index for index, tensor in enumerate(own) if tensor.dtype == dtype]
            torch._foreach_copy_([own[index] for index in alike], [given[index] for index in alike])


def _names(sample: Sample) -> list[str]:
    return [each.name for each in fields(sample) if getattr(sample, each.name) is not None]


def _tensors(batch: Batch) -> list[Tensor]:
    return [getattr(sample, name) for sample in batch.values() for name in _names(sample)]


def _layout(tensors: Sequence[Tensor]) -> list[tuple[int, torch.Size, torch.dtype]]:
    """Of every tensor the index of the first that is the same one, its shape and its type."""
    first: dict[int, int] = {}
    return [(first.setdefault(id(tensor), index), tensor.shape, tensor.dtype) for index, tensor in enumerate(tensors)]


class HostValues:
    """What a method's step asks of the host (`Method.host_value`), in memory of the device.

    Args:
        device: Where the step computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._made: list[tuple[Make, Tensor]] = []
        self._next = 0
        self._step = 0
        self._filled = False

    def begin(self, step: int) -> None:
        """A step begins: it asks for the same values in the same order as the one before."""
        self._next, self._step = 0, step

    def __call__(self, make: Make) -> Tensor:
        """The next value: 0-dimensional float32 for a number. Made now, except while a step is recorded."""
        index, self._next = self._next, self._next + 1
        if not self._filled:
            value = make(self._step)
            if index == len(self._made):
                own = torch.zeros((), device=self._device)
                if isinstance(value, Tensor):
                    own = torch.empty_like(value, device=self._device)
                self._made.append((make, own))
            self._made[index] = (make, self._made[index][1])
            self._put(index, value)
        return self._made[index][1]

    def refill(self, step: int) -> None:
        """Make all values of a step, in the order in which the step before asked for them."""
        for index, (make, _) in enumerate(self._made):
            self._put(index, make(step))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Within it values are those that were filled in before."""
        self._filled = True
        try:
            yield
        finally:
            self._filled = False

    def _put(self, index: int, value: float | Tensor) -> None:
        own = self._made[index][1]
        if not isinstance(value, Tensor):
            own.fill_(value)
            return
        if (value.shape, value.dtype) != (own.shape, own.dtype):
            raise TrainingError(
                f"a value of the host is {tuple(value.shape)}, {value.dtype}, and was {tuple(own.shape)}, {own.dtype}",
                remedy="let host_value make tensors of one shape and type, or set training.record: off",
            )
        own.copy_(send([value], self._device)[0])
