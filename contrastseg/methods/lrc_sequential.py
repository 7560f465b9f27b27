"""LRC-style, staged: MoCo on the encoder first, then contrast of super-pixels on the whole network."""

from __future__ import annotations

from dataclasses import replace

from contrastseg.methods._pretraining import LABELLED, STRONG, TWO_VIEWS
from contrastseg.methods.contract import InitialWeights, Stage
from contrastseg.methods.lrc import CARD, LRC, REGIONS


class LRCSequential(LRC):
    """The global stage, then the local one with a decoder, then supervised training of the whole network."""

    name = "lrc_sequential"
    card = replace(
        CARD,
        title="LRC-style, staged",
        summary="Pre-trains the encoder as MoCo v2 does, then the whole network so that points of one super-pixel are"
        " closer to each other across two views than to points of other super-pixels; then trains with the labels.",
    )
    stages = (
        Stage("global", TWO_VIEWS, training=STRONG),
        Stage("local", REGIONS, init_from=(InitialWeights("global", ("network.encoder",)),), training=STRONG),
        Stage("train", LABELLED, init_from=(InitialWeights("local", ("network",)),)),
    )
    terms = {"global": ("global",), "local": ("local",)}
