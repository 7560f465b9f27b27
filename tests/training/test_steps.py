"""A step clips what it means to clip, and a run's optimiser is the one its device takes best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from contrastseg.methods.contract import Batch, Method, Sample, Task
from contrastseg.training import checkpoints, run
from contrastseg.training.optimiser import build_optimiser, fuses, load_state
from contrastseg.training.settings import OptimiserSettings, TrainingSettings
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.steps import MethodStep, Steps

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
SCALE = 2.0**10


class Linear(Method):
    """A linear layer whose loss is a multiple of what it puts out."""

    name = "linear"

    def __init__(self, factor: float) -> None:
        super().__init__(Task(2, 1, 2, 1, "train", lambda **_: None), {})
        self.factor = factor
        torch.manual_seed(0)
        self.modules = nn.ModuleDict({"network": nn.Linear(3, 2)})

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"loss": self.factor * self.modules["network"](batch["view"].image).float().sum()}


def scaling() -> Fabric:
    """16-mixed on a CPU: Fabric's own precision with torch's own scaler."""
    scaler = torch.amp.GradScaler("cpu", init_scale=SCALE)  # type: ignore[attr-defined]
    return Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])


def moved(device: Any, factor: float, clip_norm: float | None, steps: int = 1) -> tuple[Tensor, float]:
    """How far steps of SGD with learning rate 1 move the weights, and the norm that the last one reports."""
    method = Linear(factor)
    before = [parameter.detach().clone() for parameter in method.modules.parameters()]
    settings = OptimiserSettings(name="sgd", momentum=0, weight_decay=0, clip_norm=clip_norm)
    training = TrainingSettings(optimiser=settings)
    module, optimiser = device.setup(
        MethodStep(method), build_optimiser(list(method.modules.parameters()), training.optimiser)
    )
    take = Steps(module, optimiser, training, device, lambda step: step, rate_on_device=False)
    images = torch.tensor([[1.0, 2.0, 2.0]])
    zero = torch.zeros(1)
    sample = {"view": Sample(images, None, images, zero, zero, zero)}
    for step in range(steps):
        norm = take(sample, step, 1.0).gradient_norm
    distance = torch.cat(
        [(new.detach() - old).flatten() for old, new in zip(before, method.modules.parameters(), strict=True)]
    )
    return distance, float("nan") if norm is None else float(norm)


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_scaled_gradients_are_clipped_as_unscaled_ones(factor: float) -> None:
    """Not by the norm that their scale gives them: clipped that way, a step would be a thousandth of what it should."""
    whole = factor * (2 * (1 + 4 + 4 + 1)) ** 0.5
    for device in (SingleDevice("cpu", "32-true"), scaling()):
        distance, norm = moved(device, factor, clip_norm=3.0)
        assert norm == pytest.approx(whole, rel=1e-5)
        assert float(distance.norm()) == pytest.approx(min(3.0, whole), rel=1e-5)
        distance, _ = moved(device, factor, clip_norm=None)
        assert float(distance.norm()) == pytest.approx(whole, rel=1e-5)


def test_a_scaled_gradient_that_is_too_large_skips_its_step_and_is_no_error() -> None:
    """float16 ends at 65,504: the first step is too large and lowers the scale, the second is taken."""
    device = scaling()
    distance, norm = moved(device, 40.0, clip_norm=3.0)
    assert norm == float("inf")
    assert not distance.any()
    distance, norm = moved(device, 40.0, clip_norm=3.0)
    assert norm == pytest.approx(40 * 20**0.5, rel=1e-5)
    assert float(distance.norm()) == pytest.approx(3.0, rel=1e-5)


def test_a_resumed_run_goes_on_with_its_scale(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabrics: list[Any] = []

    def fabric(*rest: Any) -> Fabric:
        fabrics.append(scaling())
        fabrics[-1].strategy.precision.scaler.set_growth_interval(3)
        return fabrics[-1]

    monkeypatch.setattr(run, "_fabric", fabric)
    config = phantoms[2].config("supervised", training={"steps": 8, "checkpoint_every": 4})

    def stop(done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    run.train(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run.train(config, tmp_path / "stopped", on_step=stop)
    run.train(config, tmp_path / "stopped")
    whole, _, resumed = (one.strategy.precision.scaler.state_dict() for one in fabrics)
    assert whole["scale"] == 4 * SCALE
    assert resumed == whole
    weights = [
        checkpoints.load(tmp_path / name / "checkpoints" / "last.ckpt")["modules"] for name in ("whole", "stopped")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("device", "precision", "fused"),
    [(CPU, "auto", False), (CPU, "bf16-mixed", False), (GPU, "auto", True), (GPU, "16-mixed", False)],
)
def test_optimisers_are_fused_on_a_gpu_alone(device: torch.device, precision: Any, fused: bool) -> None:
    assert fuses(device, TrainingSettings(precision=precision)) is fused
    for name in ("adamw", "adam", "sgd"):
        optimiser = build_optimiser([nn.Parameter(torch.ones(2))], OptimiserSettings(name=name), fused=fused)  # type: ignore[arg-type]
        assert optimiser.param_groups[0]["fused"] is (True if fused else None)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("way", [(True, False), (False, True)])
def test_a_cpu_goes_on_where_a_gpu_stopped(name: Any, way: tuple[bool, bool]) -> None:
    """A state of the fused optimiser with its learning rate in a tensor, taken over by the other, and the reverse."""
    settings = OptimiserSettings(name=name, learning_rate=0.1)
    ends = []
    for fused in (way, (way[0], way[0])):
        weight = nn.Parameter(torch.linspace(-1, 1, 6))
        optimiser = build_optimiser([weight], settings, fused=fused[0])
        for step in range(6):
            if step == 3:
                state = optimiser.state_dict()
                optimiser = build_optimiser([weight], settings, fused=fused[1])
                load_state(optimiser, state)
                assert optimiser.param_groups[0]["fused"] is (True if fused[1] else None)
                assert optimiser.param_groups[0]["lr"] == 0.1
            rate: Any = torch.tensor(0.1) if optimiser.param_groups[0]["fused"] else 0.1
            optimiser.param_groups[0]["lr"] = rate
            optimiser.zero_grad()
            (weight**4).sum().backward()
            optimiser.step()
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("asked", "theirs"),
    [
        (
            {"name": "sgd", "momentum": 0.9, "nesterov": False},
            lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=0.03),
        ),
        (
            {"name": "sgd", "momentum": 0.9},
            lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=0.03, nesterov=True),
        ),
        ({"name": "sgd", "momentum": 0}, lambda weights: torch.optim.SGD(weights, 0.1, weight_decay=0.03)),
        ({"name": "adam"}, lambda weights: torch.optim.Adam(weights, 0.1, weight_decay=0.03)),
        ({"name": "adamw"}, lambda weights: torch.optim.AdamW(weights, 0.1, weight_decay=0.03)),
    ],
)
def test_a_setting_names_an_optimiser_of_torch(asked: dict[str, Any], theirs: Any, fused: bool) -> None:
    ends = []
    settings = OptimiserSettings(learning_rate=0.1, weight_decay=0.03, **asked)
    for build in (theirs, lambda weights: build_optimiser(weights, settings, fused=fused)):
        weight = nn.Parameter(torch.linspace(-1, 1, 6))
        optimiser = build([weight])
        for _ in range(5):
            optimiser.zero_grad()
            (weight**4).sum().backward()
            optimiser.step()
        ends.append(weight.detach())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6 if fused else 0, atol=1e-7 if fused else 0)


@pytest.mark.parametrize(("mode", "marks"), [("off", 0), ("default", 0), ("reduce-overhead", 3 + 2)])
def test_torch_is_told_where_an_iteration_of_graphs_of_its_own_begins(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, marks: int
) -> None:
    """Before each of three steps and each batch of validation windows: two cases of one window here."""
    told: list[int] = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: told.append(1))
    monkeypatch.setattr(run, "compile_networks", lambda modules, mode: None)
    training = {"steps": 3, "validate_every": 3, "compile": mode, "patch_size": [48, 48]}
    run.train(phantoms[2].config("mean_teacher", training={**training, "batch_size": 1}), tmp_path)
    assert len(told) == marks
