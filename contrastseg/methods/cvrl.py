"""CVRL: embeddings contrasted between student and teacher by rows and by columns, at the bottleneck and at voxels."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.methods._ramp import ramped
from contrastseg.methods._taps import deepest_map, maps_of_strides
from contrastseg.methods.contract import Batch, Card, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from contrastseg.networks.catalogue import Form

PARTS = ("network", "high", "low")


class CVRL(Method):
    """Mean teacher, plus contrast over samples and over feature dimensions at two levels of the network."""

    name = "cvrl"
    card = Card(
        title="CVRL-style",
        paper="You et al., Momentum Contrastive Voxel-wise Representation Learning for Semi-supervised Volumetric"
        " Medical Image Segmentation, MICCAI 2022",
        year=2022,
        doi="10.1007/978-3-031-16440-8_61",
        provenance="reconstructed",
        summary="A student and its moving average embed the same crops under different noise: sub-volumes of the"
        " bottleneck (high level) and single voxels of a decoder map (low level). Each sample finds its counterpart"
        " among the samples, each feature among the features; predictions on unlabelled images agree.",
        differs=(
            "Reconstructed from the abstract of arXiv 2105.07059v4: no released code. The full text is open"
            " (PMC10352821) and was not read for this.",
            "The supervised loss is the suite's, by default half the paper's sum of cross-entropy and Dice.",
            "This benchmark's network and budget; the paper's is a V-Net with SGD for 6,000 steps.",
            "Small patches have a bottleneck of a few cells: the high level is then the next finer encoder map.",
            "The 1×1 convolution of the low level is applied to the sampled positions alone, which is the same.",
        ),
        options={
            "high_weight": "λ_h = 0.1, of the two terms at the high level; not known from the source. On generated"
            " organs (4 labelled patients, 600 steps) 0.1 left the Dice where supervised training has it, see"
            " docs/methods.md, and 0.5 kept the segmentation from being learned (0.14, one seed): in a new network the"
            " feature term alone then has about the gradient of the segmentation loss",
            "low_weight": "λ_l = 0.1, likewise; the two were changed together",
            "consistency_weight": "γ = 0.1, the value of the medical literature's common code base",
            "ramp_share": "γ rises over the first 40 % of the steps, our choice: the source was not read for it",
            "decay": "0.999, reached from (1+t)/(10+t), which averages about the last ninth of the steps; up to 0.999,"
            " 1 − 1/(t+1) would be the mean of all of the first thousand",
            "temperature": "τ = 0.5, of rows; not known from the source",
            "feature_temperature": "τ_f = 0.5, of columns; as τ",
            "feature_weight": "1: the two terms of a level weigh alike; 0, the variant `no_feature_term`, leaves the"
            " one between features out",
            "contrast_on": "both: labelled and unlabelled samples alike, since no contrast term reads a label;"
            " unlabelled is the other choice",
            "dimensions": "64: not more columns than the samples of a usual batch can distinguish",
            "sub_volumes": "at least 16 cells of each crop, so that two crops give the 32 samples the"
            " feature term needs",
            "points": "64 positions of each crop, one at random in each of as many equal stretches of the map",
            "low_stride": "1: the finest decoder map, the one voxels are classified from",
            "queue_size": "256 teacher vectors of the high level from earlier steps; 0 for none. It starts as random"
            " directions, as MoCo's does",
            "distance_weight": "0: no regression of signed distances; 0.1 is the value of the same group's SimCVD",
            "predict_with": "student, as in mean_teacher; teacher is the other choice",
        },
    )
    stages = (
        Stage(
            "train",
            {
                "labelled": View("labelled"),
                "labelled_teacher": View("labelled", noise=0.1),
                "student": View("unlabelled", noise=0.1),
                "teacher": View("unlabelled", noise=0.1),
            },
        ),
    )
    defaults = {
        "high_weight": 0.1,
        "low_weight": 0.1,
        "consistency_weight": 0.1,
        "ramp_share": 0.4,
        "decay": 0.999,
        "temperature": 0.5,
        "feature_temperature": 0.5,
        "feature_weight": 1.0,
        "contrast_on": "both",
        "dimensions": 64,
        "sub_volumes": 16,
        "points": 64,
        "low_stride": 1,
        "queue_size": 256,
        "distance_weight": 0.0,
        "predict_with": "student",
    }
    choices = {"contrast_on": ("both", "unlabelled"), "predict_with": ("student", "teacher")}
    variants = {
        "default": {},
        "no_feature_term": {"feature_weight": 0.0},
        "signed_distance": {"distance_weight": 0.1},
    }
    memory_mb = 8000

    @classmethod
    def check_network(cls, network: Form, settings: Mapping[str, Any]) -> None:
        """The decoder's maps of the strides that the settings ask for."""
        if network.maps:
            maps_of_strides(cls.name, network, "decoder", [settings["low_stride"]], "low_stride")
            maps_of_strides(cls.name, network, "decoder", [1] if settings["distance_weight"] else [], "distance_weight")

    def build(self) -> Mapping[str, nn.Module]:
        """Student, the average of all its parts, and the queue."""
        from torch import nn

        from contrastseg.losses.queue import KeyQueue
        from contrastseg.networks.heads import vector_head

        settings = self.settings
        network = self.task.build_network()
        self._high = deepest_map(self.name, network, self.task.patch_size, settings["sub_volumes"])
        (self._low,) = maps_of_strides(self.name, network, "decoder", [settings["low_stride"]], "low_stride")
        width, size = network.channels[self._high], settings["dimensions"]
        averaged: dict[str, nn.Module] = {
            "network": network,
            "high": vector_head(width, width, size),
            "low": nn.Linear(network.channels[self._low], size),
        }
        teacher = nn.ModuleDict(copy.deepcopy(averaged)).requires_grad_(False)
        modules = {**averaged, "teacher": teacher}
        if settings["queue_size"]:
            modules["queue"] = KeyQueue(settings["queue_size"], size)
        if settings["distance_weight"]:
            convolution: Any = nn.Conv2d if self.task.spatial_dims == 2 else nn.Conv3d
            (self._finest,) = maps_of_strides(self.name, network, "decoder", [1], "distance_weight")
            modules["distance"] = convolution(network.channels[self._finest], self.task.num_classes - 1, 1)
        return modules

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation loss, contrast at two levels, consistency, and the distances where asked for."""
        import torch

        from contrastseg.losses import signed_distance
        from contrastseg.losses.consistency import softmax_mse_loss

        settings, modules = self.settings, self.modules
        labelled, count = batch["labelled"], len(batch["labelled"].image)
        assert labelled.label is not None
        network = modules["network"]
        student = network.features(torch.cat([labelled.image, batch["student"].image]))
        logits = network.classify(student)
        with torch.no_grad():
            average = modules["teacher"]["network"]
            teacher = average.features(torch.cat([batch["labelled_teacher"].image, batch["teacher"].image]))
            target = average.classify({name: feature[count:] for name, feature in teacher.items()})
        terms = {"segmentation": self.segmentation_loss(logits[:count], labelled.label)}
        first = 0 if settings["contrast_on"] == "both" else count
        terms |= self._contrast(student[self._high][first:], teacher[self._high][first:], "high", step)
        terms |= self._contrast(student[self._low][first:], teacher[self._low][first:], "low", step)
        weight = ramped(self, "consistency_weight", step)
        terms["consistency"] = weight * softmax_mse_loss(logits[count:], target)
        if settings["distance_weight"]:
            finest = student[self._finest][:count]
            distances = signed_distance.signed_distances(labelled.label, self.task.num_classes)
            loss = signed_distance.distance_regression_loss(torch.tanh(modules["distance"](finest)), distances)
            terms["distance"] = settings["distance_weight"] * loss
        return terms

    def _contrast(self, student: Tensor, teacher: Tensor, level: str, step: int) -> dict[str, Tensor]:
        """The batch term and the feature term of one level, from maps (B, C, *spatial) of both networks."""
        import torch

        from contrastseg.losses.region_contrast import gather_points
        from contrastseg.losses.voxel_contrast import batch_contrast_loss, feature_contrast_loss

        settings = self.settings
        if level == "high":
            grid = sub_volume_grid(tuple(student.shape[2:]), settings["sub_volumes"])
            ours, theirs = pool(student, grid), pool(teacher, grid)
        else:
            positions = self._positions(student, step)[:, None]
            ours, theirs = (gather_points(feature, positions).flatten(0, 2) for feature in (student, teacher))
        ours = self.modules[level](ours)
        with torch.no_grad():
            theirs = self.modules["teacher"][level](theirs)
        queue = None
        if level == "high" and settings["queue_size"]:
            queue, self._latest = self.modules["queue"].keys, theirs
        weight = settings[f"{level}_weight"]
        terms = {f"batch_{level}": weight * batch_contrast_loss(ours, theirs, settings["temperature"], queue)}
        if settings["feature_weight"]:
            loss = feature_contrast_loss(ours, theirs, settings["feature_temperature"])
            terms[f"feature_{level}"] = weight * settings["feature_weight"] * loss
        return terms

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def _positions(self, feature: Tensor, step: int) -> Tensor:
        """(B, points) flat positions, all different within a sample: one in each of as many stretches of the map."""
        import torch

        from contrastseg.tensors import to_device

        count, size = len(feature), math.prod(feature.shape[2:])
        points = min(self.settings["points"], size)

        def draw(step: int) -> Tensor:
            # Drawn on the CPU: the same positions on every device.
            bounds = torch.arange(points + 1) * size // points
            random = torch.rand(count, points, dtype=torch.float64)
            return bounds[:-1] + (random * bounds.diff()).long()

        return to_device(self.host_value(draw, step), feature.device)

    def after_step(self, step: int) -> None:
        """Move the average and the queue."""
        import torch

        from contrastseg.losses.consistency import update_moving_average

        decay = min(self.settings["decay"], (1 + step) / (10 + step))
        for part in PARTS:
            update_moving_average(self.modules["teacher"][part], self.modules[part], decay)
        if self.settings["queue_size"]:
            # Whose they are does not matter: a queue of a few steps holds hardly anything twice.
            self.modules["queue"].push(self._latest, self._latest.new_zeros(len(self._latest), dtype=torch.int64))

    def predict(self, images: Tensor) -> Tensor:
        """Logits of the student, or of its average where the settings say so."""
        teacher = self.settings["predict_with"] == "teacher"
        logits: Tensor = (self.modules["teacher"] if teacher else self.modules)["network"](images)
        return logits


def sub_volume_grid(shape: tuple[int, ...], cells: int) -> tuple[int, ...]:
    """Counts per axis of a grid of at least `cells` cells over a map of this shape (or of all its pixels)."""
    counts = [1] * len(shape)
    while math.prod(counts) < min(cells, math.prod(shape)):
        counts[max(range(len(shape)), key=lambda axis: shape[axis] / counts[axis])] += 1
    return tuple(counts)


def pool(feature: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Means over the cells of a grid: (B, C, *spatial) to (B · cells, C)."""
    import torch.nn.functional as F

    pooling: Any = F.adaptive_avg_pool2d if len(grid) == 2 else F.adaptive_avg_pool3d
    cells: Tensor = pooling(feature, grid)
    return cells.flatten(2).transpose(1, 2).flatten(0, 1)
