"""AD-MT: two averages of one student, moved in turn, label the unlabelled images together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from contrastseg.errors import SuiteError
from contrastseg.methods import _strong_views as strong
from contrastseg.methods._networks import average_of
from contrastseg.methods._ramp import ramped
from contrastseg.methods.contract import Batch, Card, Method, Stage, Task, View

if TYPE_CHECKING:
    from torch import Tensor, nn

TEACHERS = ("teacher", "other_teacher")
RELEASED: dict[str, tuple[Any, Any]] = {
    "threshold": (0.95, 0.8),
    "loss": ("dice", "ce"),
    "period": (50, 19),
    "ramp_share": (0.25, 0.4),
    "copy_steps": (100, 80),
    "blur_probability": (0.2, 0.0),
    "noise_probability": (0.0, 0.2),
}
"""Settings that differ between the released configurations of ACDC (2D) and of the left atrium (3D)."""


class ADMT(Method):
    """Alternate diverse teaching: jitter while one average moves, CutMix while the other one does."""

    name = "admt"
    card = Card(
        title="Alternate Diverse Teaching (AD-MT)",
        paper="Zhao et al., Alternate Diverse Teaching for Semi-supervised Medical Image Segmentation, ECCV 2024",
        year=2024,
        doi="arXiv:2311.17325",
        provenance="official",
        summary="Two moving averages of the student take turns of random length. Their softmax outputs, weighted by"
        " e to the minus entropy, label the unlabelled images; where they disagree, a surer student decides. Sure"
        " labels teach the student on a jittered view in one average's turns and on a CutMix in the other's.",
        differs=(
            "The loss on labelled images is the suite's; the release's is ½ (cross-entropy + Dice) with background.",
            strong.JITTER_DIFFERS,
            "In 3D the contrast is about the mean; the release multiplies, and adds a share of the mean.",
            "The turns are drawn before the training, so that a step can be repeated; the release draws them as it"
            " goes.",
            "Both averages are in training mode; in the release the one that does not move is in evaluation mode."
            " Their normalisation statistics are the student's; the release averages them too.",
            "The weight of the unlabelled term rises at every step. In the release it rises once in 150 steps.",
        ),
        options={
            **strong.JITTER_OPTIONS,
            "blur_probability": "unset: 0.2 in 2D and 0 in 3D, as released",
            "noise_probability": "unset: 0 in 2D and 0.2 in 3D, as released",
            "noise": "standard deviation of the noise in the turns of the jitter, 0.1 to 1, cut at twice that, as"
            " released in 3D",
            "box_beta": "4, as released: the box of CutMix has the sides √(1 − λ), λ ~ Beta(4, 4), one for the batch",
            "threshold": "unset: 0.95 in 2D and 0.8 in 3D, as released; pixels below it are ignored",
            "loss": "unset: `dice` (all classes) in 2D and `ce` in 3D, as released",
            "unlabelled_weight": "2, as released",
            "ramp_share": "unset: 0.25 in 2D and 0.4 in 3D, which are the released 7,500 of 30,000 and 6,000 of 15,000",
            "period": "unset: turns of up to 50 steps in 2D and 19 in 3D, as released on ACDC and the left atrium (half"
            " an epoch there)",
            "copy_steps": "unset: for 100 steps in 2D and 80 in 3D the averages are copies, as released",
            "decay": "0.99, reached from 1 − 1/(t+1) after the copies, with t half the steps since, as released",
            "temperature": "1, as released: the ensemble is sharpened by 1/temperature",
            "student_view": "weak, as released: in the turns of CutMix labels of the mixed image stand beside the"
            " student's of the unmixed one; `mixed` mixes the student's labels too",
        },
    )
    stages = (Stage("train", {"labelled": View("labelled"), "unlabelled": View("unlabelled")}),)
    defaults = {
        **strong.JITTER,
        "blur_probability": None,
        "noise_probability": None,
        "noise": (0.1, 1.0),
        "box_beta": 4.0,
        "threshold": None,
        "loss": None,
        "unlabelled_weight": 2.0,
        "ramp_share": None,
        "period": None,
        "copy_steps": None,
        "decay": 0.99,
        "temperature": 1.0,
        "student_view": "weak",
    }
    choices = {"loss": ("dice", "ce"), "student_view": ("weak", "mixed")}
    variants = {"default": {}, "mixed_student": {"student_view": "mixed"}}
    memory_mb = 8000

    def __init__(self, task: Task, settings: Mapping[str, Any]) -> None:
        of_dims = {name: of[task.spatial_dims - 2] for name, of in RELEASED.items() if settings[name] is None}
        super().__init__(task, {**settings, **of_dims})
        self._turns: list[int] = []

    def build(self) -> Mapping[str, nn.Module]:
        """The student and its two averages; the turns follow from the seed too.

        Raises:
            SuiteError: A setting has no possible value.
        """
        import torch

        strong.check_ranges(self.name, self.settings, ("blur", "noise", "intensity_limits"))
        period = self.settings["period"]
        if not isinstance(period, int) or period < 1:
            raise SuiteError(f"period of {self.name} is {period!r}", remedy="give a whole number from 1 on")
        network, other = self.task.build_network(), self.task.build_network()
        lengths = torch.randint(1, period + 1, (self.task.steps + 1,), device="cpu").tolist()
        self._turns = [index % 2 for index, length in enumerate(lengths) for _ in range(length)][: self.task.steps + 1]
        return {"network": network, "teacher": average_of(network), "other_teacher": average_of(other)}

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Segmentation of labelled images, and of a strong view of unlabelled ones by the averages' sure labels."""
        import torch

        from contrastseg.losses.mixing import pasted
        from contrastseg.losses.pseudo_labels import confident_labels, hard_labels
        from contrastseg.losses.segmentation import segmentation_loss

        labelled, weak, settings = batch["labelled"], batch["unlabelled"].image, self.settings
        assert labelled.label is not None
        box, partner, view = self._strong_view(weak, step)
        weight = ramped(self, "unlabelled_weight", step)
        with torch.no_grad():
            outputs = [self.modules[name](weak).float().softmax(1) for name in TEACHERS]
            label, confidence, conflict = self.ensemble(*outputs)
        mixed = [pasted(box, each[partner], each) for each in (label, confidence, conflict)]
        logits = self.modules["network"](torch.cat([labelled.image, weak, view]))
        supervised, plain, strong_logits = logits.split([len(labelled.image), len(weak), len(weak)])
        own = list(hard_labels(plain))
        if settings["student_view"] == "mixed":
            own = [pasted(box, each[partner], each) for each in own]
        target = confident_labels(*self.compromise(mixed[0], mixed[1], mixed[2], *own), settings["threshold"])
        term = segmentation_loss(strong_logits, target, loss=settings["loss"], background=True, squared=True)
        return {
            "segmentation": self.segmentation_loss(supervised, labelled.label),
            "unlabelled": weight * term,
        }

    def ensemble(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Join the outputs of both averages, each weighted by e^−H with its entropy H in bits.

        Args:
            first: (B, K, *spatial), probabilities.
            second: Likewise.

        Returns:
            Labels, their probabilities, and where the averages disagree, each (B, *spatial).
        """
        import math

        import torch

        from contrastseg.losses.consistency import entropy

        weight = torch.sigmoid((entropy(second) - entropy(first)) / math.log(2))[:, None]
        joined = (weight * first + (1 - weight) * second) ** (1 / self.settings["temperature"])
        confidence, label = (joined / joined.sum(1, keepdim=True)).max(1)
        return label, confidence, first.argmax(1) != second.argmax(1)

    def compromise(
        self, label: Tensor, confidence: Tensor, conflict: Tensor, own: Tensor, own_confidence: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Labels and confidences, the student's own where averages disagree and it is surer; all (B, *spatial)."""
        import torch

        chosen = conflict & (own != label) & (own_confidence > confidence)
        return torch.where(chosen, own, label), torch.where(chosen, own_confidence, confidence)

    def _strong_view(self, weak: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, *spatial), the image that fills each (B,), and the strong view: jittered, or with the boxes."""
        import torch

        from contrastseg.losses.mixing import pasted
        from contrastseg.tensors import to_device

        settings, (size, shape) = self.settings, (len(weak), weak.shape[2:])
        low, high = settings["noise"]

        def draw(step: int) -> Tensor:
            jitter, cut = strong.draw_jitter(size, settings), draw_cuts(size, shape, settings["box_beta"])
            partner, strength = torch.randperm(size).float()[None], torch.rand(2, size)
            sigma = (low + (high - low) * strength[:1]).where(strength[1:] < settings["noise_probability"], 0)
            if self._turns[step]:
                jitter, sigma = torch.tensor([1.0, 1, 1, 0, 0])[:, None].expand(5, size), torch.zeros(1, size)
            else:
                cut = torch.zeros_like(cut)
            return torch.cat([partner, sigma, jitter, cut])

        drawn = to_device(self.host_value(draw, step), weak.device)
        partner, box = drawn[0].long(), strong.boxes(drawn[7:], shape)
        view = strong.jittered(weak, drawn[2:7], settings)
        if settings["noise_probability"]:
            noise = torch.randn_like(view, dtype=torch.float32).clamp(-2, 2)
            view = view + (drawn[1].view(-1, *[1] * (weak.ndim - 1)) * noise).to(view.dtype)
        return box, partner, pasted(box, weak[partner], view)

    def unrecordable(self) -> str | None:
        """A step can be recorded."""
        return None

    def after_step(self, step: int) -> None:
        """Move the average whose turn it is."""
        from contrastseg.losses.consistency import update_moving_average

        since = (step - self.settings["copy_steps"]) // 2
        decay = 0.0 if since < 0 else min(self.settings["decay"], 1 - 1 / (since + 1))
        update_moving_average(self.modules[TEACHERS[self._turns[step]]], self.modules["network"], decay)


def draw_cuts(batch: int, shape: Any, beta: float) -> Tensor:
    """Draw the box of each image, (2d, B): first pixels along each axis, then the ends.

    Sides are √(1 − λ) of the image's, λ ~ Beta(β, β) for the batch; centres lie anywhere from an eighth of the axis on,
    and boxes end where the image does.
    """
    import torch

    extent = torch.tensor(shape)[:, None]
    cut = (1 - torch.distributions.Beta(beta, beta, validate_args=False).sample((1,))).sqrt()
    half = (extent * cut).long() // 2
    low = extent // 8
    centre = low + (torch.rand(len(shape), batch) * (extent - low)).long()
    zero = torch.zeros_like(extent)
    return torch.cat([(centre - half).maximum(zero), (centre + half).minimum(extent)]).float()
