"""Mean teacher and UA-MT give the consistency that released code gives, with the settings that say what it does.

Every expected value is what the named lines, run in float64 on the tensors below, left in
`consistency_weight * consistency_loss`. Networks are sines of the intensity and noise is one fixed field, so that no
generator counts; nothing of that code is here.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contrastseg.errors import SuiteError
from contrastseg.methods import registry
from contrastseg.methods.contract import Batch, Method, Sample, Task
from tests.methods.made_up import make


class Sines(nn.Module):
    """Logits (B, K, *spatial) of images (B, 1, *spatial)."""

    def __init__(self, classes: int, frequency: float) -> None:
        super().__init__()
        self.classes, self.frequency = classes, frequency

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([8 * torch.sin(self.frequency * (k + 1) * images + k) for k in range(self.classes)], 1)


def waves(*shape: int, frequency: float) -> Tensor:
    count = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
    return torch.sin(frequency * count).reshape(shape)


def field(images: Tensor) -> Tensor:
    """Noise of standard deviation about 1, the same for every image."""
    return (2 * waves(*images.shape[1:], frequency=0.83)).to(images).expand_as(images)


def as_released(name: str, shape: tuple[int, ...], classes: int, steps: int, **settings: Any) -> tuple[Method, Batch]:
    """The method with sines for networks, and a batch of two labelled and two unlabelled images."""
    task = Task(len(shape), 1, classes, steps, "train", lambda: Sines(classes, 1.0))
    chosen = registry.get(name)
    method = chosen(task, chosen.resolve("default", {"ramp_share": 1.0, "student_noise": False, **settings}))
    method.modules = nn.ModuleDict(method.build())
    method.modules["teacher"] = Sines(classes, 1.1)
    images = waves(4, 1, *shape, frequency=0.61)
    which, nowhere = torch.arange(2), torch.zeros(2, *shape, len(shape))
    labelled = Sample(images[:2], torch.zeros(2, *shape, dtype=torch.int64), nowhere, which, which, torch.zeros(2))
    clean = replace(labelled, image=images[2:], label=None)
    noisy = replace(clean, image=images[2:] + (0.1 * field(images[2:])).clamp(-0.2, 0.2))
    return method, {"labelled": labelled, "clean": clean, "student": noisy, "teacher": noisy}


def consistency(method: Method, batch: Batch, step: int) -> float:
    return float(method.training_step(batch, step)["consistency"])


# HiLab-git/SSL4MIS 06df604, code/train_mean_teacher_2D.py:154-175 and code/train_mean_teacher_3D.py:140-158; their ramp
# is 200 times 150 steps.
@pytest.mark.parametrize(
    ("shape", "classes", "first", "step", "released"),
    [
        ((6, 7), 4, 1000, 1050, 4.677942686648484e-05),
        ((6, 7), 4, 1000, 15000, 0.0014103152069299936),
        ((4, 5, 6), 2, 0, 150, 2.8367538198122554e-05),
        ((4, 5, 6), 2, 0, 15000, 0.0011475338842160925),
    ],
)
def test_mean_teacher(shape: tuple[int, ...], classes: int, first: int, step: int, released: float) -> None:
    method, batch = as_released("mean_teacher", shape, classes, 30000, consistency_from_step=first)
    assert consistency(method, batch, step) == pytest.approx(released, rel=1e-5)
    noisy, _ = as_released("mean_teacher", shape, classes, 30000, student_noise=True)
    assert consistency(noisy, batch, step) != pytest.approx(released, rel=1e-2)


@pytest.mark.parametrize("name", ["mean_teacher", "ua_mt"])
@pytest.mark.parametrize("dims", [2, 3])
def test_consistency_begins_at_its_first_step(name: str, dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn_like", field)
    method, batch = as_released(name, (4, 5, 6)[:dims], 2, 30000, consistency_from_step=1000)
    whole, _ = as_released(name, (4, 5, 6)[:dims], 2, 30000)
    assert consistency(method, batch, 999) == 0 < consistency(whole, batch, 999)
    assert consistency(method, batch, 1000) == consistency(whole, batch, 1000) > 0


# HiLab-git/SSL4MIS 06df604, code/train_uncertainty_aware_mean_teacher_2D.py:153-193 (four classes) and
# code/train_uncertainty_aware_mean_teacher_3D.py:141-181 (two).
@pytest.mark.parametrize(
    ("shape", "classes", "step", "released"),
    [
        ((6, 7), 4, 150, 4.449194037686104e-05),
        ((6, 7), 4, 15000, 0.0018725949315847761),
        ((4, 5, 6), 2, 150, 2.4795988345701744e-05),
        ((4, 5, 6), 2, 15000, 0.001047931710540273),
    ],
)
def test_ua_mt(
    shape: tuple[int, ...], classes: int, step: int, released: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "randn_like", field)
    both = {"threshold": "ln2", "divisor": 2}
    for left_out in (None, *both):
        settings = {name: value for name, value in both.items() if name != left_out}
        term = consistency(*as_released("ua_mt", shape, classes, 30000, **settings), step)
        if left_out is None or classes == 2:  # the defaults are the released code's at two classes
            assert term == pytest.approx(released, rel=1e-4)
        else:
            assert term != pytest.approx(released, rel=1e-2)


# yulequan/UA-MT 88ed29a, code/train_LA_meanteacher_certainty_unlabel.py:146-176, whose ramp is 40 times 150 steps.
@pytest.mark.parametrize(("step", "released"), [(150, 3.0195167041391456e-05), (3000, 0.001047931710540273)])
def test_ua_mt_on_la(step: int, released: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randn_like", field)
    assert consistency(*as_released("ua_mt", (4, 5, 6), 2, 6000), step) == pytest.approx(released, rel=1e-4)


@pytest.mark.parametrize("divisor", [0, -2, "two", True])
def test_a_divisor_is_a_number_above_0(divisor: Any) -> None:
    with pytest.raises(SuiteError, match=f"divisor of ua_mt is {divisor!r}"):
        make("ua_mt", divisor=divisor)


@pytest.mark.parametrize("at_once", [0, 1.5, True])
def test_passes_at_once_are_a_whole_number_from_1_on(at_once: Any) -> None:
    with pytest.raises(SuiteError, match=f"passes_at_once of ua_mt is {at_once!r}"):
        make("ua_mt", passes_at_once=at_once)


@pytest.mark.parametrize(("passes", "batches"), [(4, [4, 4]), (5, [4, 4, 2])])
def test_passes_at_once_share_a_batch(passes: int, batches: list[int]) -> None:
    """The mean is over all passes, and the last batch has what is left."""
    method, batch = as_released("ua_mt", (6, 7), 4, 30000, passes=passes, passes_at_once=2, noise=0.0)
    seen = []
    method.modules["teacher"].register_forward_pre_hook(lambda module, images: seen.append(len(images[0])))
    mean = method.mean_prediction(batch["clean"].image)  # type: ignore[attr-defined]
    assert seen == batches
    once = method.modules["teacher"](batch["clean"].image).softmax(1).to(mean)
    torch.testing.assert_close(mean, once)
