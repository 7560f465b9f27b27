"""The training loop, explicit and the same for every method and stage."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from contrastseg.files import digest
from contrastseg.methods.contract import Batch, Method
from contrastseg.training import checkpoints
from contrastseg.training.batches import BatchSource
from contrastseg.training.logs import Log
from contrastseg.training.non_finite import NonFiniteGuard
from contrastseg.training.optimiser import build_optimiser, fuses, load_scaler, load_state, scaler_state
from contrastseg.training.recorded import RecordedSteps, Recording
from contrastseg.training.records import cpu_seconds
from contrastseg.training.seeds import stream_seed
from contrastseg.training.settings import OptimiserSettings, TrainingSettings
from contrastseg.training.single_device import SingleDevice
from contrastseg.training.steps import MethodStep, StepResult, Steps

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass
class Progress:
    """How far a run is; all of it is in the resumable checkpoint.

    Attributes:
        step: Steps done.
        seconds: Time in steps, validation and checkpoints not counted.
        earlier: Of these seconds, those of attempts before this one.
        cpu_seconds: The processors' time meanwhile, of all threads.
        earlier_cpu: Of it, that of attempts before this one.
        best: Best validation Dice so far; NaN before the first.
        best_step: Where it was reached.
    """

    step: int = 0
    seconds: float = 0.0
    earlier: float = 0.0
    cpu_seconds: float = 0.0
    earlier_cpu: float = 0.0
    best: float = math.nan
    best_step: int = 0


@dataclass(frozen=True, kw_only=True)
class FitArguments:
    """What `fit` trains, on what, and where the result goes.

    Attributes:
        method: With its modules built.
        batches: The batch of every step.
        training: Settings of this stage.
        fabric: Device, precision and processes.
        folder: The run's folder.
        seed: The run's seed; torch's global generators are seeded from it before every step.
        identity: What makes two runs the same run.
        header: What every checkpoint carries beside the weights.
        snapshots: Names of the snapshots by the number of steps after which each is kept.
        recording: Whether steps are recorded; it is told how that went.
        validate: Mean validation Dice of the present weights; None where the split has no validation cases.
        on_step: Called with the number of steps done, for a progress bar.
    """

    method: Method
    batches: BatchSource
    training: TrainingSettings
    fabric: Fabric | SingleDevice
    folder: Path
    seed: int
    identity: dict[str, Any]
    header: dict[str, Any]
    snapshots: Mapping[int, str] = field(default_factory=dict)
    recording: Recording = field(default_factory=Recording)
    validate: Callable[[], float] | None = None
    on_step: Callable[[int], None] = lambda step: None


def learning_rate(step: int, steps: int, settings: OptimiserSettings) -> float:
    """Compute the learning rate of a step: a linear rise over the warm-up, then what the schedule says.

    Args:
        step: Number of the step, from 0.
        steps: Length of the stage.
        settings: With a warm-up of w steps, t = step − w and T = steps − w: `poly` is (1 − t/T)^0.9, `cosine`
            ½ (1 + cos πt/T), both from the learning rate to the final one; `step` is step_factor^⌊t / step_every⌋;
            `constant` is 1.
    """
    warmup = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    after = max(0, step - settings.warmup_steps)
    done = after / max(1, steps - settings.warmup_steps)
    if settings.schedule == "step":
        assert settings.step_every is not None
        return settings.learning_rate * warmup * settings.step_factor ** (after // settings.step_every)
    if settings.schedule == "constant":
        return settings.learning_rate * warmup
    decay = (1 - done) ** 0.9 if settings.schedule == "poly" else 0.5 * (1 + math.cos(math.pi * done))
    return settings.learning_rate * warmup * decay + settings.final_learning_rate * (1 - decay)


def fit(arguments: FitArguments) -> tuple[Progress, Log]:
    """Train to the last step, from the newest checkpoint of the same run if there is one.

    Args:
        arguments: What to train, on what, and where the result goes.

    Returns:
        How the run went, and its log (not yet closed).

    Raises:
        TrainingError: The loss or a weight is not finite; nothing is saved after that but `nonfinite.json`.
    """
    loop = _Loop(arguments)
    loop.start()
    for step in range(loop.progress.step, arguments.training.length):
        loop.advance(step)
    loop.save("last.ckpt")
    return loop.progress, loop.log


@dataclass(frozen=True)
class _Due:
    """What follows a step.

    Attributes:
        row: A row of the log; checkpoint, snapshot and validation come with one.
        validation: A look at the validation patients.
        snapshot: A look at the weights, and a snapshot.
        checkpoint: A look at the weights, and a checkpoint to resume from unless this was the last step.
        last: Nothing more to train.
    """

    row: bool
    validation: bool
    snapshot: bool
    checkpoint: bool
    last: bool

    @classmethod
    def after(cls, done: int, run: FitArguments) -> _Due:
        """What follows when this many steps are done."""
        training = run.training
        last = done == training.length
        checkpoint = last or done % training.checkpoint_every == 0
        validation = run.validate is not None and (last or done % training.validate_every == 0)
        snapshot = done in run.snapshots
        row = done % training.log_every == 0 or checkpoint or validation or snapshot
        return cls(row, validation, snapshot, checkpoint, last)

    @property
    def weights(self) -> bool:
        """Whether the weights are looked at: what is not finite is neither scored nor kept."""
        return self.validation or self.snapshot or self.checkpoint


class _Loop:
    """A run while it trains: its optimiser, progress and log, and the parts of a step.

    Args:
        arguments: Those of `fit`.
    """

    def __init__(self, arguments: FitArguments) -> None:
        self.run = arguments
        self.modules = arguments.method.modules
        self.saved = arguments.folder / "checkpoints"
        # Of several processes that train a run together the first writes and looks at the validation patients.
        self.writes = arguments.fabric.is_global_zero
        rows = self._set_up(checkpoints.load_resumable(self.saved, arguments.identity, arguments.snapshots))
        self.log = Log(arguments.folder, rows, writes=self.writes)
        self.guard = NonFiniteGuard(self.saved, self.modules, arguments.batches, self.progress.step, writes=self.writes)
        self._running_since = self._cpu_since = math.nan

    def _set_up(self, resumed: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Build optimiser and steps, and resume from a checkpoint if there is one; the log's rows so far."""
        run = self.run
        fused = run.recording.recorder is not None or fuses(run.fabric.device, run.training)
        parameters = [p for p in self.modules.parameters() if p.requires_grad]
        optimiser = build_optimiser(parameters, run.training.optimiser, fused=fused)
        self.progress, rows = Progress(), []
        if resumed is not None:
            self.modules.load_state_dict(resumed["modules"])
            self.progress, rows = Progress(**resumed["progress"]), resumed["log"]
            self.progress.earlier = self.progress.seconds
            self.progress.earlier_cpu = self.progress.cpu_seconds
        module, optimiser = run.fabric.setup(MethodStep(run.method), optimiser)
        self.optimiser: torch.optim.Optimizer = optimiser
        if resumed is not None:
            load_state(self.optimiser, resumed["optimiser"])
            load_scaler(run.fabric, resumed["scaler"])
        steps = Steps(module, self.optimiser, run.training, run.fabric, self._seed_of, rate_on_device=fused)
        self.take: Callable[[Batch, int, float], StepResult] = steps
        if run.recording.recorder is not None:
            self.take = RecordedSteps(steps, run.method, run.recording.recorder, run.recording)
        return rows

    def _seed_of(self, step: int) -> int:
        return stream_seed(self.run.seed, "step", step, self.run.fabric.global_rank)

    def start(self) -> None:
        """Begin to train: checkpoint and log are read, the clock runs."""
        run = self.run
        run.fabric.barrier()  # the checkpoint was read by all before the first writes another
        if self.writes:
            checkpoints.discard_snapshots(self.saved, checkpoints.done_by(run.snapshots, self.progress.step))
            if self.progress.best_step:
                checkpoints.restore_best(self.saved)
        run.on_step(self.progress.step)
        self.modules.train()
        self._start_clock()

    def advance(self, step: int) -> None:
        """Take one step and do what follows it: log, validation, checkpoint."""
        run = self.run
        rate = learning_rate(step, run.training.length, run.training.optimiser)
        batch = run.batches(step)
        result = self.take(batch, step, rate)
        run.method.after_step(step)
        self.progress.step = step + 1
        due = _Due.after(self.progress.step, run)
        if due.row:
            self._add_row(batch, result, rate, weights=due.weights)
        if due.validation and self.writes:
            self._validate()
        if due.snapshot and self.writes:
            with self._stopped_clock():
                name = run.snapshots[self.progress.step]
                checkpoints.save_snapshot(self.saved, name, self._content(), run.identity)
        if due.checkpoint and not due.last and self.writes:
            self._save_resumable()
        run.on_step(self.progress.step)

    def save(self, name: str) -> None:
        """Save the present weights under a name, where this process writes."""
        if self.writes:
            checkpoints.save(self.saved / name, self._content())

    @contextlib.contextmanager
    def _stopped_clock(self) -> Iterator[None]:
        """Leave the time of the block out of `Progress.seconds` and `cpu_seconds`, which are up to date inside."""
        self.progress.seconds += time.perf_counter() - self._running_since
        self.progress.cpu_seconds += cpu_seconds() - self._cpu_since
        yield
        self._start_clock()

    def _start_clock(self) -> None:
        self._running_since, self._cpu_since = time.perf_counter(), cpu_seconds()

    def _content(self) -> dict[str, Any]:
        """What every checkpoint holds."""
        return {**self.run.header, "modules": self.modules.state_dict(), "step": self.progress.step}

    def _add_row(self, batch: Batch, result: StepResult, rate: float, *, weights: bool) -> None:
        """Log the step's terms, mean over processes, unless one (or a weight, where asked for) is not finite."""
        done = self.progress.step
        terms = {"loss": result.loss, **result.terms}
        means = {name: self.run.fabric.all_reduce(term) for name, term in terms.items()}
        values = {name: float(mean) for name, mean in means.items()}  # type: ignore[arg-type]
        self.guard.check(done, values, rate, result.gradient_norm, batch, weights=weights)
        with self._stopped_clock():
            self.log.add(done, {**values, "learning_rate": rate, "seconds": round(self.progress.seconds, 3)})

    def _validate(self) -> None:
        """Put the validation Dice into the log's last row, and save the weights where it is the best so far."""
        assert self.run.validate is not None  # else no validation is due
        with self._stopped_clock():
            self.modules.eval()
            score = self.run.validate()
            self.modules.train()
            self.log.rows[-1]["val_dice"] = score
            if not self.progress.best >= score:
                self.progress.best, self.progress.best_step = score, self.progress.step
                checkpoints.save_best(self.saved, self._content())

    def _save_resumable(self) -> None:
        """Save all that a killed run needs to resume from here, and write the log."""
        with self._stopped_clock():
            resumable = {
                "identity": digest(self.run.identity),
                "optimiser": self.optimiser.state_dict(),
                "scaler": scaler_state(self.run.fabric),
                "log": self.log.rows,
                "progress": vars(self.progress),
            }
            checkpoints.save_resumable(self.saved, {**self._content(), **resumable})
            self.log.write()
