"""UAFR: feature maps re-weighted by the certainty of a small head, wherever the settings attach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods._taps import maps_of_names
from contrastseg.methods.contract import Card
from contrastseg.methods.pdcr import DOI, PAPER
from contrastseg.methods.supervised import Supervised

if TYPE_CHECKING:
    from torch import nn

SITES = {
    "sites": None,
    "encoder_sites": None,
    "decoder_sites": None,
    "outputs": 2,
    "hidden": None,
    "kernel": 3,
    "dropout": 0.0,
    "norm": "batch",
}
SITE_CHOICES: dict[str, tuple[str, ...]] = {"norm": ("batch", "instance")}
SITE_OPTIONS = {
    "sites": "names of maps with a block; unset: by the two numbers below. On DeepLabV3+ with the Xception the released"
    " ones are encoder_conv1 to encoder_conv5, low_level and decoder2",
    "encoder_sites": "deepest maps of the encoder with a block; unset: 5 in 2D and 0 in 3D, the paper's numbers. In 2D"
    " the paper's five are not the deepest, see `sites`",
    "decoder_sites": "finest maps of the decoder with a block; unset: 2 in 2D and all in 3D, the paper's numbers. In 2D"
    " the paper's two come before the decoder's convolutions, see `sites`",
    "outputs": "M = 2, the paper's best, whatever the number of classes",
    "hidden": "unset: 16 in 2D, a quarter of the channels in 3D, the released values",
    "kernel": "3, the released value and the paper's best of 1, 3, 5 and 7",
    "dropout": "0, before the last convolution of the blocks outside the encoder; the released 2D code has 0.1 there"
    " and none in the encoder",
    "norm": "batch, as released in 2D and 3D",
}


def attach_reweighting(network: Any, spatial_dims: int, settings: Mapping[str, Any]) -> Any:
    """Attach the blocks that the settings ask for to the network's maps.

    Args:
        network: Its maps are named in the settings; it is changed in place.
        spatial_dims: 2 or 3.
        settings: Of `uafr`.

    Returns:
        The network.
    """
    from contrastseg.networks.uafr import UncertaintyReweighting

    for site in _sites(network, spatial_dims, settings):
        block = UncertaintyReweighting(
            network.channels[site],
            spatial_dims,
            settings["hidden"],
            settings["outputs"],
            settings["kernel"],
            0.0 if site.startswith("encoder") else settings["dropout"],
            settings["norm"],
        )
        network.attach(site, block)
    return network


def _sites(network: Any, spatial_dims: int, settings: Mapping[str, Any]) -> list[str]:
    if settings["sites"] is not None:
        chosen = maps_of_names("uafr", network, settings["sites"], "sites")
        return [name for name in network.channels if name in chosen]
    if not network.channels:
        network.require_maps()
    encoder = [name for name in network.channels if name.startswith("encoder")]
    decoder = [name for name in network.channels if name.startswith("decoder")]
    in_encoder, in_decoder = settings["encoder_sites"], settings["decoder_sites"]
    if in_encoder is None:
        in_encoder = 5 if spatial_dims == 2 else 0
    if in_decoder is None:
        in_decoder = 2 if spatial_dims == 2 else len(decoder)
    return encoder[max(0, len(encoder) - in_encoder) :] + decoder[max(0, len(decoder) - in_decoder) :]


class UAFR(Supervised):
    """The supervised loss on a network whose features are re-weighted by their certainty."""

    name = "uafr"
    card = Card(
        title="UAFR",
        paper=PAPER,
        year=2022,
        doi=DOI,
        provenance="official",
        summary="Blocks that add x · (1 − U) to a map x, U the normalised entropy of a two-way softmax of a small head;"
        " no loss of their own.",
        differs=(
            "Attached to this benchmark's network, where the paper used DeepLabV3+ (2D) and nnU-Net (3D), and there by"
            " depth: the released 2D sites are named under `sites`.",
        ),
        options=SITE_OPTIONS,
    )
    defaults = SITES
    choices = SITE_CHOICES

    def build(self) -> Mapping[str, nn.Module]:
        """The network with its blocks."""
        return {"network": attach_reweighting(self.task.build_network(), self.task.spatial_dims, self.settings)}
