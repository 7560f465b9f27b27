"""A step that is said to be recordable gives the same numbers when it is replayed; of the others the reason holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.methods import registry
from contrastseg.methods._pretraining import EncoderPretraining
from contrastseg.methods.contract import Method
from contrastseg.training import recorded
from contrastseg.training.assembly import build_method, stage_training
from contrastseg.training.loop import learning_rate
from contrastseg.training.optimiser import build_optimiser
from contrastseg.training.recorded import RecordedSteps, Recording
from contrastseg.training.seeds import stream_seed
from contrastseg.training.settings import RunConfig
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.static_inputs import HostValues, StaticBatch
from contrastseg.training.steps import MethodStep, StepResult, Steps
from tests.device_steps import STAGES, batches_of, configured
from tests.pretended import DEVICE, OnDevice, move, pretended
from tests.rehearsal import VALUE_READERS, Rehearsal

CPU = torch.device("cpu")
STEPS = 4
# What they ask of the host beside the batch: nothing, ramps, positions drawn at random.
STATIC = ("ideal", "ua_mt", "cvrl")


def case_of(case: Any) -> Any:
    """The last stage of methods that only pre-train is the same step every time: one of them is no long test."""
    name, stage, _ = case.values
    again = registry.get(name).training_step is EncoderPretraining.training_step and name != "simclr"
    return pytest.param(*case.values, marks=pytest.mark.long) if again and stage == "train" else case


def built(config: RunConfig) -> Method:
    dataset = PreparedDataset(config.data)
    return build_method(config, dataset.in_channels, dataset.num_classes)


def walk(config: RunConfig, recording: Recording | None) -> tuple[list[StepResult], dict[str, Tensor]]:
    """Results, weights and buffers of a few steps, recorded or one operation after the other."""
    training, method = stage_training(config), built(config)
    parameters = [p for p in method.modules.parameters() if p.requires_grad]
    device = SingleDevice("cpu", "32-true")
    optimiser = build_optimiser(parameters, training.optimiser, fused=True)
    module, optimiser = device.setup(MethodStep(method), optimiser)
    steps = Steps(
        module, optimiser, training, device, lambda step: stream_seed(0, "step", step, 0), rate_on_device=True
    )
    take: Any = steps
    if recording is not None:
        assert recording.recorder is not None
        take = RecordedSteps(steps, method, recording.recorder, recording)
    batches, results = batches_of(config, "host", CPU), []
    method.modules.train()
    for step in range(STEPS):
        result = take(batches(step), step, learning_rate(step, training.steps, training.optimiser))
        method.after_step(step)
        terms = {name: term.clone() for name, term in result.terms.items()}
        assert result.gradient_norm is not None
        results.append(StepResult(result.loss.clone(), terms, result.gradient_norm.clone()))
    return results, method.modules.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def compare(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay is the step, or there is a reason for not recording it; rows that take no part stay, as on a GPU."""
    for module in VALUE_READERS:
        monkeypatch.setattr(module, "values_at_hand", lambda tensor: False)
    monkeypatch.setattr(recorded, "WARM_UP", 1)
    reason, rehearsal = built(config).unrecordable(), Rehearsal()
    recording = Recording(rehearsal, on_note=lambda note: None)
    results, weights = walk(config, recording)
    if reason is not None:
        assert recording.reason is not None, f"it can be recorded, and says: {reason}"
        return
    assert recording.recorded, recording.reason
    assert rehearsal.replays == STEPS - 1
    expected, expected_weights = walk(config, None)
    for result, wanted in zip(results, expected, strict=True):
        assert torch.equal(result.loss, wanted.loss)
        assert same(result.terms, wanted.terms)
        assert torch.equal(result.gradient_norm, wanted.gradient_norm)  # type: ignore[arg-type]
    assert same(weights, expected_weights)


@pytest.mark.parametrize(("name", "stage", "dims"), [case_of(case) for case in STAGES])
def test_a_replay_is_the_step(
    name: str, stage: str, dims: int, phantoms: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(configured(name, stage, dims, phantoms), monkeypatch)


@pytest.mark.parametrize(
    ("name", "stage", "settings"),
    [
        ("supcon_pixel", "train", {"queue_size": 20, "warmup_share": 0.4}),  # begins at the third of six steps
        ("moco", "pretrain", {"queue_newest_only": False}),
        ("cvrl", "train", {"distance_weight": 0.3}),
        ("dtc", "train", {"border": "between", "absent": "unknown"}),
        ("mcnet", "train", {"sharpening": "classes"}),
        ("ideal", "pretrain", {"key": "momentum", "correspondence": "feature", "negatives": ["same_image", "queue"]}),
    ],
)
def test_a_replay_is_the_step_with_other_settings(
    name: str, stage: str, settings: dict[str, Any], phantoms: dict[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(phantoms[2].config(name, stage=stage, settings=settings), monkeypatch)


@pytest.mark.parametrize(("name", "stage", "dims"), [case for case in STAGES if case.values[0] in STATIC])
def test_static_inputs_lie_on_the_device(name: str, stage: str, dims: int, phantoms: dict[int, Any]) -> None:
    """On a pretended GPU: the same terms from static inputs, which come there in a copy for each kind."""
    config = configured(name, stage, dims, phantoms)
    with pretended() as counts:
        terms = []
        for static in (False, True):
            method, batches = built(config), batches_of(config, "device", DEVICE)
            move(method.modules)
            method.modules.train()
            first, second = batches(0), batches(1)
            torch.manual_seed(1)
            if not static:
                terms.append(method.training_step(second, 1))
                continue
            method.host_values = host = HostValues(DEVICE)
            inputs = StaticBatch(first, DEVICE)
            assert inputs.fits(second)
            counts.clear()
            inputs.fill(second)
            assert not counts.waits
            assert counts.sent <= 1
            assert counts.launches["_foreach_copy_"] <= 3, "as many as there are types"
            assert all(isinstance(sample.image, OnDevice) for sample in inputs.batch.values())
            counts.clear()
            host.begin(1)
            terms.append(method.training_step(inputs.batch, 1))
            assert not counts.waits
    plain, recordable = terms
    assert plain.keys() == recordable.keys()
    for term in plain:
        assert torch.equal(plain[term].held, recordable[term].held), term
