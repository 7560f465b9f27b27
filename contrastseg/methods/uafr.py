"""UAFR: feature maps re-weighted by the certainty of a small head, wherever the settings attach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods.contract import Card
from contrastseg.methods.pdcr import DOI, PAPER
from contrastseg.methods.supervised import Supervised

if TYPE_CHECKING:
    from torch import nn

SITES = {"encoder_sites": None, "decoder_sites": None, "outputs": 2, "hidden": None}
SITE_OPTIONS = {
    "encoder_sites": "deepest maps of the encoder with a block; unset: 5 in 2D, 0 in 3D, as the paper's settings",
    "decoder_sites": "finest maps of the decoder with a block; unset: 2 in 2D, all in 3D, as the paper's settings",
    "outputs": "M = 2, the paper's best, whatever the number of classes",
    "hidden": "unset: 16 in 2D, a quarter of the channels in 3D, the released values",
}


def attach_reweighting(network: Any, spatial_dims: int, settings: Mapping[str, Any]) -> Any:
    """Attach the blocks the settings ask for to the network's maps and return it."""
    from contrastseg.networks.uafr import UncertaintyReweighting

    encoder = [name for name in network.channels if name.startswith("encoder")]
    decoder = [name for name in network.channels if name.startswith("decoder")]
    in_encoder, in_decoder = settings["encoder_sites"], settings["decoder_sites"]
    if in_encoder is None:
        in_encoder = 5 if spatial_dims == 2 else 0
    if in_decoder is None:
        in_decoder = 2 if spatial_dims == 2 else len(decoder)
    sites = encoder[max(0, len(encoder) - in_encoder) :] + decoder[max(0, len(decoder) - in_decoder) :]
    for site in sites:
        block = UncertaintyReweighting(network.channels[site], spatial_dims, settings["hidden"], settings["outputs"])
        network.attach(site, block)
    return network


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
        differs=("Attached to this benchmark's network, where the paper used DeepLabV3+ (2D) and nnU-Net (3D).",),
        options=SITE_OPTIONS,
    )
    defaults = SITES

    def build(self) -> Mapping[str, nn.Module]:
        """The network with its blocks."""
        return {"network": attach_reweighting(self.task.build_network(), self.task.spatial_dims, self.settings)}
