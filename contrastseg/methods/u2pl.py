"""U2PL: sure pseudo labels train the segmentation, and unsure ones are negatives of the classes they are not."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.labels import IGNORE
from contrastseg.methods._networks import evaluating
from contrastseg.methods._taps import maps_of_strides
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form


class U2PL(Method):
    """A teacher labels images; its entropy and ranking of classes say which pixels teach and which are negatives."""

    name = "u2pl"
    card = Card(
        title="U²PL",
        paper="Wang et al., Semi-Supervised Semantic Segmentation Using Unreliable Pseudo-Labels, CVPR 2022",
        year=2022,
        doi="arXiv:2203.03884",
        provenance="official",
        summary="A moving average labels unlabelled images, which are then mixed (CutMix). The surest of its labels"
        " train the student; embeddings of sure pixels are drawn to their class's mean and away from a memory of pixels"
        " that surely are something else.",
        differs=(
            "The supervised loss is the suite's, by default ½ (cross-entropy + Dice); the released one is"
            " cross-entropy.",
            "The memory has as many vectors of every class, and a random choice of a step's candidates enters it. The"
            " release keeps 30,000 of a class, 50,000 of the background, and all candidates enter.",
            "The embedding is two 1×1 convolutions on a decoder map without norm and dropout; the released one has"
            " 3×3 convolutions with both, on the encoder's output. Labels and probabilities are read at the centres of"
            " its units.",
            "Anchors are compared with their own class's memory. In a batch that lacks a class, the release pairs"
            " anchors with the memory of another.",
            "The percentages of sure pixels fall at every step, in the release once in an epoch.",
            "The teacher's batch norm has the student's running statistics; the release gives it its own.",
            "In 3D a CutMix box is as deep as the patch.",
        ),
        options={
            "low_rank": "unset: max(1, round(K/7)). The released 3 of 21 classes, scaled; it would leave one rank of"
            " four classes",
            "high_rank": "unset: max(low_rank + 1, K − 1). The released 20 of 21 classes leaves out the last rank, as"
            " this does",
            "negatives": "own: the release asks that a negative pixel of a class has that class as its (pseudo) label;"
            " `other` does not, as the paper says, and takes labelled pixels too",
            "negatives_per_anchor": "50, as released; the medical copy in ARCO has 512",
            "contrast_weight": "1, as released; the medical copy has 0.01",
            "supervised_share": "1/80, as released for VOC (an epoch of 80); 0 for Cityscapes. Both start from"
            " ImageNet's weights. A new network with few steps learns its own wrong labels, see docs/methods.md",
            "stride": "4, at which the released network embeds",
            "memory_size": "4,096 vectors of a class: 30,000 would be 31 MB of every checkpoint for each class",
            "memory_push": "512 vectors of a class a step at most",
            "predict_with": "teacher, as released; student is the other choice",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        "unsupervised_weight": 1.0,
        "contrast_weight": 1.0,
        "supervised_share": 0.0125,
        "unsure_percent": 20.0,
        "cutmix_share": 0.5,
        "anchor_probability": 0.3,
        "anchors": 256,
        "negatives": "own",
        "negatives_per_anchor": 50,
        "low_rank": None,
        "high_rank": None,
        "temperature": 0.5,
        "stride": 4,
        "width": 256,
        "memory_size": 4096,
        "memory_push": 512,
        "decay": 0.99,
        "predict_with": "teacher",
    }
    choices = {"negatives": ("own", "other"), "predict_with": ("student", "teacher")}
    variants = {"default": {}, "as_described": {"negatives": "other"}}
    memory_mb = 8000

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """The decoder's map of the stride that the settings ask for."""
        if network.maps:
            maps_of_strides(cls.name, network, "decoder", [settings["stride"]], "stride")

    def build(self) -> Mapping[str, nn.Module]:
        """The network with its embedding, the moving averages of both, and the memory."""
        from contrastseg.losses.pixel_sampling import ClassQueue
        from contrastseg.networks.heads import dense_head

        settings, network = self.settings, self.task.build_network()
        (self.tap,) = maps_of_strides(self.name, network, "decoder", [settings["stride"]], "stride")
        head = dense_head(network.channels[self.tap], settings["width"], settings["width"], self.task.spatial_dims)
        return {
            "network": network,
            "head": head,
            "teacher": copy.deepcopy(network).requires_grad_(False),
            "teacher_head": copy.deepcopy(head).requires_grad_(False),
            "memory": ClassQueue(self.task.num_classes, settings["memory_size"], settings["width"]),
        }

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation of the labelled images, of the sure unlabelled pixels, and the contrast."""
        import torch

        from contrastseg.losses.consistency import entropy
        from contrastseg.losses.pseudo_labels import hard_labels
        from contrastseg.losses.unreliable import percentile, reliable_cross_entropy

        labelled = batch["labelled"]
        assert labelled.label is not None
        number, settings = len(labelled.image), self.settings
        with evaluating(self.modules["teacher"]):
            pseudo, _ = hard_labels(self.modules["teacher"](batch["unlabelled"].image))
        mixed, pseudo = self._mixed(batch["unlabelled"].image, pseudo)
        images, label = torch.cat([labelled.image, mixed]), torch.cat([labelled.label, pseudo])
        logits, embedded = self._embedded(images, "network", "head")
        with torch.no_grad():
            taught, keys = self._embedded(images, "teacher", "teacher_head")
            probabilities = taught.float().softmax(1)
            doubt = entropy(probabilities[number:])
            percent = self.host_value(self._unsure_percent, step)
            highest = percentile(doubt, 100 - percent)
            surest = percentile(doubt, percent)
            everywhere = labelled.label != IGNORE
            sure = torch.cat([everywhere, doubt <= surest])
            unsure = torch.cat([everywhere, doubt >= highest])
        contrast = self._contrast(embedded, keys, label, probabilities, sure, unsure, number)
        weight = self.host_value(self._taught, step)
        unsupervised = reliable_cross_entropy(logits[number:], pseudo, doubt < highest)
        return {
            "segmentation": self.segmentation_loss(logits[:number], labelled.label),
            "unsupervised": weight * (settings["unsupervised_weight"] * unsupervised),
            "contrast": weight * (settings["contrast_weight"] * contrast),
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    @property
    def _start(self) -> int:
        """The first step with more than the labels."""
        return int(self.settings["supervised_share"] * self.task.steps)

    def _taught(self, step: int) -> float:
        """1 from the start of teaching on, 0 before."""
        return float(step >= self._start)

    def _unsure_percent(self, step: int) -> float:
        """Percentage of unlabelled pixels that are unsure, and that are sure enough for anchors; it falls to 0."""
        percent: float = self.settings["unsure_percent"] * (1 - step / self.task.steps)
        return percent

    def _embedded(self, images: Tensor, network: str, head: str) -> tuple[Tensor, Tensor]:
        """Logits, and embeddings of the decoder map (B, D, *grid)."""
        module = self.modules[network]
        features = module.features(images)
        return module.classify(features), self.modules[head](features[self.tap])

    def _mixed(self, images: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels with a box of half the plane from the next image, in this share of the batches."""
        import torch

        from contrastseg.losses.mixing import box_mask, pasted

        rows, columns = images.shape[-2:]
        draw = torch.rand(4, len(images), dtype=torch.float64, device=images.device)
        width = (draw[0] * (columns - 1 - columns // 2)).long() + columns // 2 + 1
        height = (rows * columns / 2 / width).round().long().clamp(max=rows)
        left = (draw[1] * (columns - width + 1)).long()
        top = (draw[2] * (rows - height + 1)).long()
        inside = box_mask(torch.stack([top, left], 1), torch.stack([top + height, left + width], 1), (rows, columns))
        inside = inside & (draw[3, 0] < self.settings["cutmix_share"])
        inside = inside.reshape(len(inside), *[1] * (images.ndim - 4), rows, columns).expand(label.shape)
        return pasted(inside, images.roll(-1, 0), images), pasted(inside, label.roll(-1, 0), label)

    def _contrast(
        self,
        embedded: Tensor,
        keys: Tensor,
        label: Tensor,
        probabilities: Tensor,
        sure: Tensor,
        unsure: Tensor,
        number: int,
    ) -> Tensor:
        """Draw anchors of every class, renew its memory, and compare; maps are of labelled, then unlabelled images."""
        import torch

        from contrastseg.losses.unreliable import draw_rows, negative_candidates, prototype_contrast_loss

        settings, memory, classes = self.settings, self.modules["memory"], self.task.num_classes
        centres: Any = (..., *(slice(s // 2, None, s) for s in self.modules["network"].strides[self.tap]))
        unlabelled = (torch.arange(len(label), device=label.device) >= number).reshape(-1, *[1] * (label.ndim - 1))
        unlabelled = unlabelled.expand_as(label)
        label, sure, unsure, unlabelled = (each[centres].flatten() for each in (label, sure, unsure, unlabelled))
        rows, keys, likely = (each.movedim(1, -1).flatten(0, -2) for each in (embedded, keys, probabilities[centres]))
        with torch.no_grad():
            candidates = negative_candidates(label, likely, unsure, unlabelled, self.ranks(), settings["negatives"])
            new, found = draw_rows(candidates.T.contiguous(), settings["memory_push"])
            slots = torch.arange(settings["memory_push"], device=label.device) < found[:, None]
            each = torch.arange(classes, device=label.device)[:, None]
            entering = torch.where(slots, each, IGNORE).flatten()
            memory.push(keys[new.flatten()].float(), entering, settings["memory_push"])
            valid = (label == each) & sure
            prototypes = valid.float() @ keys.float() / valid.sum(1, keepdim=True).clamp(min=1)
            held = memory.pushed.clamp(max=settings["memory_size"])
            chances = likely.T
            anchors, anchored = draw_rows(valid & (chances > settings["anchor_probability"]), settings["anchors"])
            draw = torch.rand(classes, settings["anchors"], settings["negatives_per_anchor"], device=label.device)
            drawn = (draw.double() * held[:, None, None]).long()
        return prototype_contrast_loss(
            rows[anchors],
            prototypes,
            memory.vectors,
            drawn,
            (anchored > 0) & (held > 0),
            valid.any(1),
            settings["temperature"],
        )

    def ranks(self) -> tuple[int, int]:
        """The first rank of a class at its unlabelled negatives, and the first after them."""
        low, high, classes = self.settings["low_rank"], self.settings["high_rank"], self.task.num_classes
        low = max(1, round(classes / 7)) if low is None else low
        return low, max(low + 1, classes - 1) if high is None else high

    def after_step(self, step: int) -> None:
        """Move the averages; until teaching starts they are the student."""
        from contrastseg.losses.consistency import update_moving_average

        decay = min(1 - 1 / (max(0, step - self._start) + 1), self.settings["decay"])
        for name, average in (("network", "teacher"), ("head", "teacher_head")):
            update_moving_average(self.modules[average], self.modules[name], decay)

    def predict(self, images: Tensor) -> Tensor:
        """Logits of the average, or of the student where the settings say so."""
        name = "teacher" if self.settings["predict_with"] == "teacher" else "network"
        logits: Tensor = self.modules[name](images)
        return logits
