"""Interpolation consistency: a mix of two images is to be segmented as the mix of the teacher's outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contrastseg.errors import TrainingError
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Stage, View
from contrastseg.methods.mean_teacher import MeanTeacher

if TYPE_CHECKING:
    from torch import Tensor


class ICT(MeanTeacher):
    """Mean teacher on mixes of unlabelled images."""

    name = "ict"
    card = Card(
        title="Interpolation Consistency Training (ICT)",
        paper="Verma et al., Interpolation Consistency Training for Semi-Supervised Learning, IJCAI 2019",
        year=2019,
        doi="arXiv:1903.03825",
        provenance="official",
        summary="Pairs of unlabelled images are mixed, u₀ (1 − λ) + u₁ λ with λ ~ Beta(0.2, 0.2); the student's softmax"
        " of the mix is held (MSE) to the mix of its moving average's. Follows SSL4MIS.",
        differs=(
            "The weight of the consistency rises at every step. In SSL4MIS it rises once in 150 steps.",
            "Normalisation statistics of the average are the student's; in SSL4MIS the average has its own.",
        ),
        options={
            "consistency_weight": "0.1, as in SSL4MIS, with the mean over classes and pixels",
            "ramp_share": "1: the weight rises over the whole run, as in SSL4MIS",
            "alpha": "0.2, as in SSL4MIS, for both parameters of the Beta distribution; each pair has a λ of its own",
            "decay": "0.99, reached from 1 − 1/(t+1), as in SSL4MIS",
            "predict_with": "student, as in SSL4MIS; teacher is the other choice",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {"consistency_weight": 0.1, "ramp_share": 1.0, "alpha": 0.2, "decay": 0.99, "predict_with": "student"}
    variants = {"default": {}}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation of labelled images, and of mixes of unlabelled ones as the average's outputs are mixed.

        Raises:
            TrainingError: A batch has fewer than two unlabelled images, which are needed for a pair.
        """
        import torch
        import torch.nn.functional as F

        labelled, images = batch["labelled"], batch["unlabelled"].image
        assert labelled.label is not None
        pairs = len(images) // 2
        if pairs == 0:
            raise TrainingError("ict mixes pairs, and a batch has one image", remedy="raise batch_size to 2 or more")
        share = self._shares(images, pairs, step)
        weight = ramped(self, "consistency_weight", step)
        first, second, *_ = images.split(pairs)
        with torch.no_grad():
            outputs = [self.modules["teacher"](each).float().softmax(1) for each in (first, second)]
            target = outputs[0] * (1 - share) + outputs[1] * share
        mixed = (first * (1 - share) + second * share).to(images.dtype)
        logits = self.modules["network"](torch.cat([labelled.image, mixed]))
        supervised, unsupervised = logits.split([len(labelled.image), pairs])
        return {
            "segmentation": self.segmentation_loss(supervised, labelled.label),
            "consistency": weight * F.mse_loss(unsupervised.float().softmax(1), target),
        }

    def _shares(self, images: Tensor, pairs: int, step: int) -> Tensor:
        """λ of each pair, (pairs, 1, …)."""
        import torch

        from contrastseg.tensors import to_device

        def draw(step: int) -> Tensor:
            alpha = self.settings["alpha"]
            return torch.distributions.Beta(alpha, alpha, validate_args=False).sample((pairs,))

        drawn = to_device(self.host_value(draw, step), images.device)
        return drawn.view(-1, *[1] * (images.ndim - 1))

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None
