"""MoCo v2: a view against a queue of keys that a slowly moving copy of the encoder made of earlier images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods._pretraining import (
    POOLING,
    POOLING_OPTION,
    POOLINGS,
    STRONG_VIEWS,
    EncoderPretraining,
    encoder_width,
    momentum_copy,
)
from contrastseg.methods.contract import Batch, Card, Sample

if TYPE_CHECKING:
    from torch import Tensor, nn

MOMENTUM_CONTRAST: dict[str, Any] = {
    **POOLING,
    "temperature": 0.2,
    "momentum": 0.999,
    "dim": 128,
    "hidden": None,
    "queue_size": 1024,
    "queue_newest_only": True,
}
MOMENTUM_CONTRAST_OPTIONS = {
    **POOLING_OPTION,
    "hidden": "unset: the encoder's width, as 2048 is ResNet-50's",
    "queue_size": "1,024 keys, for data sets of hundreds to thousands of images; 65,536 in the source, for 1.3 million",
    "queue_newest_only": "a queue as large as the data would hold every image several times, so only an image's newest"
    " key stays and is never a negative of its own image; the queue starts empty and the batch's keys enter before the"
    " contrast. false is the published queue: random at the start, the batch's keys enter after",
}
MOMENTUM_CONTRAST_DIFFERS = "One device per run, so that there is no batch to shuffle for batch norm."


class MoCo(EncoderPretraining):
    """InfoNCE against a queue, then supervised training of the network with that encoder."""

    name = "moco"
    card = Card(
        title="MoCo v2",
        paper="Chen et al., Improved Baselines with Momentum Contrastive Learning, arXiv 2020;"
        " He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020",
        year=2020,
        doi="arXiv:2003.04297",
        provenance="published",
        summary="Pre-trains the encoder so that a view of an image is closer to the other view's key, made by a moving"
        " average of the encoder, than to the keys of a queue; then trains with the labels.",
        differs=(STRONG_VIEWS, MOMENTUM_CONTRAST_DIFFERS),
        options=MOMENTUM_CONTRAST_OPTIONS,
    )
    defaults = MOMENTUM_CONTRAST
    choices = POOLINGS
    variants = {"default": {}, "published_queue": {"queue_newest_only": False, "queue_size": 65536}}

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """The head, the moving averages of network and head, and the queue."""
        from contrastseg.losses.queue import KeyQueue
        from contrastseg.networks.heads import vector_head

        settings, width = self.settings, encoder_width(network)
        head = vector_head(width, settings["hidden"] or width, settings["dim"])
        return {
            "head": head,
            "key_network": momentum_copy(network),
            "key_head": momentum_copy(head),
            "queue": KeyQueue(settings["queue_size"], settings["dim"], settings["queue_newest_only"]),
        }

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The first view's queries against the second view's keys and the queue."""
        queries = self.modules["head"](self.vectors(batch["first"].image))
        return {"info_nce": self.contrast(queries, batch["second"])}

    def contrast(self, queries: Tensor, view: Sample) -> Tensor:
        """InfoNCE of queries (B, dim) with the keys of the other view and the queue."""
        import torch

        from contrastseg.losses.info_nce import info_nce_loss
        from contrastseg.tensors import to_device

        with torch.no_grad():
            keys = self.modules["key_head"](self.vectors(view.image, "key_network"))
        queue, owners = self.modules["queue"], to_device(view.unit, keys.device)
        self._waiting = None if queue.newest_only else (keys, owners)
        if queue.newest_only:
            queue.push(keys, owners)
        return info_nce_loss(queries, keys, queue.keys, self.settings["temperature"], queue.valid(owners))

    def after_pretraining_step(self, step: int) -> None:
        """Move the averages; the published queue takes the batch's keys now."""
        from contrastseg.losses.consistency import update_moving_average

        for name in ("network", "head"):
            update_moving_average(self.modules[f"key_{name}"], self.modules[name], self.settings["momentum"])
        if self._waiting is not None:
            self.modules["queue"].push(*self._waiting)
