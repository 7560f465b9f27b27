"""SS-Net: smooth predictions by virtual adversarial training, and classes kept apart by a memory of their vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.labels import IGNORE
from contrastseg.methods._pretraining import decoder_maps
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

# What the release has in 2D (ACDC) and in 3D (LA), where they differ.
RELEASED: Mapping[int, Mapping[str, Any]] = {
    2: {"weight": 0.1, "ramp_share": 1.0, "epsilon": 6.0, "distance": "dice_per_class"},
    3: {"weight": 1.0, "ramp_share": 0.4, "epsilon": 10.0, "distance": "dice_joint"},
}


class SSNet(Method):
    """Labels, virtual adversarial training on all images, and the distance of every pixel from its class's memory."""

    name = "ss_net"
    card = Card(
        title="SS-Net",
        paper="Wu et al., Exploring Smoothness and Class-Separation for Semi-supervised Medical Image Segmentation,"
        " MICCAI 2022",
        year=2022,
        doi="10.1007/978-3-031-16443-9_4",
        provenance="official",
        summary="Predictions stay the same under the worst small change of the image, and the projected vectors of the"
        " finest decoder map are drawn to a memory of 32 correctly predicted vectors of their class; unlabelled pixels"
        " take the class they are predicted as.",
        differs=(
            "The supervised loss is the suite's, by default ½ (cross-entropy + Dice). The released one is Dice alone:"
            " with background and squared areas in 2D, of the foreground class in 3D.",
            "The clean prediction of the adversarial term is that of the main pass. The release computes it in another"
            " pass, with dropout of its own, and batch norm's running statistics move twice a step.",
            "The weight rises at every step, in the release once in 150 steps.",
            "In 3D with more than two classes the distance is joint over all classes, as in the binary release.",
            "Running statistics of batch norm in the selectors are not kept, since nothing reads them.",
        ),
        options={
            "weight": "unset: the released 0.1 in 2D, 1 in 3D",
            "ramp_share": "unset: as released, the whole run in 2D and 40 % of it in 3D",
            "epsilon": "unset: the released 6 in 2D, 10 in 3D",
            "distance": "unset: as released, Dice per class with squared areas in 2D, one Dice of all classes in 3D",
            "memory_kept": "lowest selector scores, as the release sorts; its comment says highest",
            "memory_absent": "keep: a class that a batch lacks keeps its memory, as released; `forget` empties it",
            "memory_divisor": "classes: the sum is divided by K as released, although the background has no memory;"
            " `compared` divides by the classes that are compared",
            "memory_weights": "uniform: the release divides each weight of a stored vector by itself; `learned` scales"
            " the weights of a class's memory to mean 1, as those of the pixels are",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        "weight": None,
        "ramp_share": None,
        "contrast_weight": 0.1,
        "xi": 10.0,
        "epsilon": None,
        "distance": None,
        "width": 32,
        "memory_size": 32,
        "memory_kept": "lowest",
        "memory_absent": "keep",
        "memory_divisor": "classes",
        "memory_weights": "uniform",
    }
    choices = {
        "distance": ("dice_per_class", "dice_joint"),
        "memory_kept": ("lowest", "highest"),
        "memory_absent": ("keep", "forget"),
        "memory_divisor": ("classes", "compared"),
        "memory_weights": ("uniform", "learned"),
    }
    variants = {
        "default": {},
        "as_described": {
            "memory_kept": "highest",
            "memory_absent": "forget",
            "memory_divisor": "compared",
            "memory_weights": "learned",
        },
    }
    memory_mb = 8000

    def setting(self, name: str) -> Any:
        """A setting, or the released value of this dimension where it is unset."""
        value = self.settings[name]
        return RELEASED[self.task.spatial_dims][name] if value is None else value

    def build(self) -> Mapping[str, nn.Module]:
        """The network, both heads on its finest decoder map, the selectors of a class, and the memory."""
        from contrastseg.losses.class_memory import ClassMemory
        from contrastseg.networks.heads import ClassSelectors, vector_head

        network, classes, width = self.task.build_network(), self.task.num_classes, self.settings["width"]
        self.tap = decoder_maps(network)[-1]
        modules: dict[str, nn.Module] = {
            "network": network,
            "projection": vector_head(network.channels[self.tap], width, width, norm=True),
            "prediction": vector_head(width, width, width, norm=True),
            "selectors": ClassSelectors(classes, width),
            "memory": ClassMemory(classes, self.settings["memory_size"], width),
        }
        if self.settings["memory_weights"] == "learned":
            modules["memory_selectors"] = ClassSelectors(classes, width)
        return modules

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation, adversarial and contrast terms, from one pass for all images and two for the adversarial."""
        import torch

        from contrastseg.losses.adversarial import virtual_adversarial_loss

        labelled, unlabelled = batch["labelled"], batch["unlabelled"]
        assert labelled.label is not None
        network, number = self.modules["network"], len(labelled.image)
        images = torch.cat([labelled.image, unlabelled.image])
        features = network.features(images)
        logits = network.classify(features)
        centres: Any = (..., *(slice(s // 2, None, s) for s in network.strides[self.tap]))
        predicted, label = logits.detach()[centres].argmax(dim=1), labelled.label[centres]
        self._renew(features[self.tap][:number], label, predicted[:number])
        contrast = self._contrast(features[self.tap][:number], label)
        contrast = contrast + self._contrast(features[self.tap][number:], predicted[number:])
        adversarial = virtual_adversarial_loss(
            network,
            images,
            logits.detach().float().softmax(dim=1),
            self.settings["xi"],
            self.setting("epsilon"),
            self.setting("distance"),
        )
        weight = self.host_value(self._weight, step)
        return {
            "segmentation": self.segmentation_loss(logits[:number], labelled.label),
            "adversarial": weight * adversarial,
            "contrast": weight * (self.settings["contrast_weight"] * contrast),
        }

    def _weight(self, step: int) -> float:
        """λ of both terms at this step."""
        from contrastseg.losses.consistency import sigmoid_rampup

        risen: float = self.setting("weight") * sigmoid_rampup(step, self.task.steps, self.setting("ramp_share"))
        return risen

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def _renew(self, features: Tensor, label: Tensor, predicted: Tensor) -> None:
        """Choose what the memory holds among the correctly predicted foreground of the labelled images."""
        import torch

        projection = self.modules["projection"]
        correct = torch.where((label == predicted) & (label > 0), label, IGNORE).flatten()
        with torch.no_grad():
            training = projection.training
            projection.eval()  # by the running statistics, as released
            vectors = projection(rows(features)).float()
            projection.train(training)
            scores = self.modules["selectors"](vectors, correct)
        kept, absent = self.settings["memory_kept"], self.settings["memory_absent"]
        self.modules["memory"].renew(vectors, correct, scores, kept, absent)

    def _contrast(self, features: Tensor, classes: Tensor) -> Tensor:
        """Weighted distance of predicted vectors (of a map) from the memory of their classes."""
        from contrastseg.losses.class_memory import memory_distance_loss

        memory, own = self.modules["memory"], classes.flatten()
        vectors = self.modules["prediction"](self.modules["projection"](rows(features)))
        return memory_distance_loss(
            vectors,
            own,
            self.modules["selectors"](vectors.detach(), own),
            memory.vectors,
            memory.held,
            self._memory_weights(memory) if "memory_selectors" in self.modules else None,
            self.settings["memory_divisor"],
        )

    def _memory_weights(self, memory: Any) -> Tensor:
        """(K, M): the other selectors' scores of the vectors in memory, 0 where there is none."""
        import torch

        number, size = memory.vectors.shape[:2]
        slots = torch.arange(size, device=memory.held.device) < memory.held[:, None]
        classes = torch.arange(number, device=memory.held.device)[:, None]
        unit = torch.nn.functional.normalize(memory.vectors, dim=2)
        scores: Tensor = self.modules["memory_selectors"](
            unit.flatten(0, 1), torch.where(slots, classes, IGNORE).flatten()
        )
        return scores.view(number, size)


def rows(features: Tensor) -> Tensor:
    """(B · positions, C): the vectors of a map (B, C, *spatial)."""
    return features.movedim(1, -1).flatten(0, -2)
