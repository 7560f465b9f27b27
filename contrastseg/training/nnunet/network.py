"""nnU-Net's network seen as the methods see networks, so that their blocks and terms work on it as they are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from torch import Tensor, nn

from contrastseg.methods import registry
from contrastseg.methods.contract import Task


class Regulariser(Protocol):
    """Terms of a loss beside nnU-Net's own, from maps of its network."""

    modules: Any

    def regularisation(self, features: Mapping[str, Tensor], label: Tensor) -> dict[str, Tensor]:
        """The terms by name, weighted, from maps (B, C, *spatial / stride) and label (B, *spatial)."""
        ...


class Extending(Protocol):
    """A method of this engine."""

    def extend(self, network: Any, settings: Mapping[str, Any], task: Task) -> Regulariser | None:
        """Attach what the settings ask for to the network's maps.

        Args:
            network: nnU-Net's; it is changed in place.
            settings: Of the method.
            task: What the network is for.

        Returns:
            What makes the further loss terms; None where there are none.
        """
        ...


def extending(method: str) -> Extending:
    """Get the method of this name, as this engine asks it."""
    return cast(Extending, registry.get(method))


class Sites:
    """The maps of an encoder–decoder network of nnU-Net, by the names this project gives them.

    Args:
        network: Plain or residual; level 0 has the input's grid.

    Attributes:
        channels: Width of every map, in order of computation.
        strides: Its stride along each axis.
    """

    def __init__(self, network: Any) -> None:
        encoder, decoder = network.encoder, network.decoder
        strides = list(itertools.accumulate(encoder.strides, _product))
        levels = range(len(encoder.stages))
        self._places: dict[str, tuple[Any, int]] = {f"encoder{level}": (encoder.stages, level) for level in levels}
        for index, level in enumerate(reversed(levels[:-1])):
            self._places[f"decoder{level}"] = (decoder.stages, index)
        number = {name: int(name.removeprefix("encoder").removeprefix("decoder")) for name in self._places}
        self.channels = {name: int(encoder.output_channels[level]) for name, level in number.items()}
        self.strides = {name: tuple(int(step) for step in strides[level]) for name, level in number.items()}

    def attach(self, name: str, block: nn.Module) -> None:
        """Let `block` transform a map wherever it is used."""
        stages, index = self._places[name]
        stages[index] = nn.Sequential(stages[index], block)

    def watch(self) -> dict[str, Tensor]:
        """A dictionary that holds the maps of the latest forward pass, by name, after what is attached to them."""
        seen: dict[str, Tensor] = {}
        for name, (stages, index) in self._places.items():
            stages[index].register_forward_hook(lambda _, __, output, name=name: seen.__setitem__(name, output))
        return seen


def _product(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [a * b for a, b in zip(one, other, strict=True)]


def extend_network(
    network: Any, method: Extending, settings: Mapping[str, Any], task: Task
) -> tuple[Regulariser | None, Sites]:
    """Give nnU-Net's network what a method adds to it; modules with weights become `network.pdcr`.

    Args:
        network: As nnU-Net builds it; changed in place.
        method: What adds to it.
        settings: The method's.
        task: What the network is for; `build_network` is not asked.

    Returns:
        What computes the method's terms (None without), and the network's maps.

    Raises:
        SuiteError: The network has no map of a stride that the method asks for.
    """
    sites = Sites(network)
    regulariser = method.extend(sites, settings, task)
    if regulariser is not None:  # checkpoints carry this name, which is that of the first such method
        modules = regulariser.modules.items()
        network.pdcr = nn.ModuleDict({name: module for name, module in modules if module is not sites})
    return regulariser, sites
