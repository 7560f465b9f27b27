"""nnU-Net's network seen as the methods see networks, so that PDCR and UAFR work on it as they are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from contrastseg.methods.contract import Task
from contrastseg.methods.pdcr import PDCR
from contrastseg.methods.uafr import attach_reweighting


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


def extend_network(network: Any, settings: Mapping[str, Any], task: Task) -> tuple[PDCR | None, Sites]:
    """Give nnU-Net's network what its variant adds: UAFR's blocks, PDCR's adapters (as `network.pdcr`).

    Args:
        network: As nnU-Net builds it; changed in place.
        settings: The method's.
        task: What the network is for; `build_network` is not asked.

    Returns:
        The method whose `regularisation` computes PDCR's terms (None without), and the network's maps.

    Raises:
        SuiteError: The network has no map of a stride that PDCR asks for.
    """
    sites = Sites(network)
    if settings["uafr"]:
        decoder = [name for name in sites.channels if name.startswith("decoder")]
        chosen = len(decoder) if settings["decoder_sites"] is None else settings["decoder_sites"]
        attach_reweighting(sites, task.spatial_dims, {**settings, "decoder_sites": chosen})
    if not settings["pdcr"]:
        return None, sites
    method = PDCR(Task(**{**vars(task), "build_network": lambda: sites}), settings)
    method.modules = dict(method.build())
    network.pdcr = nn.ModuleDict({name: module for name, module in method.modules.items() if module is not sites})
    return method, sites
