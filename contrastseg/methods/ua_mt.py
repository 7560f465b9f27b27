"""Uncertainty-aware mean teacher: consistency only where the teacher, asked several times, is sure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from contrastseg.errors import SuiteError
from contrastseg.methods.contract import Batch, Card
from contrastseg.methods.mean_teacher import MeanTeacher

if TYPE_CHECKING:
    from torch import Tensor, nn


class UAMT(MeanTeacher):
    """Mean teacher with the consistency masked by the entropy of the teacher's mean over noisy passes."""

    name = "ua_mt"
    card = Card(
        title="Uncertainty-aware Mean Teacher (UA-MT)",
        paper="Yu et al., Uncertainty-aware Self-ensembling Model for Semi-supervised 3D Left Atrium Segmentation,"
        " MICCAI 2019",
        year=2019,
        doi="arXiv:1907.07034",
        provenance="official",
        summary="Mean teacher whose consistency counts pixels alone where the mean of eight noisy passes of the teacher"
        " has an entropy under (0.75 + 0.25 · ramp) · ln K.",
        differs=(
            "The student's unlabelled images carry noise too (`student_noise`), as in this benchmark's mean teacher."
            " The released code adds noise to the teacher's alone.",
            "The released code is for two classes: it divides by 2, and its threshold is a share of ln 2. Ours divides"
            " by K (`divisor`) and uses ln K (`threshold`); SSL4MIS keeps both twos at four classes.",
            "The weight of the consistency rises at every step. In the released code it rises once in 150 steps.",
            "Passes differ by noise, and by dropout only where the network has some; the paper's V-Net has.",
        ),
        options={
            **MeanTeacher.card.options,
            "consistency_weight": "0.1, as released",
            "ramp_share": "1: the weight rises over the whole run, as released",
            "passes": "8, as released",
            "passes_at_once": "1; the released code sends two noisy copies of the images through the teacher at once,"
            " so that batch norm sees both",
            "noise": "0.1, clipped at twice that, as released",
            "threshold_start": "0.75, as released; the share of ln K rises from there to 1",
            "threshold_ramp_share": "1: the threshold rises over the whole run, as released",
            "threshold": "ln_k, which is the released ln 2 at two classes",
            "divisor": "K where unset, which is the released 2 at two classes",
        },
    )
    defaults = {
        **MeanTeacher.defaults,
        "passes": 8,
        "passes_at_once": 1,
        "noise": 0.1,
        "threshold_start": 0.75,
        "threshold_ramp_share": 1.0,
        "threshold": "ln_k",
        "divisor": None,
    }
    choices = {**MeanTeacher.choices, "threshold": ("ln_k", "ln2")}
    variants = {"default": {}}

    def build(self) -> Mapping[str, nn.Module]:
        """The student and its average.

        Raises:
            SuiteError: `divisor` is set to something else than a number above 0, or `passes_at_once` to something else
                than a whole number from 1 on.
        """
        at_once = self.settings["passes_at_once"]
        if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
            raise SuiteError(f"passes_at_once of ua_mt is {at_once!r}", remedy="give a whole number from 1 on")
        divisor = self.settings["divisor"]
        if divisor is not None and (isinstance(divisor, bool) or not isinstance(divisor, int | float) or divisor <= 0):
            raise SuiteError(
                f"divisor of ua_mt is {divisor!r}",
                remedy="give a number above 0, or null for the number of classes",
            )
        return super().build()

    def consistency(self, logits: Tensor, batch: Batch, step: int) -> Tensor:
        """Compute the MSE of softmax against the teacher's own noisy pass, over the pixels it is sure of.

        Args:
            logits: (B, K, *spatial), the student's.
            batch: Its view `teacher` is what the teacher sees, and `clean` what its noisy passes are made of.
            step: The present step, which sets the threshold.

        Returns:
            A scalar, before its weight.
        """
        import torch

        from contrastseg.losses.consistency import entropy, softmax_mse_loss

        threshold = self.host_value(self._threshold, step)
        with torch.no_grad():
            target = self.modules["teacher"](batch["teacher"].image)
            sure = entropy(self.mean_prediction(batch["clean"].image)) < threshold
        return softmax_mse_loss(logits, target, sure, self.settings["divisor"])

    def _threshold(self, step: int) -> float:
        """Entropy in nats under which a pixel counts."""
        import math

        from contrastseg.losses.consistency import sigmoid_rampup

        start, share = self.settings["threshold_start"], self.settings["threshold_ramp_share"]
        ramp = sigmoid_rampup(step, self.task.steps, share)
        classes = self.task.num_classes if self.settings["threshold"] == "ln_k" else 2
        threshold: float = (start + (1 - start) * ramp) * math.log(classes)
        return threshold

    def mean_prediction(self, images: Tensor) -> Tensor:
        """Mean of the teacher's softmax outputs over passes with noise of their own, (B, K, *spatial)."""
        import torch

        passes, at_once, strength = (self.settings[name] for name in ("passes", "passes_at_once", "noise"))
        total = None
        for first in range(0, passes, at_once):
            copies = torch.cat([images] * min(at_once, passes - first))
            # From the global generator: it is seeded anew at every step, so a resumed run draws the same.
            noise = (torch.randn_like(copies) * strength).clamp(-2 * strength, 2 * strength)
            probabilities = self.modules["teacher"](copies + noise).float().softmax(dim=1)
            for part in probabilities.split(len(images)):
                total = part if total is None else total + part
        mean: Tensor = total / passes
        return mean
