"""Networks that somebody else wrote, with their feature maps seen and changed by hooks on their modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from contrastseg.errors import ContrastsegError, SuiteError
from contrastseg.networks._discovery import TRACED_SIDE, Anatomy, explore
from contrastseg.networks._tracing import Place, at, put
from contrastseg.networks.features import FeatureNetwork


class _EncoderDone(Exception):
    """All maps of the encoder are there; raised to end a pass whose decoder nobody asked for."""


class _Tap:
    """A hook where a map is returned: what comes out of the module is the map after its attached block."""

    def __init__(self, network: HookedNetwork, name: str) -> None:
        self.network = network
        self.name = name

    def __call__(self, module: nn.Module, arguments: Any, output: Tensor) -> Tensor:
        return self.network.noted(self.name, output)


class _InputTap:
    """The same where a map goes into a module, because no module returns it."""

    def __init__(self, network: HookedNetwork, name: str, place: Place) -> None:
        self.network = network
        self.name = name
        self.place = place

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...]) -> Any:
        return put(arguments, self.place, self.network.noted(self.name, at(arguments, self.place)))


class Part(nn.Module):
    """Holds modules of a network by their path in it. The network runs them; this has no pass of its own."""


class HookedNetwork(FeatureNetwork):
    """A network of another package, its weights in `encoder`, `decoder` and `head` under the names it gives them.

    Args:
        network: Taken over: its head is cut off, and modules on which no logit depends are taken out.
        anatomy: What was found of it; it has maps.

    Raises:
        SuiteError: It keeps buffers in a module that is partly encoder and partly decoder.
    """

    def __init__(self, network: nn.Module, anatomy: Anatomy) -> None:
        super().__init__()
        self.strides = {each.name: each.stride for each in anatomy.maps}
        self.channels = {each.name: each.channels for each in anatomy.maps}
        self.before: nn.Module = nn.Identity()  # what images pass first
        self._divisor = anatomy.divisor
        self._encoder_maps = [name for name in self.channels if name.startswith("encoder")]
        self._maps: dict[str, Tensor] = {}
        self._encoder_alone = False
        encoder_parameters = {id(value) for name, value in network.named_parameters() if name in anatomy.encoder}
        self._hook(network, anatomy)
        for path in anatomy.unused:
            _exchange(network, path, nn.Identity())
        self.encoder, self.decoder = Part(), Part()
        self._head_path = anatomy.head
        self.head = network.get_submodule(anatomy.head)
        end = nn.Identity()
        end.register_forward_hook(_Tap(self, anatomy.maps[-1].name))
        _exchange(network, anatomy.head, end)
        self._place(network, (), encoder_parameters, set())
        # In a list, so that its weights have one name each; what runs is this, the parts only hold its modules.
        self._network = [network]

    def _hook(self, network: nn.Module, anatomy: Anatomy) -> None:
        for each in anatomy.maps[:-1]:
            if each.producer is not None:
                network.get_submodule(each.producer).register_forward_hook(_Tap(self, each.name))
            for path, place in each.consumers:
                network.get_submodule(path).register_forward_pre_hook(_InputTap(self, each.name, place))

    def _place(self, module: nn.Module, path: tuple[str, ...], encoder: set[int], placed: set[int]) -> None:
        """Put a module into one of the parts, or what it consists of where it belongs to both."""
        if id(module) in placed:
            return
        inside = {id(value) for value in module.parameters()}
        new = not any(id(each) in placed for each in module.modules())
        if path and new and (not inside & encoder or inside <= encoder):
            placed |= {id(each) for each in module.modules()}
            _put(self.encoder if inside & encoder else self.decoder, path, module)
            return
        placed.add(id(module))
        if any(True for _ in module.buffers(recurse=False)):
            raise SuiteError(
                f"{'.'.join(path) or 'the network'} keeps values for encoder and decoder together",
                remedy="choose another network",
            )
        for name, value in module.named_parameters(recurse=False):
            part = self.encoder if id(value) in encoder else self.decoder
            _holder(part, path).register_parameter(name, value)
        for name, child in module.named_children():
            self._place(child, (*path, name), encoder, placed)

    @property
    def divisor(self) -> tuple[int, ...]:
        """See `FeatureNetwork.divisor`; grids that have no name count, too."""
        return self._divisor

    def train(self, mode: bool = True) -> HookedNetwork:
        """Set training or evaluation, also of modules that are in no part because they hold others of both."""
        super().train(mode)
        self._network[0].train(mode)
        return self

    def foreign_name(self, key: str) -> str:
        """See `FeatureNetwork.foreign_name`: the path in the network as its package builds it."""
        part, _, path = key.partition(".")
        if part == "head":
            return f"{self._head_path}.{path}"
        return path if part in ("encoder", "decoder") else key

    def noted(self, name: str, feature: Tensor) -> Tensor:
        """Keep a map of the running pass, after the block attached to it; a map met again is the one kept.

        Args:
            name: Of the map.
            feature: As the network made it.
        """
        if name not in self._maps:
            self._maps[name] = self.attached(name, feature)
        result = self._maps[name]
        if self._encoder_alone and all(each in self._maps for each in self._encoder_maps):
            raise _EncoderDone
        return result

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.features`."""
        return self._passed(images, encoder_alone=False)

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """See `FeatureNetwork.encode`."""
        return self._passed(images, encoder_alone=True)

    def _passed(self, images: Tensor, *, encoder_alone: bool) -> dict[str, Tensor]:
        self._maps, self._encoder_alone = {}, encoder_alone
        try:
            self._network[0](self.before(images))
        except _EncoderDone:
            pass
        finally:
            maps, self._maps = self._maps, {}
        return {name: maps[name] for name in (self._encoder_maps if encoder_alone else self.channels)}

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """See `FeatureNetwork.classify`."""
        logits: Tensor = self.head(features[next(reversed(self.channels))])
        return logits


