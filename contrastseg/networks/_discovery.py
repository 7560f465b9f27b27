"""Finds the feature maps of a network that somebody else wrote, by running it once on a tensor without values.

The run is on the `meta` device: every shape and every dependence is there, and nothing is computed. A tensor of the
image's grid divided by whole numbers, which a module returns or takes, may be a map. Two rules name them:

- A map belongs to the encoder when it depends on no coarser map, else to the decoder.
- Of several with one stride, the encoder's is the one that decoding starts from (the skip connection or the bottom),
  the decoder's the one that depends on the most maps of the encoder; then the one nearest to the network's root.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.networks._tracing import Graph, Place, Seen, Trace, in_order

TRACED_SIDE = 128
"""Side of the traced image where a network leaves it open: the deepest map of stride 64 still has two cells a side."""


@dataclass(frozen=True)
class FoundMap:
    """A feature map of a network.

    Attributes:
        name: `encoder` or `decoder`, and how many halvings of the image's grid it is deep.
        stride: Along each axis, relative to the input.
        channels: Its width.
        producer: Path of the module that returns it; None where no module does.
        consumers: Modules that take it, with the place among their arguments, where no module returns it.
    """

    name: str
    stride: tuple[int, ...]
    channels: int
    producer: str | None
    consumers: tuple[tuple[str, Place], ...] = ()


@dataclass(frozen=True)
class Anatomy:
    """What was found of a network.

    Attributes:
        maps: The encoder's from fine to coarse, then the decoder's from coarse to fine.
        head: Path of the module that makes the logits of the last map.
        encoder: Names of the parameters that the encoder's maps depend on.
        unused: Paths of modules with parameters on which no logit depends.
        divisor: What each axis of the input must be divisible by.
        without_maps: Why its maps cannot be told; it has none then, and can be trained by what sees its logits alone.
    """

    maps: tuple[FoundMap, ...]
    head: str
    encoder: frozenset[str]
    unused: tuple[str, ...]
    divisor: tuple[int, ...]
    without_maps: str | None = None


class _NoMaps(Exception):
    """The maps of a network cannot be told, for this reason."""


def explore(network: nn.Module, in_channels: int, side: Sequence[int], parts: tuple[str, str] | None = None) -> Anatomy:
    """Find the maps, the head and the encoder of a network.

    Args:
        network: Takes images (B, C, *spatial) and returns logits (B, K, *spatial), alone or in a list of one. It is run
            as it is set, for training or not; its weights and buffers stay as they are.
        in_channels: Channels of the image.
        side: Shape of the image it is run on.
        parts: Paths of its decoder, which takes the encoder's maps in a list, and of its head, where these are known.

    Raises:
        SuiteError: It cannot be run on such an image, or returns something else.
    """
    image = torch.empty(2, in_channels, *side, device="meta", requires_grad=True)
    trace = Trace(network, image)
    try:
        output = trace.run()
    except Exception as error:  # the networks of others raise anything
        size = "×".join(map(str, side))
        raise SuiteError(
            f"the network cannot be run on an image of {size}: {' '.join(str(error).split())[:300]}",
            remedy="correct its options; where it is made for one size of image, make that a size it takes",
        ) from error
    logits = _logits(output, trace)
    unused = _unused(network, _parameters_behind(trace, [logits.grad_fn]))
    try:
        maps, head, encoder = _told(trace, logits, parts)
    except _NoMaps as reason:
        return Anatomy((), "", frozenset(), unused, _divisor(trace, trace.side), str(reason))
    deepest = max((each.stride for each in maps), key=math.prod)
    return Anatomy(maps, head, encoder, unused, _divisor(trace, deepest))


def _divisor(trace: Trace, deepest: Sequence[int]) -> tuple[int, ...]:
    """The least common multiple of all strides up to that of the deepest map: what is coarser was pooled."""
    strides = [each.stride for each in trace.seen.values()]
    counted = [each for each in strides if all(a <= b for a, b in zip(each, deepest, strict=True))]
    return tuple(math.lcm(*axis) for axis in zip(*counted, strict=True))


def _told(
    trace: Trace, logits: Tensor, parts: tuple[str, str] | None
) -> tuple[tuple[FoundMap, ...], str, frozenset[str]]:
    """The maps, the head's path and the names of the encoder's parameters."""
    sizes: dict[Any, int] = {}
    for each in trace.seen.values():
        sizes[each.node] = max(each.size, sizes.get(each.node, 0))
    head, last = _head(trace, logits) if parts is None else (parts[1], trace.seen[trace.inputs[parts[1]][0]])
    graph = Graph([logits.grad_fn], sizes)
    needed = set(in_order([last.node]))
    known = [each for each in trace.seen.values() if each.node in needed]
    if parts is None:
        encoder = _encoder(trace, graph, [each for each in known if graph.coarsest_before[each.node] <= each.size])
        rest = [each for each in known if graph.coarsest_before[each.node] > each.size]
    else:
        taken = {trace.seen[key].stride: trace.seen[key] for key in trace.inputs[parts[0]]}
        encoder = _nested([each for each in taken.values() if _usable(trace, each)])
        rest = [each for each in known if each.order >= trace.entered[parts[0]]]
    if len(encoder) < 2:
        raise _NoMaps("the network has no encoder: its maps have one stride")
    span = list(zip(last.stride, encoder[-1].stride, strict=True))
    rest = [each for each in rest if all(a <= n <= b for n, (a, b) in zip(each.stride, span, strict=True))]
    decoder = _decoder(trace, graph, rest, encoder, last)
    maps = (*_named("encoder", encoder, trace), *_named("decoder", decoder, trace))
    for named in maps:
        if named.consumers and trace.used_elsewhere(named.consumers):
            raise _NoMaps(f"its map of stride {max(named.stride)} is used where no block can be attached to it")
    return maps, head, _parameters_behind(trace, [each.node for each in encoder])


def _logits(output: Any, trace: Trace) -> Tensor:
    if isinstance(output, list | tuple) and len(output) == 1:
        output = output[0]
    if not isinstance(output, Tensor) or output.ndim != trace.image.ndim or tuple(output.shape[2:]) != trace.side:
        raise SuiteError(
            "the network returns something else than one map of logits of the image's size",
            remedy="switch further outputs off, such as deep supervision, or choose another network",
        )
    return output


def _head(trace: Trace, logits: Tensor) -> tuple[str, Seen]:
    """The module that makes the logits, and the map it makes them of: of the image's grid where there is one."""
    result = trace.seen.get((logits.grad_fn, logits.output_nr))
    heads = []
    for path in sorted(result.producers if result else [], key=lambda path: path.count(".")):
        taken = trace.inputs[path]
        if len(taken) == 1 and trace.calls[path] == 1 and trace.seen[taken[0]] is not result:
            heads.append((path, trace.seen[taken[0]]))
    if not heads:
        raise _NoMaps("no single module of the network makes its logits of one feature map")
    whole = [head for head in heads if head[1].size == 1 and head[1].tensor.shape[1] > logits.shape[1]]
    return (whole or heads)[0]


