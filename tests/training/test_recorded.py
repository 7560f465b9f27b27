"""When steps are recorded, what takes its place where they cannot be, and that a run does not notice either."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from contrastseg.cli import app
from contrastseg.errors import TrainingError
from contrastseg.methods.contract import Batch, Method, Sample, Task
from contrastseg.methods.mean_teacher import MeanTeacher
from contrastseg.methods.supervised import Supervised
from contrastseg.training import checkpoints, recorded, run
from contrastseg.training.non_finite import DUMP
from contrastseg.training.optimiser import build_optimiser
from contrastseg.training.recorded import WARM_UP, RecordedSteps, Recording, planned
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.static_inputs import HostValues, StaticBatch
from contrastseg.training.steps import MethodStep, Steps
from tests.rehearsal import Rehearsal

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
TASK = Task(2, 1, 2, 100, "train", lambda **_: None)
Term = Callable[["Small", Tensor, int], Tensor]


class Small(Method):
    """A linear layer, and a term that a test gives it."""

    name = "small"

    def __init__(self, term: Term) -> None:
        super().__init__(TASK, {})
        self.term = term
        torch.manual_seed(0)
        self.modules = nn.ModuleDict({"network": nn.Linear(3, 2)})

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"loss": self.term(self, self.modules["network"](batch["view"].image), step)}

    def unrecordable(self) -> str | None:
        return None


def batch_of(step: int, size: int = 4) -> dict[str, Sample]:
    images = torch.rand(size, 3, generator=torch.Generator().manual_seed(step))
    number = torch.arange(size)
    return {"view": Sample(images, None, images.clone(), number, number, torch.rand(size))}


def walk(
    term: Term,
    recorder: Rehearsal | None,
    sizes: list[int] | None = None,
    on_note: Callable[[str], None] = lambda note: None,
) -> tuple[Any, Recording]:
    """Losses and weights of eight steps, and how recording went."""
    method, device = Small(term), SingleDevice("cpu", "32-true")
    training = TrainingSettings()
    optimiser = build_optimiser(list(method.modules.parameters()), training.optimiser, fused=True)
    module, optimiser = device.setup(MethodStep(method), optimiser)
    steps = Steps(module, optimiser, training, device, lambda step: 1000 + step, rate_on_device=True)
    recording = Recording(recorder, on_note=on_note)
    take = steps if recorder is None else RecordedSteps(steps, method, recorder, recording)
    losses = []
    for step, size in enumerate(sizes or [4] * 8):
        losses.append(take(batch_of(step, size), step, 0.1 / (step + 1)).loss.clone())
    return (losses, [parameter.detach() for parameter in method.modules.parameters()]), recording


class Failing(Rehearsal):
    """Its device gives up in the middle of a recording."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        def broken() -> None:
            work()
            raise RuntimeError("operation not permitted when stream is capturing")

        return super().record(broken)


def plain(method: Small, out: Tensor, step: int) -> Tensor:
    return out.square().mean()


def reads(method: Small, out: Tensor, step: int) -> Tensor:
    return out.square().mean() * (1 + abs(float(out.detach().sum())))


def counts(method: Small, out: Tensor, step: int) -> Tensor:
    return out.square().mean() * (1 / (1 + step))


def draws(method: Small, out: Tensor, step: int) -> Tensor:
    return (out * torch.rand(2)).square().mean()


def asks(method: Small, out: Tensor, step: int) -> Tensor:
    weight = method.host_value(lambda step: 1 / (1 + step), step)
    return weight * (out * method.host_value(lambda step: torch.rand(2), step)).square().mean()


