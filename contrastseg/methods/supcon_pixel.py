"""Supervised pixel contrast: pixels of one class attract each other across the batch. Needs labels only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.labels import IGNORE
from contrastseg.methods._taps import maps_of_strides
from contrastseg.methods.contract import Batch, Card, Method, Stage, View
from contrastseg.methods.tunable import LogUniform, Uniform

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form


class SupConPixel(Method):
    """Segmentation loss plus a supervised contrastive term over sampled pixels of one decoder map."""

    name = "supcon_pixel"
    card = Card(
        title="Supervised pixel contrast",
        paper="Wang et al., Exploring Cross-Image Pixel Contrast for Semantic Segmentation, ICCV 2021",
        year=2021,
        doi="arXiv:2101.11939",
        provenance="reconstructed",
        summary="Embeds pixels of every class, half of them misclassified ones, with a small head on a decoder map, and"
        " pulls those of one class together against those of the others (the paper's equation 3).",
        differs=(
            "On this benchmark's network, where the paper used HRNet, DeepLabV3 and OCR on street scenes.",
            "Pixels are drawn before the head, which is therefore two linear layers without a norm.",
            "Pixels are drawn per class and batch, in the released code per class and image.",
            "The queue holds pixels; the paper's second queue, of whole regions' means, is left out.",
            "No factor τ/τ_base, which is 1 or a constant in the released settings.",
        ),
        options={
            "weight": "0.1, not tuned here",
            "temperature": "0.1, the paper's",
            "stride": "4, the finest the released networks embed at; labels are read at the units' centres",
            "width": "256, the released width of the embeddings",
            "anchors": "1,024 in all, as released",
            "anchors_per_class": "100, as released",
            "hard_share": "half, as released",
            "denominator": "negatives, the paper's equation; `all` is Khosla's form, where positives compete",
            "background": "a class like the others; false leaves its pixels out",
            "queue_size": "0: this batch alone; the variant `memory` keeps 1,000 vectors of a class (released: 5,000)",
            "queue_push": "10 vectors of a class a step, the released number per image",
            "warmup_share": "0: the released code waits for an eighth of its 40,000 steps, ours are fewer",
        },
        tunable={
            "weight": LogUniform(0.01, 1.0),
            "temperature": LogUniform(0.05, 1.0),
            "hard_share": Uniform(0.0, 1.0),
        },
    )
    stages = (Stage("train", {"labelled": View("labelled")}),)
    defaults = {
        "weight": 0.1,
        "temperature": 0.1,
        "stride": 4,
        "width": 256,
        "anchors": 1024,
        "anchors_per_class": 100,
        "hard_share": 0.5,
        "denominator": "negatives",
        "background": True,
        "queue_size": 0,
        "queue_push": 10,
        "warmup_share": 0.0,
    }
    choices = {"denominator": ("negatives", "all")}
    variants = {"default": {}, "memory": {"queue_size": 1000}}

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """The decoder's map of the stride that the settings ask for."""
        if network.maps:
            maps_of_strides(cls.name, network, "decoder", [settings["stride"]], "stride")

    def build(self) -> Mapping[str, nn.Module]:
        """The network, the head that embeds its pixels, and the queue where one is wanted."""
        from torch import nn

        from contrastseg.losses.pixel_sampling import ClassQueue

        network, settings = self.task.build_network(), self.settings
        (self.tap,) = maps_of_strides(self.name, network, "decoder", [settings["stride"]], "stride")
        self.latest: tuple[Tensor, Tensor] | None = None
        channels, width = network.channels[self.tap], settings["width"]
        head = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, width))
        modules: dict[str, nn.Module] = {"network": network, "head": head}
        if settings["queue_size"] > 0:
            modules["queue"] = ClassQueue(self.task.num_classes, settings["queue_size"], width)
        return modules

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation loss and the contrast of the sampled pixels."""
        from contrastseg.losses.supervised_contrast import supcon_loss

        settings, label = self.settings, batch["labelled"].label
        assert label is not None
        network = self.modules["network"]
        features = network.features(batch["labelled"].image)
        logits = network.classify(features)
        embeddings, classes = self.embed(features[self.tap], logits.detach(), label)
        queue = self.modules["queue"].contents() if "queue" in self.modules else None
        contrast = supcon_loss(
            embeddings,
            classes,
            settings["temperature"],
            queue=queue,
            denominator=settings["denominator"],
            ignore_index=IGNORE,
        )
        self.latest = embeddings.detach(), classes
        return {
            "segmentation": self.segmentation_loss(logits, label),
            "contrast": self.host_value(self._weight, step) * contrast,
        }

    def _weight(self, step: int) -> float:
        """Of the contrast: 0 until it begins."""
        weight: float = self.settings["weight"]
        return weight if step >= self.settings["warmup_share"] * self.task.steps else 0.0

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def embed(self, features: Tensor, logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Embed sampled units of a feature map.

        Args:
            features: (B, C, *grid).
            logits: (B, K, *spatial); units that are predicted wrongly are the hard ones.
            label: (B, *spatial), 255 = ignore.

        Returns:
            Embeddings (A, D), and their classes (A,), 255 where a row holds none.
        """
        from contrastseg.losses.pixel_sampling import sample_anchors

        settings = self.settings
        centres: Any = (..., *(slice(s // 2, None, s) for s in self.modules["network"].strides[self.tap]))
        labels, predicted = label[centres], logits[centres].argmax(dim=1)
        if not settings["background"]:
            labels = labels.masked_fill(labels == 0, IGNORE)
        index, classes = sample_anchors(
            labels,
            predicted,
            self.task.num_classes,
            settings["anchors_per_class"],
            settings["anchors"],
            settings["hard_share"],
        )
        units = labels[0].numel()
        picked = features.flatten(2)[index // units, :, index % units]
        embeddings: Tensor = self.modules["head"](picked)
        return embeddings, classes

    def after_step(self, step: int) -> None:
        """Queue some of what was just embedded."""
        if "queue" in self.modules and self.latest is not None:
            self.modules["queue"].push(*self.latest, self.settings["queue_push"])
