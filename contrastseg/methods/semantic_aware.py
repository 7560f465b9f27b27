"""Semantic-aware contrast: patches around coarsely found organs are contrasted by organ, then segmented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError
from contrastseg.labels import IGNORE
from contrastseg.methods import _query_patches as geometry
from contrastseg.methods._pretraining import (
    LABELLED,
    POOLING,
    POOLING_OPTION,
    POOLINGS,
    encoder_maps,
    encoder_width,
    pooled,
)
from contrastseg.methods.contract import Batch, Card, InitialWeights, Method, Sample, Stage

if TYPE_CHECKING:
    from torch import Tensor, nn

BACKGROUND = 0


class SemanticAware(Method):
    """Coarse masks, contrast of organ patches with the organ as label, segmentation of organ patches."""

    name = "semantic_aware"
    card = Card(
        title="Semantic-aware contrast",
        paper="Lee et al., Semantic-Aware Contrastive Learning for Multi-Object Medical Image Segmentation, IEEE JBHI"
        " 2023",
        year=2023,
        doi="10.1109/JBHI.2023.3285230",
        provenance="reconstructed",
        summary="A coarse network finds the organs; each is cut out with its mask as a further input channel; an"
        " encoder learns to distinguish organs by supervised contrast, then a network segments each patch, organ"
        " against background, and the patches are put back into one label map.",
        differs=(
            "The structure is published; sizes, margins and schedules are ours. The full text is open (PMC10524443) and"
            " was not read for this.",
            "This benchmark's network with one channel more serves for the patches of all organs, with its own decoder,"
            " where the paper has a ResNet-50 with an ASPP decoder.",
            "All three stages see labelled patients alone, and each has a whole budget of steps.",
            "In training, masks are cross-fitted by patient: none is masked by a network that saw its labels. With a"
            " single labelled patient, its own labels are its masks.",
            "Boxes are found in each image a network sees: with volumes larger than the patch, in each inference window"
            " by itself, and overlapping windows are averaged.",
            "Images where the coarse network finds no organ are background.",
            "Views of the contrast are cut from images that the suite's augmentation has warped already, and are"
            " mirrored only where the suite mirrors.",
            "The coarse masks of new patients are those of all networks of the coarse stage together, which the source"
            " does not say; `coarse_ensemble` is what these give without patches, `coarse_only` the one network alone.",
            "The variants share the stages: those from coarse masks and `random_init` learn nothing in what they do not"
            " need.",
        ),
        options={
            "folds": "2 networks for the cross-fitted masks: the cost of one more network, each trained on half the"
            " patients; more folds train on more",
            "patch_size": "unset: 128 per axis in 2D, the published value, and 48 in 3D, seven times as many values;"
            " a side or one per axis",
            "patches": "patches of a step, balanced over organs; unset: 16 in 2D, 4 in 3D",
            "margin": "0.1 of the box's side at each end: coarse masks are rarely off by more",
            "minimum_side": "16 pixels: no patch is magnified beyond what it holds",
            "jitter": "in `train`, boxes move by up to 0.1 of their side and grow or shrink as much, since coarse boxes"
            " err on new patients",
            "objective": "supcon; simclr (each patch its own label) and none (a random encoder) are the compared rows",
            "mask_channel": "true; false is the compared row without it",
            "temperature": "0.1, as published",
            "embedding": "256, as published; the head's hidden layer is as wide as the encoder's last map",
            **POOLING_OPTION,
            "crop": "resized crops of 0.3 to 0.7 of the patch, as published",
            "rotation_degrees": "±30°, as published, about the slice axis in 3D",
            "mirror": "true: views are mirrored at random, as published, along the axes that the suite mirrors"
            " (`flip_axes`) and no others: a mirrored left kidney is a right one, and the contrast cannot learn to"
            " distinguish them. false: never",
            "background_mask": "with one foreground class, it is told from background patches of the same size; they"
            " carry the organ's mask, moved, or the mask alone would distinguish them; empty is the other choice",
            "encoder": "fine-tuned after the contrast; frozen is the other published choice",
            "predict_from": "patches; coarse is the compared row of the coarse network alone",
            "coarse_at_test": "ensemble: what the coarse network misses is never segmented, and the cross-fitted"
            " networks are there anyway. On generated organs with 4 labelled patients it raised validation Dice from"
            " 0.47 to 0.71 and from 0.50 to 0.64 (seeds 0 and 1); it costs `folds` more coarse passes. network is the"
            " other choice",
        },
    )
    stages = (
        Stage("coarse", LABELLED),
        Stage("contrast", LABELLED, init_from=(InitialWeights("coarse", ("folds",)),)),
        Stage(
            "train",
            LABELLED,
            init_from=(
                InitialWeights("coarse", ("network", "folds")),
                InitialWeights("contrast", ("patch_network.encoder",)),
            ),
        ),
    )
    defaults = {
        "folds": 2,
        "patch_size": None,
        "patches": None,
        "margin": 0.1,
        "minimum_side": 16,
        "jitter": 0.1,
        "objective": "supcon",
        "mask_channel": True,
        "temperature": 0.1,
        "embedding": 256,
        **POOLING,
        "crop": (0.3, 0.7),
        "rotation_degrees": 30.0,
        "mirror": True,
        "background_mask": "moved",
        "encoder": "fine-tuned",
        "predict_from": "patches",
        "coarse_at_test": "ensemble",
    }
    choices = {
        **POOLINGS,
        "objective": ("supcon", "simclr", "none"),
        "background_mask": ("moved", "empty"),
        "encoder": ("fine-tuned", "frozen"),
        "predict_from": ("patches", "coarse"),
        "coarse_at_test": ("ensemble", "network"),
    }
    variants = {
        "default": {},
        "random_init": {"objective": "none"},
        "simclr": {"objective": "simclr"},
        "no_mask_channel": {"mask_channel": False},
        "coarse_only": {"objective": "none", "predict_from": "coarse", "coarse_at_test": "network"},
        "coarse_ensemble": {"objective": "none", "predict_from": "coarse"},
    }
    memory_mb = 8000

    def build(self) -> Mapping[str, nn.Module]:
        """The coarse network, its cross-fitted siblings, and from the second stage on the patches' network."""
        import torch
        from torch import nn

        from contrastseg.networks.heads import vector_head

        settings, task = self.settings, self.task
        sides = settings["patch_size"] or (128 if task.spatial_dims == 2 else 48)
        self._patch = [sides] * task.spatial_dims if isinstance(sides, int) else list(sides)
        if len(self._patch) != task.spatial_dims:
            raise SuiteError(
                f"patch_size of semantic_aware is {sides}; the images are {task.spatial_dims}D",
                remedy=f"give one number, or {task.spatial_dims}",
            )
        self._count = settings["patches"] or (16 if task.spatial_dims == 2 else 4)
        # Drawn first, so that how it starts depends on no setting; a stage's name is in the seed, so `supervised`
        # starts elsewhere.
        modules: dict[str, nn.Module] = {"network": task.build_network()}
        modules["folds"] = nn.ModuleList(task.build_network() for _ in range(settings["folds"]))
        # How many samples each has been trained on: a network without any makes no masks.
        modules["folds"].register_buffer("seen", torch.zeros(settings["folds"], dtype=torch.int64))
        if task.stage == "coarse":
            return modules
        for part in modules.values():
            part.requires_grad_(False)
        channels = task.in_channels + bool(settings["mask_channel"])
        patch_network = task.build_network(in_channels=channels, num_classes=2)
        modules["patch_network"] = patch_network
        if task.stage == "contrast":
            width = encoder_width(patch_network)
            modules["projector"] = vector_head(width, width, settings["embedding"])
        elif settings["encoder"] == "frozen":
            patch_network.encoder.requires_grad_(False)
        return modules

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The loss of the stage."""
        sample, stage = batch["labelled"], self.task.stage
        if stage == "coarse":
            return self._coarse_step(sample)
        if stage == "contrast":
            return {"contrast": self._contrast_loss(sample)}
        return {"segmentation": self._segmentation_loss(sample)}

    def unrecordable(self) -> str | None:
        """Which samples train a sibling, and which organs give a patch, follows from the batch."""
        if self.task.stage == "coarse":
            return "how many samples each of the cross-fitted networks sees differs from step to step"
        return "how many patches there are differs from step to step"

    def _coarse_step(self, sample: Sample) -> dict[str, Tensor]:
        """Every sample trains the network of test time, and all networks but that of its patient's fold."""
        from contrastseg.tensors import to_device

        assert sample.label is not None
        terms = {"segmentation": self.segmentation_loss(self.modules["network"](sample.image), sample.label)}
        fold = self._fold(sample)
        siblings = terms["segmentation"].new_zeros(())
        for index, network in enumerate(self.modules["folds"]):
            others = to_device((fold != index).nonzero()[:, 0], sample.image.device)
            if len(others):
                self.modules["folds"].seen[index] += len(others)
                # Networks with batch norm refuse a single image; shown twice it has the same loss.
                others = others.repeat(2) if len(others) == 1 else others
                siblings = siblings + self.segmentation_loss(network(sample.image[others]), sample.label[others])
        return {**terms, "cross_fitted": siblings}

    def _fold(self, sample: Sample) -> Tensor:
        """(B,) on the CPU: the fold each sample's patient belongs to."""
        assert sample.patient is not None
        return sample.patient % self.settings["folds"]

    def _masks(self, sample: Sample) -> Tensor:
        """Coarse masks (B, *spatial) by the networks that have not seen these patients; their labels where none is."""
        import torch

        from contrastseg.tensors import to_device

        assert sample.label is not None
        fold, folds = self._fold(sample), self.modules["folds"]
        masks = torch.where(sample.label == IGNORE, BACKGROUND, sample.label)
        for index, network in enumerate(folds):
            members = to_device((fold == index).nonzero()[:, 0], masks.device)
            if len(members):
                predicted = coarse_labels(network, sample.image[members])
                masks[members] = torch.where(folds.seen[index] > 0, predicted, masks[members])
        return masks

    def _contrast_loss(self, sample: Sample) -> Tensor:
        """Supervised contrast of two views of each organ patch, with the organ as its label."""
        import torch

        from contrastseg.losses.supervised_contrast import supcon_loss
        from contrastseg.tensors import to_device

        settings, projector = self.settings, self.modules["projector"]
        if settings["objective"] == "none":
            return nothing_to_learn(projector)
        masks = self._masks(sample)
        which, organ, boxes = self._queries(masks)
        if len(which) == 0:
            return nothing_to_learn(projector)
        members = (masks[which] == organ.reshape(-1, *[1] * (masks.ndim - 1))).float().unsqueeze(1)
        images, mask_boxes = sample.image[which], boxes
        if self.task.num_classes == 2:
            centres = to_device(torch.rand(len(which), 8, self.task.spatial_dims), boxes.device)
            boxes = torch.cat([boxes, geometry.emptiest_boxes(members, boxes, centres)])
            mask_boxes, images = mask_boxes.repeat(2, 1, 1), images.repeat(2, *[1] * (images.ndim - 1))
            empty = torch.zeros_like(members) if settings["background_mask"] == "empty" else members
            members, organ = torch.cat([members, empty]), torch.cat([organ, torch.full_like(organ, BACKGROUND)])
        views = torch.cat([self._view(images, members, boxes, mask_boxes) for _ in range(2)])
        labels = organ if settings["objective"] == "supcon" else torch.arange(len(organ), device=organ.device)
        network = self.modules["patch_network"]
        vectors = pooled(network.encode(views)[encoder_maps(network)[-1]], settings["pooling"])
        return supcon_loss(projector(vectors), labels.repeat(2), settings["temperature"])

    def _queries(self, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The patches of a batch: index of the image (P,), organ (P,), box with its margin (P, 2, d)."""
        import torch

        from contrastseg.tensors import to_device

        boxes, present = geometry.mask_boxes(masks, self.task.num_classes)
        which, organ = to_device(torch.stack(balanced_choice(present.cpu(), self._count)), masks.device)
        chosen = geometry.widen(boxes[which, organ], self.settings["margin"], self.settings["minimum_side"])
        return which, organ + 1, chosen

    def _view(self, images: Tensor, members: Tensor, boxes: Tensor, mask_boxes: Tensor) -> Tensor:
        """One random view (P, C, *patch): part of the box, turned and mirrored; the mask is read in its own box."""
        import torch

        from contrastseg.tensors import to_device

        count, dims = len(boxes), self.task.spatial_dims
        low, high = self.settings["crop"]
        scale = (low + torch.rand(count, 1) * (high - low)) ** (1 / dims)
        shift = (torch.rand(count, dims) - 0.5) * (1 - scale)
        axes = self.task.flip_axes if self.settings["mirror"] else ()
        turn = geometry.random_rotations(count, dims, self.settings["rotation_degrees"], axes)
        drawn = to_device(torch.cat([shift, scale, turn.flatten(1)], dim=1), boxes.device)
        shift, scale, turn = drawn.split([dims, 1, dims**2], dim=1)
        where, where_mask = (
            geometry.patch_positions(geometry.move(b, shift, scale), self._patch, turn.unflatten(1, (dims, dims)))
            for b in (boxes, mask_boxes)
        )
        return self._patches(images, members, where, where_mask)

    def _patches(self, images: Tensor, members: Tensor, where: Tensor, where_mask: Tensor) -> Tensor:
        """Patches (P, C, *patch) of images, with the organ's mask as the last channel unless that is left out."""
        import torch

        patches = geometry.sample_at(images, where)
        if not self.settings["mask_channel"]:
            return patches
        mask = geometry.sample_at(members, where_mask, outside="zeros")
        return torch.cat([patches, mask.to(patches.dtype)], dim=1)

    def _segmentation_loss(self, sample: Sample) -> Tensor:
        """Organ against background, in patches around the organs that the coarse masks show."""
        import torch

        from contrastseg.tensors import to_device

        network, jitter = self.modules["patch_network"], self.settings["jitter"]
        if self.settings["predict_from"] == "coarse":
            return nothing_to_learn(network)
        masks = self._masks(sample)
        which, organ, boxes = self._queries(masks)
        if len(which) == 0:
            return nothing_to_learn(network)
        dims = self.task.spatial_dims
        drawn = 2 * torch.cat([torch.rand(len(which), dims), torch.rand(len(which), 1)], dim=1) - 1
        shift, scale = (to_device(drawn, boxes.device) * jitter).split([dims, 1], dim=1)
        boxes = geometry.move(boxes, shift, 1 + scale)
        where = geometry.patch_positions(boxes, self._patch)
        organ = organ.reshape(-1, *[1] * (masks.ndim - 1))
        members = (masks[which] == organ).float().unsqueeze(1)
        patches = self._patches(sample.image[which], members, where, where)
        assert sample.label is not None
        label = geometry.sample_at(sample.label[which].float().unsqueeze(1), where, nearest=True)[:, 0].long()
        target = torch.where(label == IGNORE, IGNORE, (label == organ).long())
        if self.settings["encoder"] == "frozen":
            network.encoder.eval()
        return self.segmentation_loss(network(patches), target)

    def _coarse_logits(self, images: Tensor) -> Tensor:
        """(B, K, *spatial) of the network trained on all, or the log of its and its siblings' mean probabilities."""
        import torch

        network, folds = self.modules["network"], self.modules["folds"]
        trained = [sibling for sibling, seen in zip(folds, folds.seen.tolist(), strict=True) if seen]
        if self.settings["coarse_at_test"] == "network" or not trained:
            alone: Tensor = network(images)
            return alone
        probabilities = [torch.softmax(each(images).float(), dim=1) for each in (network, *trained)]
        return torch.stack(probabilities).mean(0).clamp(min=1e-6).log()

    def predict(self, images: Tensor) -> Tensor:
        """Logits (B, K, *spatial): the organs' patches, each segmented by itself, put back; the likeliest wins."""
        import torch

        coarse = self._coarse_logits(images)
        if self.settings["predict_from"] == "coarse" or self.task.stage != "train":
            return coarse
        masks = coarse.argmax(1)
        boxes, present = geometry.mask_boxes(masks, self.task.num_classes)
        shape = images.shape[2:]
        organs = images.new_zeros((len(images), self.task.num_classes - 1, *shape), dtype=torch.float32)
        which, index = present.nonzero(as_tuple=True)
        for image, organ in zip(which.split(self._count), index.split(self._count), strict=True):
            chosen = geometry.widen(boxes[image, organ], self.settings["margin"], self.settings["minimum_side"])
            where = geometry.patch_positions(chosen, self._patch)
            members = (masks[image] == (organ + 1).reshape(-1, *[1] * len(shape))).float().unsqueeze(1)
            logits = self.modules["patch_network"](self._patches(images[image], members, where, where))
            probability = torch.softmax(logits.float(), dim=1)[:, 1:]
            organs[image, organ] = geometry.paste(probability, chosen, shape)[:, 0]
        background = 1 - organs.amax(1, keepdim=True)
        return torch.cat([background, organs], dim=1).clamp(min=1e-6).log()


def coarse_labels(network: Any, images: Tensor) -> Tensor:
    """Labels (B, *spatial) by a network that is not trained any more."""
    import torch

    network.eval()
    with torch.no_grad():
        labels: Tensor = network(images).argmax(1)
    return labels


def balanced_choice(present: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """At most `count` of the pairs (image, organ) where `present` (B, C) holds, every organ as likely as another."""
    import torch

    pairs = present.nonzero()
    if len(pairs) > count:
        weights = present.sum(0).double().reciprocal()[pairs[:, 1]]
        pairs = pairs[torch.multinomial(weights, count).sort().values]
    return pairs[:, 0], pairs[:, 1]


def nothing_to_learn(module: nn.Module) -> Tensor:
    """Make a loss of 0 with gradients of 0, for a batch without a patch or a row that skips a stage."""
    return next(parameter for parameter in module.parameters() if parameter.requires_grad).sum() * 0.0
