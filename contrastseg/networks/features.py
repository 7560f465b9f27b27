"""The contract of networks: named feature maps with their strides and widths, and blocks attached to them by name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from contrastseg.errors import SuiteError, unknown_name


class FeatureNetwork(nn.Module):
    """Base of the networks.

    Subclasses set `strides` and `channels` (by feature name, in order of computation) and implement `features` and
    `classify`; they pass every feature map through `attached(name, map)` before anything else reads it. Names of the
    encoder's maps begin with `encoder`, of the decoder's with `decoder`.

    Attributes:
        strides: Per feature map, the stride along each axis relative to the input.
        channels: Per feature map, its width.
        encoder: Everything the encoder's maps are computed with (attached blocks aside); what pre-training hands on.
        without_maps: Why there are no maps, of a network that has none: only methods that see logits alone train it.
        input_size: Shape of the images it is made for; None where every multiple of `divisor` does.
    """

    input_size: tuple[int, ...] | None = None
    without_maps: str | None = None
    strides: dict[str, tuple[int, ...]]
    channels: dict[str, int]
    encoder: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.attachments = nn.ModuleDict()
        self._given: Mapping[str, Tensor] = {}

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """Compute all feature maps of images (B, C, *spatial), in order of computation.

        Returns:
            Maps by name, each (B, channels[name], *spatial / strides[name]).

        Raises:
            SuiteError: The network has no maps.
            NotImplementedError: A network does not say how.
        """
        self.require_maps()
        raise NotImplementedError

    def require_maps(self) -> None:
        """Stop where there are no feature maps to work with.

        Raises:
            SuiteError: There are none; the message says why.
        """
        if self.without_maps is not None:
            raise SuiteError(
                f"this network shows no feature maps: {self.without_maps}",
                remedy="choose a method that needs the logits alone, such as supervised or mean_teacher, or a network"
                " whose maps are known (`contrastseg networks`)",
            )

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        """The encoder's maps alone; networks override it to spare pre-training the decoder."""
        return {name: x for name, x in self.features(images).items() if name.startswith("encoder")}

    def decode(self, encoded: Mapping[str, Tensor], size: Sequence[int]) -> dict[str, Tensor]:
        """Compute the maps that follow from the encoder's alone, which may be another network's or perturbed ones.

        Args:
            encoded: The maps of `encode`, by name.
            size: Shape of the images they were computed from.

        Returns:
            The maps of `features`, those given among them.

        Raises:
            NotImplementedError: A network does not say how.
        """
        raise NotImplementedError

    def features_with(self, encoded: Mapping[str, Tensor], images: Tensor) -> dict[str, Tensor]:
        """Compute all maps with these in place of the encoder's, perturbed ones for instance, in any network.

        Args:
            encoded: Every map of `encode`, blocks attached to it included.
            images: (B, C, *spatial), as many as the maps are of. A network without `decode` computes the encoder's
                maps from them again, and these are left aside.

        Returns:
            The maps of `features`, those given among them.
        """
        if type(self).decode is not FeatureNetwork.decode:
            return self.decode(encoded, images.shape[2:])
        self._given = encoded
        try:
            return self.features(images)
        finally:
            self._given = {}

    def classify(self, features: Mapping[str, Tensor]) -> Tensor:
        """Compute logits (B, K, *spatial) from the maps of `features`.

        Raises:
            NotImplementedError: A network does not say how.
        """
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K, *spatial) for images (B, C, *spatial)."""
        return self.classify(self.features(images))

    def foreign_name(self, key: str) -> str:
        """The name that a tensor of the state dict has outside this project; the same, where that is one of its own."""
        return key

    def attach(self, name: str, block: nn.Module) -> None:
        """Let `block` transform the feature map `name` wherever it is used. One block per map.

        Raises:
            SuiteError: There is no such feature map; the message lists the known ones.
        """
        self.require_maps()
        if name not in self.channels:
            raise SuiteError(unknown_name("feature map", name, list(self.channels)))
        self.attachments[name] = block

    def attached(self, name: str, feature: Tensor) -> Tensor:
        """The map after the block attached to it, or as it is; within `features_with`, the one given in its place."""
        if name in self._given:
            return self._given[name]
        if name in self.attachments:
            result: Tensor = self.attachments[name](feature)
            return result
        return feature

    @property
    def divisor(self) -> tuple[int, ...]:
        """What each axis of the input must be divisible by: the least common multiple of the strides."""
        return tuple(math.lcm(*axis) for axis in zip(*self.strides.values(), strict=True))
