"""IDEAL-style: dense contrast of corresponding positions, then two decoders on one encoder that teach each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.labels import IGNORE
from contrastseg.methods._pretraining import (
    STRONG,
    STRONG_VIEWS,
    TWO_VIEWS,
    EncoderPretraining,
    encoder_maps,
    encoder_width,
    momentum_copy,
)
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, InitialWeights, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn


class IDEAL(EncoderPretraining):
    """Dense InfoNCE on the encoder's deepest map; cross pseudo supervision of two different decoders after."""

    name = "ideal"
    card = Card(
        title="IDEAL-style",
        paper="Basak et al., IDEAL: Improved DEnse locAL Contrastive Learning for Semi-Supervised Medical Image"
        " Segmentation, ICASSP 2023",
        year=2023,
        doi="10.1109/ICASSP49357.2023.10094869",
        provenance="reconstructed",
        summary="Pre-trains the encoder so that a position is closer to the one that shows the same place in the other"
        " view than to all others; then one encoder with two different decoders, each supervised by the labels and, on"
        " unlabelled images, by the other's thresholded prediction.",
        differs=(
            STRONG_VIEWS,
            "The paper's structure with losses of our reading. Its repository"
            " (Rohit-Kundu/IDEAL-ICASSP23) has two notebooks, which were not read for this.",
            "Labelled and unlabelled images pass apart, so that batch norm takes each by itself.",
            "The first decoder is the benchmark network's own (transposed convolutions in the U-Net).",
        ),
        options={
            "correspondence": "geometric, since the warps are known exactly; feature is the other reading (DenseCL)",
            "tolerance": "half a stride: the position lies in the block its match stands for",
            "negatives": "the other positions of the same image and those of the batch's other images; a queue of"
            " pooled maps is the other choice",
            "queue_size": "1,024, used where `negatives` names the queue",
            "key": "a momentum copy makes the keys; siamese is the other reading",
            "momentum": "0.999, MoCo's",
            "temperature": "0.1",
            "hidden": "unset: the encoder's width",
            "dim": "128, as in MoCo and DenseCL",
            "consistency_weight": "0.1, the value of the medical literature's common code base",
            "ramp_share": "weight rises over the first 40 % of the steps, our choice: the source was not read for it",
            "pseudo_threshold": "0: every pixel's most probable class; else only where its probability reaches this",
            "feature_noise": "0.3, the value of cross-consistency training; the paper does not name its perturbation",
        },
    )
    stages = (
        Stage("pretrain", TWO_VIEWS, training=STRONG),
        Stage(
            "train",
            {"labelled": View("labelled"), "unlabelled": View("unlabelled")},
            init_from=(InitialWeights("pretrain", ("network.encoder",)),),
        ),
    )
    defaults = {
        "correspondence": "geometric",
        "tolerance": 0.5,
        "negatives": ("same_image", "batch"),
        "queue_size": 1024,
        "key": "momentum",
        "momentum": 0.999,
        "temperature": 0.1,
        "hidden": None,
        "dim": 128,
        "consistency_weight": 0.1,
        "ramp_share": 0.4,
        "pseudo_threshold": 0.0,
        "feature_noise": 0.3,
    }
    choices = {
        "correspondence": ("geometric", "feature"),
        "negatives": ("same_image", "batch", "queue"),
        "key": ("momentum", "siamese"),
    }
    variants = {
        "default": {},
        "feature_correspondence": {"correspondence": "feature"},
        "siamese": {"key": "siamese"},
        "queue": {"negatives": ("same_image", "queue")},
    }

    def build(self) -> Mapping[str, nn.Module]:
        """The network with heads and keys while it pre-trains, with the second decoder after."""
        modules = dict(super().build())
        if self.task.stage == "train":
            from contrastseg.networks.decoders import InterpolatingDecoder

            network: Any = modules["network"]
            channels = {name: network.channels[name] for name in encoder_maps(network)}
            modules["second_decoder"] = InterpolatingDecoder(
                channels, self.task.num_classes, self.task.spatial_dims, self.settings["feature_noise"]
            )
        return modules

    def build_pretraining(self, network: Any) -> Mapping[str, nn.Module]:
        """The dense head; the moving averages and the queue where the settings ask for them."""
        from contrastseg.losses.queue import KeyQueue
        from contrastseg.networks.heads import dense_head

        settings, width = self.settings, encoder_width(network)
        head = dense_head(width, settings["hidden"] or width, settings["dim"], self.task.spatial_dims)
        modules: dict[str, nn.Module] = {"head": head}
        if settings["key"] == "momentum":
            modules |= {"key_network": momentum_copy(network), "key_head": momentum_copy(head)}
        if "queue" in settings["negatives"]:
            modules["queue"] = KeyQueue(settings["queue_size"], settings["dim"], newest_only=True)
        return modules

    def pretraining_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Dense InfoNCE of the first view's positions with their correspondences in the second."""
        import torch

        from contrastseg.losses.correspondence import feature_matches, geometric_matches, map_coordinates
        from contrastseg.losses.info_nce import dense_info_nce_loss
        from contrastseg.tensors import to_device

        settings, (first, second) = self.settings, (batch["first"], batch["second"])
        query_map, queries = self._embedded(first.image)
        if settings["key"] == "momentum":
            with torch.no_grad():
                key_map, keys = self._embedded(second.image, "key_")
        else:
            key_map, keys = self._embedded(second.image)
        if settings["correspondence"] == "geometric":
            network = self.modules["network"]
            stride = network.strides[encoder_maps(network)[-1]]
            here, there = (map_coordinates(view.coordinates, stride) for view in (first, second))
            matches = geometric_matches(here, there, stride, settings["tolerance"])
        else:
            matches = feature_matches(query_map, key_map)
        stored = None, None
        if "queue" in settings["negatives"]:
            queue, owners = self.modules["queue"], to_device(second.unit, keys.device)
            queue.push(keys.detach().mean(1), owners)
            stored = queue.keys, queue.valid(owners)
        loss = dense_info_nce_loss(queries, keys, matches, settings["temperature"], settings["negatives"], *stored)
        return {"dense_info_nce": loss}

    def _embedded(self, images: Tensor, prefix: str = "") -> tuple[Tensor, Tensor]:
        """The deepest encoder map (B, N, C) and its embeddings (B, N, dim), a row per position."""
        network = self.modules[f"{prefix}network"]
        features = network.encode(images)[encoder_maps(network)[-1]]
        embedded = self.modules[f"{prefix}head"](features)
        return features.flatten(2).transpose(1, 2), embedded.flatten(2).transpose(1, 2)

    def after_pretraining_step(self, step: int) -> None:
        """Move the averages, where the keys are theirs."""
        from contrastseg.losses.consistency import update_moving_average

        if self.settings["key"] == "momentum":
            for name in ("network", "head"):
                update_moving_average(self.modules[f"key_{name}"], self.modules[name], self.settings["momentum"])

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Both streams by the labels, and on unlabelled images each by the other's pseudo labels."""
        if self.task.stage != "train":
            return super().training_step(batch, step)
        from contrastseg.losses.segmentation import cross_entropy_loss

        labelled, unlabelled = batch["labelled"], batch["unlabelled"]
        assert labelled.label is not None
        supervised = self._streams(labelled.image)
        first, second = self._streams(unlabelled.image)  # apart, for the reason given in `cps`
        cross = cross_entropy_loss(first, self._pseudo_label(second)) + cross_entropy_loss(
            second, self._pseudo_label(first)
        )
        weight = ramped(self, "consistency_weight", step)
        segmentation = [self.segmentation_loss(logits, labelled.label) for logits in supervised]
        return {"segmentation": segmentation[0] + segmentation[1], "cross_supervision": weight * cross}

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def _streams(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the network's own decoder and of the second one, from one pass of the encoder."""
        network = self.modules["network"]
        features = network.features(images)
        return network.classify(features), self.modules["second_decoder"](features, images.shape[2:])

    def _pseudo_label(self, logits: Tensor) -> Tensor:
        """(B, *spatial): the most probable class, 255 where its probability is below the threshold; no gradient."""
        import torch

        probability, label = torch.softmax(logits.detach().float(), dim=1).max(dim=1)
        return torch.where(probability >= self.settings["pseudo_threshold"], label, IGNORE)

    def predict(self, images: Tensor) -> Tensor:
        """Logits whose softmax is the mean of both decoders' softmax."""
        import torch

        first, second = (torch.log_softmax(logits.float(), dim=1) for logits in self._streams(images))
        return torch.logaddexp(first, second)
