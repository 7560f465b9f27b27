"""Steps recorded once and replayed: on a GPU one launch for forward, backward and optimiser.

A replay repeats what the device did, on the same memory, and runs no Python. So whatever changes from step to step has
to lie in memory that is filled before: the batch, the learning rate, and what `Method.host_value` makes. Random numbers
of the device's generator are those of the step's seed, since a replay reads the generator's seed. Moving averages and
queues (`Method.after_step`) stay outside: they are a few launches.

The first steps are taken one operation after the other, as real steps; the last of them is watched for what a replay
would get wrong. Where that is found, or the recording fails, all further steps are taken as `Steps` takes them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import torch

from contrastseg.methods.contract import Batch, Method
from contrastseg.training.settings import TrainingSettings
from contrastseg.training.static_inputs import HostValues, StaticBatch
from contrastseg.training.steps import StepResult, Steps
from contrastseg.training.watched_step import WatchedStep

WARM_UP = 3
"""Steps before a recording: libraries choose their kernels, the optimiser makes its state, compilers compile."""

Work = Callable[[], None]


class Recorder(Protocol):
    """Records what a device does.

    Attributes:
        own_generator: Whether the device draws from a generator of its own, so that torch's CPU generator is the
            host's alone.
    """

    own_generator: bool

    def run(self, work: Work) -> None:
        """Do it once, as it will be recorded."""
        ...

    def watching(self) -> AbstractContextManager[list[str]]:
        """Collects where the host waits for the device; the list is complete when the context ends."""
        ...

    def record(self, work: Work) -> Work:
        """What does it again on the same memory. Recording does nothing else: the work is not done by it."""
        ...


@dataclass
class Recording:
    """Whether a run's steps are recorded.

    Attributes:
        recorder: What records; None where nothing is to be recorded.
        reason: Why steps are not recorded; None as long as nothing speaks against it.
        recorded: Whether a step was.
        on_note: Called once with the reason, where steps could have been recorded.
    """

    recorder: Recorder | None = None
    reason: str | None = None
    recorded: bool = False
    on_note: Callable[[str], None] = field(default=warnings.warn)

    def fall_back(self, reason: str) -> None:
        """Steps are taken one operation after the other from here on."""
        self.reason = reason
        self.on_note(f"steps are not recorded: {reason}")

    @property
    def outcome(self) -> str | None:
        """For the run's record: None where steps were recorded, otherwise the reason."""
        if self.reason is None and not self.recorded:
            return f"the run ended in its first {WARM_UP} steps"
        return self.reason


def planned(
    method: Method,
    training: TrainingSettings,
    device: torch.device,
    on_note: Callable[[str], None] = warnings.warn,
) -> Recording:
    """Decide whether steps are recorded, as far as it can be known before the first.

    Args:
        method: With its modules built.
        training: Settings of the stage.
        device: Where it trains.
        on_note: Called with the reason why a GPU does not record; silent where recording cannot be expected.
    """
    if training.record == "off":
        return Recording(reason="training.record is off")
    if device.type != "cuda":
        return Recording(reason="steps are recorded on a GPU")
    reason = _against(training) or _undeclared(type(method)) or method.unrecordable()
    if reason is None:
        from contrastseg.training.cuda_graphs import CudaGraphs

        return Recording(CudaGraphs(device), on_note=on_note)
    recording = Recording(on_note=on_note)
    recording.fall_back(reason)
    return recording


def _against(training: TrainingSettings) -> str | None:
    if training.devices > 1:
        return "processes that share a batch exchange gradients in the middle of a step"
    if training.compile == "reduce-overhead":
        return "compile: reduce-overhead records the networks by itself"
    if training.precision == "16-mixed":
        return "with 16-mixed the host decides whether a step counts"
    return None


def _undeclared(method: type[Method]) -> str | None:
    """A subclass with a step of its own does not inherit the word of the step that it replaces."""
    for part in method.__mro__:
        if "unrecordable" in vars(part):
            return None
        if "training_step" in vars(part):
            return f"{part.__name__} has a training_step of its own and no unrecordable"
    return None