def changes(method: Small, out: Tensor, step: int) -> Tensor:
    return method.host_value(lambda step: torch.ones(1 + step // 5), step).sum() * out.square().mean()


@pytest.mark.parametrize(
    ("term", "recorder", "sizes", "reason"),
    [
        (plain, Rehearsal(), None, None),
        (asks, Rehearsal(own_generator=True), None, None),
        (reads, Rehearsal(), None, "the host waits for the device in a step (_local_scalar_dense)"),
        (counts, Rehearsal(), None, "training_step computes with the number of the step, beside host_value"),
        (draws, Rehearsal(own_generator=True), None, "training_step draws random numbers on the host"),
        (plain, Failing(), None, "recording failed: RuntimeError: operation not permitted when stream is capturing"),
        (asks, Failing(), None, "recording failed: RuntimeError"),
        (plain, Rehearsal(), [4] * 6 + [3] * 2, "a batch has other shapes than the first"),
    ],
)
def test_steps_have_the_same_numbers_whether_recorded_or_not(
    term: Term, recorder: Rehearsal, sizes: list[int] | None, reason: str | None
) -> None:
    notes: list[str] = []
    (losses, weights), recording = walk(term, recorder, sizes, notes.append)
    (expected, expected_weights), _ = walk(term, None, sizes)
    assert losses == expected
    assert all(torch.equal(one, other) for one, other in zip(weights, expected_weights, strict=True))
    if reason is None:
        assert recording.outcome is None
        assert recorder.replays == 8 - WARM_UP
        assert not notes
    else:
        assert recording.reason is not None
        assert recording.reason.startswith(reason)
        assert notes == [f"steps are not recorded: {recording.reason}"]


def test_a_value_of_the_host_keeps_its_shape() -> None:
    with pytest.raises(TrainingError, match=r"is \(2,\), torch.float32, and was \(1,\)"):
        walk(changes, Rehearsal())


def test_a_static_batch_copies_what_views_share_once() -> None:
    """And a batch whose views share something else does not fit."""
    one, other = batch_of(0)["view"], batch_of(1)["view"]
    shared = {"first": one, "second": Sample(other.image, *list(vars(one).values())[1:])}
    inputs = StaticBatch(shared, CPU)
    assert inputs.fits(shared)
    assert not inputs.fits({"first": one, "second": other})
    inputs.fill(shared)
    for view, sample in shared.items():
        for name, tensor in vars(sample).items():
            copy = getattr(inputs.batch[view], name)
            assert copy is tensor is None or (copy is not tensor and torch.equal(copy, tensor))
    assert inputs.batch["first"].coordinates is inputs.batch["second"].coordinates


def test_values_of_the_host_are_made_in_the_order_in_which_they_were_asked_for() -> None:
    host = HostValues(CPU)
    host.begin(3)
    first, second = host(lambda step: torch.rand(2)), host(lambda step: float(step))
    assert second == 3
    torch.manual_seed(5)
    host.refill(7)
    torch.manual_seed(5)
    assert torch.equal(first, torch.rand(2))
    assert second == 7


class Own(Supervised):
    """Replaces the step and says nothing of it."""

    def training_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {}


class Inherits(MeanTeacher):
    """Replaces nothing."""


@pytest.mark.parametrize(
    ("method", "device", "settings", "reason"),
    [
        (Inherits, GPU, {"record": "off"}, "training.record is off"),
        (Inherits, CPU, {}, "steps are recorded on a GPU"),
        (Inherits, GPU, {"devices": 2}, "processes that share a batch exchange gradients in the middle of a step"),
        (Inherits, GPU, {"compile": "reduce-overhead"}, "compile: reduce-overhead records the networks by itself"),
        (Inherits, GPU, {"precision": "16-mixed"}, "with 16-mixed the host decides whether a step counts"),
        (Own, GPU, {}, "Own has a training_step of its own and no unrecordable"),
        (Method, GPU, {}, "bare does not say that its steps can be recorded"),
    ],
)
def test_a_run_that_is_not_recorded_has_a_reason(
    method: Any, device: torch.device, settings: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Method, "name", "bare", raising=False)
    told: list[str] = []
    recording = planned(method(TASK, {}), TrainingSettings(**settings), device, told.append)
    assert recording.recorder is None
    assert recording.outcome == reason
    expected = device == GPU and "record" not in settings
    assert told == ([f"steps are not recorded: {reason}"] if expected else []), "only where a GPU could have recorded"


def test_a_run_on_a_gpu_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: device)
    recording = planned(Inherits(TASK, {}), TrainingSettings(), GPU)
    assert type(recording.recorder).__name__ == "CudaGraphs"
    assert recording.reason is None
    assert recording.outcome == f"the run ended in its first {WARM_UP} steps"


def train_recorded(
    monkeypatch: pytest.MonkeyPatch, config: Any, folder: Path, never: bool = False, stop: int | None = None
) -> Any:
    """Train a run whose steps are recorded; `never` before it ends, `stop` after as many steps."""
    monkeypatch.setattr(recorded, "WARM_UP", 100 if never else 1)
    monkeypatch.setattr(run, "planned", lambda *rest: Recording(Rehearsal()))

    def on_step(done: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    return run.train(config, folder, on_step=on_step)


def outcome(folder: Path) -> tuple[dict[str, Tensor], list[list[str]]]:
    """Weights, and the log without times."""
    rows = [row.split(",") for row in (folder / "log.csv").read_text().splitlines()]
    seconds = rows[0].index("seconds")
    weights = checkpoints.load(folder / "checkpoints" / "last.ckpt")["modules"]
    return weights, [row[:seconds] + row[seconds + 1 :] for row in rows]


@pytest.mark.parametrize("method", ["ua_mt", "moco"])
def test_a_recorded_run_is_the_run_and_resumes_as_it(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Ramps, averages, queues and validation; clipped gradients; a run that was stopped between two replays."""
    stage = "pretrain" if method == "moco" else "train"
    optimiser: dict[str, Any] = {"clip_norm": 0.1, "name": "sgd", "nesterov": False}
    if method == "moco":
        optimiser |= {"name": "adam", "schedule": "step", "step_every": 3}
    training = {"validate_every": 0 if method == "moco" else 3, "optimiser": optimiser}
    config = phantoms[2].config(method, stage=stage, training=training)
    record = train_recorded(monkeypatch, config, tmp_path / "never", never=True)
    assert record["unrecorded"] == "the run ended in its first 100 steps"
    assert train_recorded(monkeypatch, config, tmp_path / "recorded")["unrecorded"] is None
    with pytest.raises(KeyboardInterrupt):
        train_recorded(monkeypatch, config, tmp_path / "stopped", stop=5)
    assert json.loads((tmp_path / "recorded" / "run.json").read_text())["unrecorded"] is None
    train_recorded(monkeypatch, config, tmp_path / "stopped")
    weights, rows = outcome(tmp_path / "never")
    for name in ("recorded", "stopped"):
        found, log = outcome(tmp_path / name)
        assert found.keys() == weights.keys()
        assert all(torch.equal(found[key], weights[key]) for key in weights), name
        assert log == rows


def test_a_recorded_loss_that_is_no_number_stops_the_run(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run.fit.__globals__["learning_rate"]
    monkeypatch.setitem(
        run.fit.__globals__, "learning_rate", lambda at, *rest: float("inf") if at == 3 else whole(at, *rest)
    )
    dumps = []
    for never in (False, True):
        folder = tmp_path / str(never)
        with pytest.raises(TrainingError, match="weights are not finite after step 4"):
            train_recorded(monkeypatch, phantoms[2].config("supervised"), folder, never=never)
        dumps.append(json.loads((folder / "checkpoints" / DUMP).read_text()))
        assert checkpoints.load(folder / "checkpoints" / checkpoints.RESUME)["step"] == 2
    assert dumps[0] == dumps[1]
    assert dumps[0]["last_finite_step"] == 3
    assert dumps[0]["gradient_norm"] > 0


def test_the_command_says_why_steps_are_not_recorded(
    phantoms: dict[int, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "WARM_UP", 1)
    monkeypatch.setattr(run, "planned", lambda *rest: Recording(Failing(), on_note=rest[-1]))
    phantom = phantoms[2]
    config = json.dumps({"training": phantom.config("supervised", training={"steps": 3}).training.model_dump()})
    arguments = ["train", "--entry", "phantom", "--method", "supervised", "--labels", "n2", "--config", config]
    arguments += ["--prepared", f"phantom={phantom.data}", "--split", str(phantom.split), "--output", str(tmp_path)]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stderr.count("steps are not recorded: recording failed: RuntimeError") == 1
    assert "3 steps" in done.stdout
