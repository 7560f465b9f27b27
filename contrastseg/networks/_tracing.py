"""What the modules of a network take and return in one pass without values, and which depends on which."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Place = tuple[int, ...]
"""Where a tensor is among the arguments of a module: which of them, and where in it if that is a list."""


def at(arguments: Any, place: Place) -> Any:
    """What is at this place."""
    return at(arguments[place[0]], place[1:]) if place else arguments


def put(arguments: Any, place: Place, value: Any) -> Any:
    """The arguments with another value at this place."""
    if not place:
        return value
    items = list(arguments)
    items[place[0]] = put(items[place[0]], place[1:], value)
    return tuple(items) if isinstance(arguments, tuple) else items


def _places(arguments: Sequence[Any]) -> Iterable[tuple[Place, Any]]:
    for index, value in enumerate(arguments):
        yield (index,), value
        if isinstance(value, list | tuple):
            yield from (((index, inner), each) for inner, each in enumerate(value))


@dataclass(eq=False)
class Seen:
    """A tensor in the shape of a map, at one moment: an operation in place makes another of the same tensor.

    Attributes:
        tensor: Without values.
        node: The operation that made it, in autograd's graph.
        stride: Of its grid, along each axis.
        order: How many such tensors were seen before it.
        version: Of the tensor when it was seen: an operation in place raises it.
        producers: Paths of the modules that return it.
        consumers: Paths of the modules that take it, and where among their arguments.
        in_upsampling: Whether it was made on the way inside a module that returns a finer map than it takes.
    """

    tensor: Tensor
    node: Any
    stride: tuple[int, ...]
    order: int
    version: int
    producers: list[str] = field(default_factory=list)
    consumers: list[tuple[str, Place]] = field(default_factory=list)
    in_upsampling: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.stride)

    @property
    def depth(self) -> int:
        """How far from the root the module is that returns it."""
        return min((path.count(".") for path in self.producers), default=99)


class Trace:
    """What modules took and returned in one run.

    Args:
        network: Its modules are watched while it runs.
        image: (B, C, *spatial) on the `meta` device.

    Attributes:
        seen: Every tensor that may be a map, by the operation that made it and its number among the results.
        calls: How often each module was called, by its path.
        inputs: Keys in `seen` of what each module took in its last call.
        entered: How many tensors were seen when each module's last call began, what it took among them.
        parameters: Name of every parameter, by the identity of the tensor that stood for it.
    """

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        self.image = image
        self.side = tuple(image.shape[2:])
        self.seen: dict[tuple[Any, int], Seen] = {}
        self.calls: dict[str, int] = {}
        self.inputs: dict[str, list[tuple[Any, int]]] = {}
        self.entered: dict[str, int] = {}
        self.parameters: dict[int, str] = {}
        self._kept: list[Any] = []  # tensors and nodes stay alive, so that each has an identity of its own
        self._inside: list[str] = []
        self._network = network

    def run(self) -> Any:
        """Run the network on the image, all of it on the `meta` device.

        Returns:
            What it returns.
        """
        handles = []
        for path, module in self._network.named_modules():
            if path:
                handles.append(module.register_forward_pre_hook(_Before(self, path)))
                handles.append(module.register_forward_hook(_After(self, path)))
        try:
            return self._pass()
        finally:
            for handle in handles:
                handle.remove()

    def used_elsewhere(self, consumers: Sequence[tuple[str, Place]]) -> bool:
        """Whether the logits depend on a map in another way than through these modules that take it.

        Args:
            consumers: Their paths, and where among their arguments the map is.
        """
        cuts = [_Cut(place) for _, place in consumers]
        handles = [
            self._network.get_submodule(path).register_forward_pre_hook(cut)
            for (path, _), cut in zip(consumers, cuts, strict=True)
        ]
        try:
            output = self._pass()
        finally:
            for handle in handles:
                handle.remove()
        logits = output if isinstance(output, Tensor) else output[0]
        return bool({cut.node for cut in cuts} & set(in_order([logits.grad_fn])))

    def _pass(self) -> Any:
        with torch.enable_grad():
            return torch.func.functional_call(self._network, self._state(), (self.image,), tie_weights=False)

    def _state(self) -> dict[str, Tensor]:
        """A tensor without values for every parameter and buffer, by name; one for parameters that are one.

        Modules are gone through, since one that is registered twice has to be exchanged once.
        """
        state: dict[str, Tensor] = {}
        made: dict[int, Tensor] = {}
        for path, module in self._network.named_modules():
            own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            for name, value in own:
                if id(value) not in made:
                    made[id(value)] = torch.empty_like(value, device="meta").detach()
                    made[id(value)].requires_grad_(isinstance(value, nn.Parameter) and value.is_floating_point())
                    self.parameters.setdefault(id(made[id(value)]), f"{path}.{name}".removeprefix("."))
                state[f"{path}.{name}".removeprefix(".")] = made[id(value)]
        self._kept.append(state)
        return state

    def before(self, path: str, arguments: Sequence[Any]) -> None:
        """Called when a module is about to run."""
        self.calls[path] = self.calls.get(path, 0) + 1
        self.inputs[path] = []
        for place, value in _places(arguments):
            if (found := self._noted(value)) is not None:
                found.consumers.append((path, place))
                self.inputs[path].append((found.node, value.output_nr))
        self.entered[path] = len(self.seen)
        self._inside.append(path)

    def after(self, path: str, output: Any) -> None:
        """Called when a module has run."""
        first = self.entered[self._inside.pop()]
        found = self._noted(output)
        if found is None:
            return
        found.producers.append(path)
        taken = [self.seen[key].size for key in self.inputs[path]]
        if any(size > found.size for size in taken):  # what an upsampling module makes on its way is the decoder's
            for inner in list(self.seen.values())[first:]:
                inner.in_upsampling = True

    def _noted(self, value: Any) -> Seen | None:
        """The entry of a tensor that may be a map; None for anything else."""
        if not isinstance(value, Tensor) or value.grad_fn is None or value.ndim != self.image.ndim:
            return None
        shape = value.shape[2:]
        if len(value) != len(self.image) or any(n < 2 or side % n for n, side in zip(shape, self.side, strict=True)):
            return None
        key = value.grad_fn, value.output_nr
        if key not in self.seen:
            self._kept.append(value)
            stride = tuple(side // n for n, side in zip(shape, self.side, strict=True))
            self.seen[key] = Seen(value, value.grad_fn, stride, len(self.seen), value._version)
        return self.seen[key]


@dataclass
class _Before:
    trace: Trace
    path: str

    def __call__(self, module: nn.Module, arguments: Any) -> None:
        self.trace.before(self.path, arguments)


@dataclass
class _Cut:
    """Gives a module a tensor that depends on nothing in place of the map it takes."""

    place: Place
    node: Any = None

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...]) -> Any:
        value = at(arguments, self.place)
        self.node = value.grad_fn
        return put(arguments, self.place, value.detach())


@dataclass
class _After:
    trace: Trace
    path: str

    def __call__(self, module: nn.Module, arguments: Any, output: Any) -> None:
        self.trace.after(self.path, output)


class Graph:
    """Which operation depends on which, from the graph that autograd keeps.

    Args:
        roots: Operations whose ancestors are looked at.
        sizes: How much coarser than the image the maps of an operation are; 0 for what makes none.

    Attributes:
        users: What depends on an operation directly.
        coarsest_before: The coarsest map among all that an operation depends on, itself left out.
    """

    def __init__(self, roots: Iterable[Any], sizes: dict[Any, int]) -> None:
        self.nodes = in_order(roots)
        self.users: dict[Any, list[Any]] = {}
        self.coarsest_before: dict[Any, int] = {}
        coarsest: dict[Any, int] = {}
        for node in self.nodes:
            inputs = _inputs(node)
            for each in inputs:
                self.users.setdefault(each, []).append(node)
            self.coarsest_before[node] = max((coarsest[each] for each in inputs), default=0)
            coarsest[node] = max(self.coarsest_before[node], sizes.get(node, 0))

    def reached(self, marks: dict[Any, int]) -> dict[Any, int]:
        """For every node, the marks (bits) of the nodes it depends on, its own among them."""
        result: dict[Any, int] = {}
        for node in self.nodes:
            bits = marks.get(node, 0)
            for each in _inputs(node):
                bits |= result[each]
            result[node] = bits
        return result


def _inputs(node: Any) -> list[Any]:
    return [each for each, _ in node.next_functions if each is not None]


def in_order(roots: Iterable[Any]) -> list[Any]:
    """All nodes that the roots depend on, each behind what it depends on."""
    order: list[Any] = []
    done: set[Any] = set()
    waiting = [(root, False) for root in roots]
    while waiting:
        node, finished = waiting.pop()
        if finished:
            order.append(node)
        elif node not in done:
            done.add(node)
            waiting.append((node, True))
            waiting += [(each, False) for each in _inputs(node) if each not in done]
    return order