def _usable(trace: Trace, found: Seen) -> bool:
    """Whether blocks can be attached: one module returns it, or modules take it, once; and it stays as it is."""
    if found.tensor._version != found.version:
        return False  # an operation in place changed it afterwards
    once = [path for path in found.producers if trace.calls[path] == 1]
    return bool(once) or (not found.producers and all(trace.calls[path] == 1 for path, _ in found.consumers))


def _encoder(trace: Trace, graph: Graph, maps: Sequence[Seen]) -> list[Seen]:
    """The encoder's maps, one per stride, from fine to coarse."""

    def rank(found: Seen) -> tuple[bool, int, int]:
        return _starts_decoding(trace, graph, found), -found.depth, found.order

    best: dict[tuple[int, ...], Seen] = {}
    for found in maps:
        if found.in_upsampling or not _usable(trace, found):
            continue
        if found.stride not in best or rank(found) > rank(best[found.stride]):
            best[found.stride] = found
    return _nested(best.values())


def _nested(maps: Iterable[Seen]) -> list[Seen]:
    """Of maps with different strides those, from fine to coarse, of which each divides the next along every axis."""
    chosen: list[Seen] = []
    for found in sorted(maps, key=lambda found: found.size):
        if chosen and max(found.stride) == max(chosen[-1].stride):
            chosen.pop()  # of two as deep, the one that is so along more axes
        if not chosen or all(a % b == 0 for a, b in zip(found.stride, chosen[-1].stride, strict=True)):
            chosen.append(found)
    return chosen


