"""GLCL: slices contrasted by where they lie in their volumes, then regions of their decoder maps among each other."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError
from contrastseg.methods._pretraining import (
    LABELLED,
    POOLING,
    POOLING_OPTION,
    POOLINGS,
    STRONG,
    TWO_VIEWS,
    EncoderPretraining,
    decoder_maps,
    encoder_width,
    require_several,
)
from contrastseg.methods.contract import Batch, Card, Circumstances, InitialWeights, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form

_INTENSITIES = {"brightness": 0.3, "contrast": (0.7, 1.3)}
_DECODER = ("network.encoder", "network.decoder", "network.up")


class GLCL(EncoderPretraining):
    """Global stage on the encoder, local stage on decoder blocks, then supervised training of both."""

    name = "glcl"
    card = Card(
        title="GLCL",
        paper="Chaitanya et al., Contrastive learning of global and local features for medical image segmentation"
        " with limited annotations, NeurIPS 2020",
        year=2020,
        doi="arXiv:2006.10511",
        provenance="published",
        summary="Pre-trains the encoder with slices of other partitions of their volumes as negatives, then decoder"
        " blocks with other regions of the same slice as negatives; then trains with the labels.",
        differs=(
            "Slices are drawn at random; the released code draws one of every partition of every volume. Slices of one"
            " partition and one volume count as those of one partition of two volumes do.",
            "Two augmented views of a slice; the released code adds the slice itself, and in G^D views fewer pairs.",
            "The global head sees the encoder's map pooled over its positions, not flattened, so that any size goes.",
            "Regions tile the map and each is contrasted with all others of its slice in both views; the released code"
            " takes 13 regions and 5 neighbours of each.",
            "No batch norm in the local head. The mean over pairs, so that the loss does not grow with the batch.",
        ),
        options={
            **POOLING_OPTION,
            "global_strategy": "gd, the paper's choice with 4 partitions; gr and gd_minus are its ablations",
            "decoder_blocks": "3, the value of the released script",
            "region_size": "3, the value of the released script",
            "freeze_encoder": "true, as published: the local stage trains the decoder alone",
        },
    )
    stages = (
        Stage("global", TWO_VIEWS, training=STRONG),
        Stage(
            "local",
            {"first": View("unlabelled"), "second": View("unlabelled", intensity="b")},
            init_from=(InitialWeights("global", ("network.encoder",)),),
            training={"augmentation": _INTENSITIES},
        ),
        Stage("train", LABELLED, init_from=(InitialWeights("local", _DECODER),)),
    )
    defaults = {
        **POOLING,
        "global_strategy": "gd",
        "partitions": 4,
        "temperature": 0.1,
        "hidden": 1024,
        "dim": 128,
        "decoder_blocks": 3,
        "region_size": 3,
        "freeze_encoder": True,
    }
    choices = {**POOLINGS, "global_strategy": ("gr", "gd_minus", "gd")}
    variants = {"default": {}, "gr": {"global_strategy": "gr"}, "gd_minus": {"global_strategy": "gd_minus"}}
    spatial_dims = (2,)

    @classmethod
    def applies_to(cls, here: Circumstances) -> str | None:
        """Only where slices have a place in a volume."""
        if not here.volumes:
            return "glcl contrasts slices by their place in a volume, and these images are no slices"
        return super().applies_to(here)

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """The parts that the local stage hands on, and as many decoder blocks as it trains."""
        _require_parts(network.parts)
        if network.maps:
            _tap(network, settings)

    def build(self) -> Mapping[str, nn.Module]:
        """The network with the head of its stage.

        Raises:
            SuiteError: The network has no parts called `decoder` and `up`, or too few decoder blocks.
        """
        modules = dict(super().build())
        if self.task.stage != "global":
            _require_parts([name for name, _ in modules["network"].named_children()])
        return modules

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """g₁, two dense layers on the encoder's vector; or g₂, two 1×1 convolutions on the last block trained."""
        from contrastseg.networks.heads import dense_head, vector_head

        settings = self.settings
        if self.task.stage == "global":
            return {"head": vector_head(encoder_width(network), settings["hidden"], settings["dim"])}
        if settings["freeze_encoder"]:
            network.encoder.requires_grad_(False)
        width = network.channels[_tap(network, self.settings)]
        return {"head": dense_head(width, width, width, self.task.spatial_dims)}

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The global or the local loss, as the stage has it."""
        if self.task.stage == "global":
            return {"global": self._global_loss(batch)}
        return {"local": self._local_loss(batch)}

    def _global_loss(self, batch: Batch) -> Tensor:
        """G^R, G^D− or G^D over the 2B projections of both views."""
        import torch

        from contrastseg.losses.info_nce import nt_xent_loss, paired_info_nce_loss, similarities
        from contrastseg.tensors import to_device

        sample, strategy = batch["first"], self.settings["global_strategy"]
        require_several(sample, self.name)
        projections = self.modules["head"](self.vectors(self.both_images(batch)))
        if strategy == "gr":
            first, second = projections.chunk(2)
            return nt_xent_loss(first, second, self.settings["temperature"])
        partition = (sample.position * self.settings["partitions"]).long().clamp(max=self.settings["partitions"] - 1)
        partition = to_device(partition, projections.device).repeat(2)
        same = partition[:, None] == partition
        itself = torch.eye(len(same), dtype=torch.bool, device=same.device)
        positives = same & ~itself if strategy == "gd" else itself.roll(len(sample.image), 1)
        similarity = similarities(projections, projections, self.settings["temperature"])
        return paired_info_nce_loss(similarity, positives, ~same)

    def _local_loss(self, batch: Batch) -> Tensor:
        """L^R: regions of one slice, which both views show at the same place, against its other regions."""
        from contrastseg.losses.info_nce import nt_xent_loss

        network = self.modules["network"]
        embedded = self.modules["head"](network.features(self.both_images(batch))[_tap(network, self.settings)])
        first, second = regions(embedded, self.settings["region_size"]).chunk(2)
        return nt_xent_loss(first, second, self.settings["temperature"])


def _require_parts(parts: Collection[str]) -> None:
    for part in _DECODER[1:]:
        if part.rpartition(".")[2] not in parts:
            raise SuiteError(
                f"glcl hands a pre-trained decoder on, and this network has no part {part!r}",
                remedy="choose a network with encoder, up and decoder, such as unet",
            )


def _tap(network: Any, settings: Mapping[str, Any]) -> str:
    """The map of the last decoder block the local stage trains."""
    names, blocks = decoder_maps(network), settings["decoder_blocks"]
    if not 1 <= blocks <= len(names):
        raise SuiteError(
            f"glcl: decoder_blocks is {blocks}, and the network has {len(names)} decoder blocks",
            remedy="set decoder_blocks of glcl, or give the network more levels",
        )
    return names[blocks - 1]


def regions(features: Tensor, size: int) -> Tensor:
    """(B, R, C · size^d): the regions of `size` positions a side that tile a map (B, C, *spatial), as vectors.

    What is left at the far border is in no region.

    Raises:
        SuiteError: The map holds fewer than two regions.
    """
    shape = features.shape[2:]
    dims = len(shape)
    if math.prod(n // size for n in shape) < 2:
        raise SuiteError(
            f"glcl: a map of {'×'.join(map(str, shape))} positions holds fewer than two regions of side {size}",
            remedy="set region_size smaller or decoder_blocks larger, or train on larger patches",
        )
    for axis in range(2, features.ndim):
        features = features.unfold(axis, size, size)
    return features.movedim(1, 1 + dims).flatten(1 + dims).flatten(1, dims)
