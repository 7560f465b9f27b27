"""UniMatch: a network's sure labels of weak views teach it on strong views, and on its own perturbed features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastseg.errors import SuiteError
from contrastseg.methods import _strong_views as strong
from contrastseg.methods._networks import evaluating, with_dropped_channels
from contrastseg.methods.contract import Batch, Card, Method, Stage, View
from contrastseg.methods.tunable import Choice, LogUniform

if TYPE_CHECKING:
    from torch import Tensor, nn


class UniMatch(Method):
    """Weak-to-strong consistency on two strong views and on perturbed features; `fixmatch` has one strong view."""

    name = "unimatch"
    card = Card(
        title="UniMatch",
        paper="Yang et al., Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation, CVPR 2023",
        year=2023,
        doi="arXiv:2208.09910",
        provenance="official",
        summary="The network's own labels of unlabelled images, where their probability is at least 0.95, are targets"
        " (Dice) of two strong views (photometric jitter, blur, CutMix) and of a pass with half of the encoder's"
        " channels dropped. The variant `fixmatch` has one strong view and no such pass.",
        differs=(
            "The loss on labelled images and the weak view are the suite's; the release's are ½ (cross-entropy + Dice)"
            " with the background, and quarter turns, mirror images and rotations by up to 20°.",
            strong.JITTER_DIFFERS,
            "In 3D, which the release does not have, CutMix pastes boxes of the same shares of the volume.",
            "`fixmatch` follows the authors' own baseline for photographs, with the Dice of their medical code in place"
            " of the cross-entropy.",
        ),
        options={
            **strong.JITTER_OPTIONS,
            "blur_probability": "0.5, as released",
            "cutmix_probability": "0.5, as released; labels and confidences are mixed alike",
            "cutmix_area": "0.02 to 0.4 of the image, as released",
            "cutmix_ratio": "height by width, 0.3 to 1/0.3, as released",
            "threshold": "0.95, as released; pixels below it are ignored",
            "strong_views": "2, as released; each has half of `strong_weight`",
            "channel_dropout": "0.5 on every encoder map, as released",
            "labelled_weight": "0.5, as released",
            "strong_weight": "0.25 for all strong views together, as released; `fixmatch`: 0.5",
            "feature_weight": "0.25, as released; 0 leaves that pass out",
        },
        tunable={
            "threshold": Choice((0.5, 0.7, 0.8, 0.9, 0.95, 0.99)),
            "strong_weight": LogUniform(0.025, 2.5),
            "feature_weight": LogUniform(0.025, 2.5),
        },
    )
    stages = (
        Stage(
            "train",
            {
                "labelled": View("labelled"),
                "unlabelled": View("unlabelled"),
                "pasted": View("unlabelled", "pasted", samples="pasted"),
            },
        ),
    )
    defaults = {
        **strong.JITTER,
        **strong.CUTMIX,
        "threshold": 0.95,
        "strong_views": 2,
        "channel_dropout": 0.5,
        "labelled_weight": 0.5,
        "strong_weight": 0.25,
        "feature_weight": 0.25,
    }
    variants = {"default": {}, "fixmatch": {"strong_views": 1, "strong_weight": 0.5, "feature_weight": 0.0}}
    memory_mb = 8000

    def build(self) -> Mapping[str, nn.Module]:
        """The network.

        Raises:
            SuiteError: A setting has no possible value.
        """
        strong.check_ranges(self.name, self.settings, ("blur", "cutmix_area", "cutmix_ratio", "intensity_limits"))
        views = self.settings["strong_views"]
        if not isinstance(views, int) or views < 1:
            raise SuiteError(f"strong_views of {self.name} is {views!r}", remedy="give a whole number from 1 on")
        return super().build()

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation of labelled images, and the Dice of each view with the sure labels of the weak one."""
        import torch

        from contrastseg.losses.mixing import pasted
        from contrastseg.losses.pseudo_labels import hard_labels

        labelled, weak, other = batch["labelled"], batch["unlabelled"].image, batch["pasted"].image
        assert labelled.label is not None
        network, settings = self.modules["network"], self.settings
        masks, images = self._strong_views(torch.cat([weak, other]), step)
        with evaluating(network):
            other_label, other_confidence = hard_labels(network(other))
        both = torch.cat([labelled.image, weak])
        if settings["feature_weight"]:
            logits, dropped = with_dropped_channels(network, both, settings["channel_dropout"])
        else:
            logits = network(both)
        label, confidence = hard_labels(logits[len(labelled.image) :])
        terms = {
            "segmentation": settings["labelled_weight"]
            * self.segmentation_loss(logits[: len(labelled.image)], labelled.label)
        }
        strong_terms = [
            self.pseudo_loss(seen, pasted(mask, other_label, label), pasted(mask, other_confidence, confidence))
            for seen, mask in zip(network(images).chunk(len(masks)), masks, strict=True)
        ]
        terms["strong"] = settings["strong_weight"] * torch.stack(strong_terms).mean()
        if settings["feature_weight"]:
            term = self.pseudo_loss(dropped[len(labelled.image) :], label, confidence)
            terms["feature"] = settings["feature_weight"] * term
        return terms

    def _strong_views(self, images: Tensor, step: int) -> tuple[list[Tensor], Tensor]:
        """Mask of each strong view's boxes, and the views in one batch; of the images the latter half is pasted."""
        import torch

        from contrastseg.losses.mixing import pasted
        from contrastseg.tensors import to_device

        settings, (size, shape) = self.settings, (len(images), images.shape[2:])

        def draw(step: int) -> Tensor:
            views = range(settings["strong_views"])
            drawn = [(strong.draw_jitter(size, settings), strong.draw_boxes(size // 2, shape, settings)) for _ in views]
            return torch.stack([torch.cat([jitter.flatten(), box.flatten()]) for jitter, box in drawn])

        masks, views = [], []
        for drawn in to_device(self.host_value(draw, step), images.device):
            jitter, box = drawn.split([5 * size, len(drawn) - 5 * size])
            masks.append(strong.boxes(box.view(-1, size // 2), shape))
            weak, other = strong.jittered(images, jitter.view(5, size), settings).chunk(2)
            views.append(pasted(masks[-1], other, weak))
        return masks, torch.cat(views)

    def pseudo_loss(self, logits: Tensor, label: Tensor, confidence: Tensor) -> Tensor:
        """Dice over all classes with the labels that are sure; 0 where none is.

        Args:
            logits: (B, K, *spatial).
            label: (B, *spatial).
            confidence: (B, *spatial), probability of each label.
        """
        from contrastseg.losses.pseudo_labels import confident_labels
        from contrastseg.losses.segmentation import soft_dice_loss

        target = confident_labels(label, confidence, self.settings["threshold"])
        return soft_dice_loss(logits, target, background=True, squared=True)

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
