"""Mean teacher: the student agrees with a moving average of itself on unlabelled images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastseg.methods._networks import average_of
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, View
from contrastseg.methods.tunable import Choice, LogUniform, Uniform

if TYPE_CHECKING:
    from torch import Tensor, nn


class MeanTeacher(Method):
    """Student trained by the labels and by consistency with its exponential moving average."""

    name = "mean_teacher"
    card = Card(
        title="Mean Teacher",
        paper="Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017",
        year=2017,
        doi="arXiv:1703.01780",
        provenance="published",
        summary="Consistency (MSE of softmax) between a student and its moving average, each under its own noise.",
        differs=(
            "The student's unlabelled images carry noise too (`student_noise`), as in the paper. SSL4MIS, the common"
            " code base of the medical literature, adds noise to the teacher's alone.",
            "The consistency counts from the first step on (`consistency_from_step`). SSL4MIS omits it in the first"
            " 1,000 of 30,000 steps in 2D, and in none in 3D.",
            "The weight of the consistency rises at every step. In SSL4MIS it rises once in 150 steps.",
        ),
        options={
            "consistency_weight": "0.1, the value of the medical literature's common code base, with the mean over"
            " classes and pixels: at most a few per cent of the segmentation's gradient, see docs/methods.md. The"
            " variant `strong` has 10. The authors' code has 100 on CIFAR-10, where the classes are averaged too",
            "ramp_share": "1: the weight rises over the whole run, as in the common code base",
            "consistency_from_step": "0, since a run here may be shorter than 1,000 steps; the common code base's is"
            " 1000 in 2D, 0 in 3D",
            "student_noise": "true, as in the paper; the common code base's is false",
            "decay": "0.99, reached from 1 − 1/(t+1), so that early weights are forgotten",
            "predict_with": "student, as in the common code base; teacher is the other choice",
        },
        tunable={
            "consistency_weight": LogUniform(0.01, 10.0),
            "decay": Choice((0.9, 0.99, 0.999)),
            "ramp_share": Uniform(0.1, 1.0),
        },
    )
    stages = (
        Stage(
            "train",
            {
                "labelled": View("labelled"),
                "student": View("unlabelled", noise=0.1),
                "teacher": View("unlabelled", noise=0.1),
                "clean": View("unlabelled"),
            },
        ),
    )
    defaults = {
        "consistency_weight": 0.1,
        "ramp_share": 1.0,
        "consistency_from_step": 0,
        "student_noise": True,
        "decay": 0.99,
        "predict_with": "student",
    }
    choices = {"predict_with": ("student", "teacher")}
    variants = {"default": {}, "strong": {"consistency_weight": 10.0}}
    memory_mb = 6000

    def build(self) -> Mapping[str, nn.Module]:
        """The student and its average, which starts as a copy and gets no gradient."""
        network = self.task.build_network()
        return {"network": network, "teacher": average_of(network)}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation loss on the labelled half, consistency on the other; one pass of the student for both."""
        import torch

        labelled = batch["labelled"]
        student = batch["student" if self.settings["student_noise"] else "clean"]
        assert labelled.label is not None
        logits = self.modules["network"](torch.cat([labelled.image, student.image]))
        supervised, unsupervised = logits.split([len(labelled.image), len(student.image)])
        weight = ramped(self, "consistency_weight", step, first=self.settings["consistency_from_step"])
        return {
            "segmentation": self.segmentation_loss(supervised, labelled.label),
            "consistency": weight * self.consistency(unsupervised, batch, step),
        }

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def consistency(self, logits: Tensor, batch: Batch, step: int) -> Tensor:
        """Compute how far the student is from the teacher on the unlabelled images; `ua_mt` masks it.

        Args:
            logits: (B, K, *spatial), the student's.
            batch: Its view `teacher` is what the teacher sees.
            step: The present step.

        Returns:
            A scalar, before its weight.
        """
        import torch

        from contrastseg.losses.consistency import softmax_mse_loss

        with torch.no_grad():
            target = self.modules["teacher"](batch["teacher"].image)
        return softmax_mse_loss(logits, target)

    def after_step(self, step: int) -> None:
        """Move the average."""
        from contrastseg.losses.consistency import update_moving_average

        decay = min(self.settings["decay"], 1 - 1 / (step + 1))
        update_moving_average(self.modules["teacher"], self.modules["network"], decay)

    def predict(self, images: Tensor) -> Tensor:
        """Logits of the student, or of its average where the settings say so."""
        name = "teacher" if self.settings["predict_with"] == "teacher" else "network"
        logits: Tensor = self.modules[name](images)
        return logits