class OpaqueNetwork(FeatureNetwork):
    """A network of another package whose maps cannot be told: logits, and nothing to attach to.

    Args:
        network: As that package builds it.
        anatomy: What was found of it, with the reason.
    """

    def __init__(self, network: nn.Module, anatomy: Anatomy) -> None:
        super().__init__()
        self.strides, self.channels = {}, {}
        self.before: nn.Module = nn.Identity()
        self.without_maps = anatomy.without_maps
        self._divisor = anatomy.divisor
        for path in anatomy.unused:
            _exchange(network, path, nn.Identity())
        self.network = network

    @property
    def divisor(self) -> tuple[int, ...]:
        """See `FeatureNetwork.divisor`."""
        return self._divisor

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, *spatial) for images (B, C, *spatial)."""
        output = self.network(self.before(images))
        logits: Tensor = output if isinstance(output, Tensor) else output[0]
        return logits


_found: dict[str, Anatomy] = {}  # a run builds a network of the same settings several times


def adopted(
    name: str,
    kind: Callable[..., nn.Module],
    options: Mapping[str, Any],
    *,
    spatial_dims: int,
    in_channels: int,
    input_size: Sequence[int] | int | None = None,
    parts: tuple[str, str] | None = None,
) -> FeatureNetwork:
    """Build a network of another package and make it one of this project.

    Args:
        name: As the user calls it, for messages.
        kind: Its class.
        options: Everything the class is called with.
        spatial_dims: 2 or 3.
        in_channels: Channels of the image.
        input_size: Shape of the images it is made for; None where it takes others.
        parts: Paths of its decoder and head, where they are known.

    Raises:
        SuiteError: It cannot be built so, or not be run.
    """
    try:
        with torch.device("cpu"):  # they compute some of their settings with tensors
            network = kind(**options)
    except ContrastsegError:
        raise
    except Exception as error:  # what a class of others raises at options that do not fit
        raise SuiteError(
            f"network {name} cannot be built: {' '.join(str(error).split())[:300]}",
            remedy=f"correct the options of network {name}",
        ) from error
    fixed = None if input_size is None else (input_size,) * spatial_dims if isinstance(input_size, int) else input_size
    key = repr((name, spatial_dims, in_channels, sorted(options.items())))
    if key not in _found:
        try:
            _found[key] = explore(network, in_channels, fixed or (TRACED_SIDE,) * spatial_dims, parts)
        except SuiteError as error:
            raise SuiteError(f"network {name}: {error.reason}", remedy=error.remedy) from error
    adopt = OpaqueNetwork if _found[key].without_maps else HookedNetwork
    result: FeatureNetwork = adopt(network, _found[key])
    result.input_size = None if fixed is None else tuple(fixed)
    return result


def as_tuples(value: Any) -> Any:
    """The options of a suite, with tuples in place of lists: networks of others look for tuples."""
    if isinstance(value, Mapping):
        return {name: as_tuples(each) for name, each in value.items()}
    return tuple(as_tuples(each) for each in value) if isinstance(value, list | tuple) else value


def _exchange(network: nn.Module, path: str, new: nn.Module) -> None:
    """Put a module in the place of another, wherever that is registered."""
    old = network.get_submodule(path)
    for holder in list(network.modules()):
        for name, child in list(holder._modules.items()):
            if child is old:
                setattr(holder, name, new)


def _holder(part: nn.Module, path: tuple[str, ...]) -> nn.Module:
    for name in path:
        if not hasattr(part, name):
            part.add_module(name, Part())
        part = getattr(part, name)
    return part


def _put(part: nn.Module, path: tuple[str, ...], module: nn.Module) -> None:
    _holder(part, path[:-1]).add_module(path[-1], module)