class RecordedSteps:
    """Takes steps as `Steps` does, by replaying one of them.

    Args:
        steps: Takes a step one operation after the other; its optimiser is fused, its learning rate on the device.
        method: Whose steps they are.
        recorder: Records them.
        recording: Is told how it went.
    """

    def __init__(self, steps: Steps, method: Method, recorder: Recorder, recording: Recording) -> None:
        self._steps = steps
        self._method = method
        self._recorder = recorder
        self._recording = recording
        self._host = method.host_values = HostValues(steps.device)
        self._inputs: StaticBatch | None = None
        self._step = 0
        self._done = 0
        self._result: StepResult | None = None
        self._replay: Work | None = None

    def __call__(self, batch: Batch, step: int, rate: float) -> StepResult:
        """Take a step with this learning rate."""
        if self._recording.reason is None:
            if self._inputs is None:
                self._inputs = StaticBatch(batch, self._steps.device)
            if self._inputs.fits(batch):
                self._inputs.fill(batch)
                return self._take(batch, step, rate)
            self._fall_back("a batch has other shapes than the first")
        return self._steps(batch, step, rate)

    def _take(self, batch: Batch, step: int, rate: float) -> StepResult:
        self._steps.prepare(step, rate)
        self._step = step
        if self._replay is not None:
            self._host.refill(step)
            self._replay()
        elif self._done < WARM_UP - 1:
            self._recorder.run(self._work)
        elif self._done == WARM_UP - 1:
            self._run_watched()
        elif not self._record():
            return self._steps(batch, step, rate)
        self._done += 1
        assert self._result is not None
        return self._result

    def _work(self) -> None:
        assert self._inputs is not None
        self._host.begin(int.__index__(self._step))
        self._result = self._steps.take(self._inputs.batch, self._step)

    def _fall_back(self, reason: str) -> None:
        self._method.host_values = None
        self._recording.fall_back(reason)

    def _run_watched(self) -> None:
        """The last step before the recording. What a replay would get wrong is a reason not to record."""
        before = torch.get_rng_state()
        self._step = watched = WatchedStep(self._step)
        with self._recorder.watching() as waits:
            self._recorder.run(self._work)
        if waits:
            self._fall_back(f"the host waits for the device in a step ({', '.join(dict.fromkeys(waits))})")
        elif watched.read:
            self._fall_back("training_step computes with the number of the step, beside host_value")
        elif self._recorder.own_generator and self._draws_beside_host_values(before):
            self._fall_back("training_step draws random numbers on the host, beside host_value")

    def _draws_beside_host_values(self, before: torch.Tensor) -> bool:
        """Whether the step just taken drew more on the host than its host values draw by themselves."""
        after = torch.get_rng_state()
        torch.set_rng_state(before)
        self._host.refill(int.__index__(self._step))
        drawn = torch.get_rng_state()
        torch.set_rng_state(after)
        return not torch.equal(drawn, after)

    def _record(self) -> bool:
        """Record this step and take it by the first replay; false where that failed, and the step is still to take."""
        self._host.refill(self._step)
        optimiser = self._steps.optimiser
        optimiser.zero_grad(set_to_none=True)  # the recorded backward pass makes them anew, in memory of the graph
        _set_capturable(optimiser, True)
        try:
            with self._host.recording():
                self._replay = self._recorder.record(self._work)
        except Exception as error:
            self._fall_back(f"recording failed: {_first_cause(error)}")
            return False
        finally:
            _set_capturable(optimiser, False)
        self._recording.recorded = True
        self._replay()
        return True


def _set_capturable(optimiser: torch.optim.Optimizer, capturable: bool) -> None:
    """Whether torch lets a step be recorded: a fused optimiser's state lies on the device, so nothing else changes.

    Set for the recording alone, since torch warns of every other step with it.
    """
    for group in optimiser.param_groups:
        group["capturable"] = capturable


def _first_cause(error: BaseException) -> str:
    """What went wrong first: ending a recording that failed raises an error of its own."""
    while error.__context__ is not None:
        error = error.__context__
    said = (str(error).strip().splitlines() or [""])[0][:300]
    return f"{type(error).__name__}: {said}"
