"""The training loop, explicit and the same for every method and stage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contrastseg.files import digest
from contrastseg.methods.contract import Batch, Method
from contrastseg.training import checkpoints
from contrastseg.training.batches import BatchSource
from contrastseg.training.faults import Watch
from contrastseg.training.logs import Log
from contrastseg.training.optimiser import build_optimiser, fuses, load_scaler, load_state, scaler_state
from contrastseg.training.recorded import RecordedSteps, Recording
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
        best: Best validation Dice so far; NaN before the first.
        best_step: Where it was reached.
    """

    step: int = 0
    seconds: float = 0.0
    earlier: float = 0.0
    best: float = math.nan
    best_step: int = 0


def learning_rate(step: int, steps: int, settings: OptimiserSettings) -> float:
    """The learning rate of step t of T: a linear rise over the warm-up, then (1 − t/T)^0.9, a cosine, or constant."""
    warmup = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    done = step / steps
    decay = {"poly": (1 - done) ** 0.9, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "constant": 1.0}
    return settings.learning_rate * warmup * decay[settings.schedule]


def fit(
    method: Method,
    batches: BatchSource,
    training: TrainingSettings,
    fabric: Fabric | SingleDevice,
    folder: Path,
    *,
    seed: int,
    identity: dict[str, Any],
    header: dict[str, Any],
    recording: Recording | None = None,
    validate: Callable[[], float] | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> tuple[Progress, Log]:
    """Train to the last step, from the newest checkpoint of the same run if there is one.

    Args:
        method: With its modules built.
        batches: The batch of every step.
        training: Settings of this stage.
        fabric: Device, precision and processes.
        folder: The run's folder.
        seed: The run's seed; torch's global generators are seeded from it before every step.
        identity: What makes two runs the same run.
        header: What every checkpoint carries beside the weights.
        recording: Whether steps are recorded; it is told how that went. None for not.
        validate: Mean validation Dice of the present weights; None where the split has no validation cases.
        on_step: Called with the number of steps done, for a progress bar.

    Returns:
        How the run went, and its log (not yet closed).

    Raises:
        TrainingError: The loss or a weight is not finite; nothing is saved after that but `nonfinite.json`.
    """
    saved = folder / "checkpoints"
    parameters = [p for p in method.modules.parameters() if p.requires_grad]
    recorder = None if recording is None else recording.recorder
    fused = recorder is not None or fuses(fabric.device, training)
    optimiser = build_optimiser(parameters, training.optimiser, fused=fused)
    progress, rows = Progress(), []
    resumed = checkpoints.load_resumable(saved, identity)
    if resumed is not None:
        method.modules.load_state_dict(resumed["modules"])
        progress, rows = Progress(**resumed["progress"]), resumed["log"]
        progress.earlier = progress.seconds
    module, optimiser = fabric.setup(MethodStep(method), optimiser)
    if resumed is not None:
        load_state(optimiser, resumed["optimiser"])
        load_scaler(fabric, resumed["scaler"])

    def seed_of(step: int) -> int:
        return stream_seed(seed, "step", step, fabric.global_rank)

    take: Callable[[Batch, int, float], StepResult]
    take = steps = Steps(module, optimiser, training, fabric, seed_of, rate_on_device=fused)
    if recording is not None and recorder is not None:
        take = RecordedSteps(steps, method, recorder, recording)
    # Of several processes that train a run together the first writes and looks at the validation patients.
    first = fabric.is_global_zero
    log = Log(folder, rows, writes=first)
    validating = validate is not None
    validate = validate if first else None

    def content() -> dict[str, Any]:
        return {**header, "modules": method.modules.state_dict(), "step": progress.step}

    fabric.barrier()  # the checkpoint was read by all before the first writes another
    on_step(progress.step)
    watch = Watch(saved, method.modules, batches, progress.step, writes=first)
    method.modules.train()
    started = time.perf_counter()
    for step in range(progress.step, training.steps):
        rate = learning_rate(step, training.steps, training.optimiser)
        batch = batches(step)
        result = take(batch, step, rate)
        method.after_step(step)
        progress.step = done = step + 1
        last = done == training.steps
        at_checkpoint = last or done % training.checkpoint_every == 0
        validates = validating and (last or done % training.validate_every == 0)
        if done % training.log_every == 0 or at_checkpoint or validates:
            terms = {"loss": result.loss, **result.terms}
            means = {name: fabric.all_reduce(term) for name, term in terms.items()}
            values = {name: float(mean) for name, mean in means.items()}  # type: ignore[arg-type]
            watch.check(done, values, rate, result.gradient_norm, batch, weights=at_checkpoint or validates)
            progress.seconds += time.perf_counter() - started
            log.add(done, {**values, "learning_rate": rate, "seconds": round(progress.seconds, 3)})
            started = time.perf_counter()
        if validate is not None and validates:
            progress.seconds += time.perf_counter() - started
            method.modules.eval()
            score = validate()
            method.modules.train()
            log.rows[-1]["val_dice"] = score
            if not progress.best >= score:
                progress.best, progress.best_step = score, done
                checkpoints.save(saved / "best_val.ckpt", content())
            started = time.perf_counter()
        if first and at_checkpoint and not last:
            progress.seconds += time.perf_counter() - started
            resumable = {
                "identity": digest(identity),
                "optimiser": optimiser.state_dict(),
                "scaler": scaler_state(fabric),
                "log": log.rows,
                "progress": vars(progress),
            }
            checkpoints.save_resumable(saved, {**content(), **resumable})
            log.write()
            started = time.perf_counter()
        on_step(done)
    if first:
        checkpoints.save(saved / "last.ckpt", content())
    return progress, log