def _starts_decoding(trace: Trace, graph: Graph, found: Seen) -> bool:
    """Whether something takes it together with a coarser map, or takes it to a finer grid."""
    if any(graph.coarsest_before[user] > found.size for user in graph.users.get(found.node, [])):
        return True
    takers = {path for path, _ in found.consumers}
    returned = [each for each in trace.seen.values() if takers.intersection(each.producers)]
    return any(each.size < found.size for each in returned)


def _decoder(trace: Trace, graph: Graph, maps: Sequence[Seen], encoder: Sequence[Seen], last: Seen) -> list[Seen]:
    """The decoder's maps, one per stride, from coarse to fine; the last is what the head takes."""
    behind = graph.reached({each.node: 1 << bit for bit, each in enumerate(encoder)})

    def rank(found: Seen) -> tuple[bool, int, bool, int, int]:
        return found is last, behind[found.node].bit_count(), bool(found.producers), -found.depth, found.order

    best: dict[tuple[int, ...], Seen] = {}
    for found in maps:
        if found is not last and not _usable(trace, found):
            continue
        if found.stride not in best or rank(found) > rank(best[found.stride]):
            best[found.stride] = found
    decoder = _nested(best.values())[::-1]
    if not decoder or decoder[-1] is not last:
        raise _NoMaps("the network has no decoder: its head takes no map that depends on a coarser one")
    later = graph.reached({each.node: 1 for each in decoder})
    if any(later[each.node] for each in encoder):
        raise _NoMaps("the network has several encoders and decoders, one behind the other")
    return decoder


def _named(part: str, maps: Sequence[Seen], trace: Trace) -> list[FoundMap]:
    result = []
    for found in maps:
        once = sorted((path for path in found.producers if trace.calls[path] == 1), key=lambda path: path.count("."))
        result.append(
            FoundMap(
                f"{part}{round(math.log2(max(found.stride)))}",
                found.stride,
                found.tensor.shape[1],
                once[0] if once else None,
                () if once else _outermost(found.consumers),
            )
        )
    return result


def _outermost(consumers: Sequence[tuple[str, Place]]) -> tuple[tuple[str, Place], ...]:
    """Those that do not stand in another of them, and get the map from it."""
    paths = [path for path, _ in consumers]
    return tuple(each for each in consumers if not any(each[0].startswith(f"{path}.") for path in paths))


def _parameters_behind(trace: Trace, nodes: Iterable[Any]) -> frozenset[str]:
    """Names of the parameters that these operations depend on."""
    leaves = [id(node.variable) for node in in_order(nodes) if hasattr(node, "variable")]
    return frozenset(trace.parameters[leaf] for leaf in leaves if leaf in trace.parameters)


def _unused(network: nn.Module, used: frozenset[str]) -> tuple[str, ...]:
    """The outermost modules with parameters none of which is used."""
    needed = {id(value) for name, value in network.named_parameters() if name in used}
    unused: list[str] = []
    for path, module in network.named_modules():
        own = {id(value) for value in module.parameters()}
        if path and own and not own & needed and not any(path.startswith(f"{outer}.") for outer in unused):
            unused.append(path)
    return tuple(unused)
