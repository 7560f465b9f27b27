"""Bidirectional copy-paste: boxes of labelled images in unlabelled ones, and of unlabelled in labelled ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastseg.errors import SuiteError, TrainingError
from contrastseg.methods._networks import average_of
from contrastseg.methods.contract import Batch, Card, InitialWeights, Method, Stage, View

if TYPE_CHECKING:
    from torch import Tensor, nn

PAIRS = "copy_paste"


class BCP(Method):
    """Copy-paste among labelled images, then between labelled and unlabelled ones with a teacher's labels."""

    name = "bcp"
    card = Card(
        title="Bidirectional Copy-Paste (BCP)",
        paper="Bai et al., Bidirectional Copy-Paste for Semi-Supervised Medical Image Segmentation, CVPR 2023",
        year=2023,
        doi="arXiv:2305.00673",
        provenance="official",
        summary="A box of two thirds of every side is cut out of one image and filled from another. The first stage"
        " mixes labelled images. In the second, an unlabelled image is filled from a labelled one and the other way"
        " round; the labels of the unlabelled are a moving average's, of each class the largest connected part.",
        differs=(
            "The second stage starts from the last checkpoint of the first. The release takes its best one: on ACDC by"
            " the validation patients, on the left atrium by the test cases.",
            "The losses of a region are the suite's. The release's Dice has the background, with squares and sums over"
            " the batch in 2D, of each image without squares in 3D.",
            "A stage has as many steps as the suite gives it; without a word of the suite both have the same. The"
            " release has 10,000 and 30,000 on ACDC, 2,000 and 15,000 on the left atrium.",
            "The first stage starts the second one's optimiser anew; the release carries it over in 2D.",
            "Normalisation statistics of the average are the student's. The release averages them in 2D; in 3D it"
            " leaves the average its own.",
        ),
        options={
            "box_share": "2/3 of every side, as released; 0 mixes nothing",
            "unlabelled_weight": "0.5, as released: weight of the regions with the average's labels; 1 where they are"
            " true",
            "decay": "0.99 from the first step on, as released",
            "largest_component": "true, as released: of each class, in 2D in each slice",
            "first_loss": "unset: `regions` in 2D (the loss of each region, added) and `whole` in 3D (the loss of the"
            " mixed image), as released",
        },
    )
    stages = (
        Stage(PAIRS, {"labelled": View("labelled")}),
        Stage(
            "train",
            {"labelled": View("labelled"), "unlabelled": View("unlabelled")},
            init_from=(InitialWeights(PAIRS, ("network", "teacher")),),
        ),
    )
    defaults = {
        "box_share": 2 / 3,
        "unlabelled_weight": 0.5,
        "decay": 0.99,
        "largest_component": True,
        "first_loss": None,
    }
    choices = {"first_loss": ("regions", "whole")}
    memory_mb = 6000

    def build(self) -> Mapping[str, nn.Module]:
        """The student and its average.

        Raises:
            SuiteError: `box_share` is no share.
        """
        if not 0 <= self.settings["box_share"] <= 1:
            raise SuiteError(f"box_share of bcp is {self.settings['box_share']}", remedy="give a number from 0 to 1")
        network = self.task.build_network()
        return {"network": network, "teacher": average_of(network)}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """The losses of mixed images, region by region.

        Raises:
            TrainingError: A batch has fewer than two images of a kind, which are needed for a pair.
        """
        from contrastseg.losses.mixing import pasted

        labelled, network = batch["labelled"], self.modules["network"]
        assert labelled.label is not None
        pairs = min(len(sample.image) for sample in batch.values()) // 2
        if pairs == 0:
            raise TrainingError("bcp mixes pairs, and a batch has one image", remedy="raise batch_size to 2 or more")
        box = self._box(labelled.image, step)
        x_a, x_b, *_ = labelled.image.split(pairs)
        y_a, y_b, *_ = labelled.label.split(pairs)
        if self.task.stage == PAIRS:
            logits = network(pasted(box, x_b, x_a))
            if (self.settings["first_loss"] or ("regions", "whole")[self.task.spatial_dims - 2]) == "whole":
                return {"mixed": self.segmentation_loss(logits, pasted(box, y_b, y_a))}
            return {"mixed": self.mixed_loss(logits, box, y_b, y_a, 1.0, 1.0)}
        u_a, u_b, *_ = batch["unlabelled"].image.split(pairs)
        pseudo_a, pseudo_b = self.pseudo_labels(u_a), self.pseudo_labels(u_b)
        weight = self.settings["unlabelled_weight"]
        into_unlabelled, into_labelled = network(pasted(box, x_a, u_a)), network(pasted(box, u_b, x_b))
        return {
            "into_unlabelled": self.mixed_loss(into_unlabelled, box, y_a, pseudo_a, 1.0, weight),
            "into_labelled": self.mixed_loss(into_labelled, box, pseudo_b, y_b, weight, 1.0),
        }

    def _box(self, images: Tensor, step: int) -> Tensor:
        """(1, *spatial): the box of the step, anywhere it fits; one for the whole batch."""
        import torch

        from contrastseg.losses.mixing import box_mask
        from contrastseg.tensors import to_device

        shape = images.shape[2:]
        side = torch.tensor([int(size * self.settings["box_share"]) for size in shape])

        def draw(step: int) -> Tensor:
            room = (torch.tensor(shape) - side).clamp(min=1)
            first = (torch.rand(len(shape)) * room).long()
            return torch.stack([first, first + side])

        low, high = to_device(self.host_value(draw, step), images.device)
        return box_mask(low[None], high[None], shape)

    def pseudo_labels(self, images: Tensor) -> Tensor:
        """What the average sees in images (B, C, *spatial): labels (B, *spatial), without gradient."""
        import torch

        from contrastseg.losses.pseudo_labels import hard_labels, largest_components

        with torch.no_grad():
            label, _ = hard_labels(self.modules["teacher"](images))
            return largest_components(label, self.task.num_classes) if self.settings["largest_component"] else label

    def mixed_loss(
        self, logits: Tensor, box: Tensor, patch: Tensor, image: Tensor, patch_weight: float, image_weight: float
    ) -> Tensor:
        """Loss of a mixed image: that of the box and that of what is around it, weighted and added.

        Args:
            logits: (B, K, *spatial).
            box: (1, *spatial), true inside.
            patch: (B, *spatial), labels of what is inside.
            image: (B, *spatial), labels of what is around it.
            patch_weight: Of the box.
            image_weight: Of what is around it.
        """
        import torch

        from contrastseg.labels import IGNORE

        inside = self.segmentation_loss(logits, torch.where(box, patch, IGNORE))
        around = self.segmentation_loss(logits, torch.where(box, IGNORE, image))
        return patch_weight * inside + image_weight * around

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def after_step(self, step: int) -> None:
        """Move the average; in the first stage it is the student, for the second one starts with both."""
        from contrastseg.losses.consistency import update_moving_average

        decay = 0.0 if self.task.stage == PAIRS else self.settings["decay"]
        update_moving_average(self.modules["teacher"], self.modules["network"], decay)
