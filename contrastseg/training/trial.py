"""One trial of a method in one fold: all its stages, and the Dice of the patients that validate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from contrastseg.checkpoint_names import LAST, SELECTED_BY
from contrastseg.errors import CheckpointError, TrainingError
from contrastseg.evaluation.scoring.scoring import score_folder
from contrastseg.evaluation.statistics.tuning import validation_dice_of
from contrastseg.files import read_json
from contrastseg.training import checkpoints
from contrastseg.training.non_finite import DUMP
from contrastseg.training.prediction import predict_prepared
from contrastseg.training.run import train
from contrastseg.training.settings import RunConfig

ConfigOf = Callable[[str, Mapping[str, str]], RunConfig]
"""From a stage and the checkpoints of the stages before it to the configuration of the stage."""


def run_trial(
    config_of: ConfigOf,
    stages: Sequence[str],
    validating: Sequence[str],
    output: Path,
    *,
    convention: str = "default",
    on_step: Callable[[int], None] = lambda step: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> dict[str, Any]:
    """Train the stages in order, predict the validating patients with the last checkpoint, and score them.

    A stage that this trial has finished before is not trained again.

    Args:
        config_of: Resolves the configuration of each stage.
        stages: Names of the stages, in order.
        validating: The patients that validate. The split of the configuration has them nowhere else.
        output: Folder of the trial; each stage has a folder in it.
        convention: Of the scores.
        on_step: Called with the number of steps done, over all stages.
        on_note: Called with what should be known of how it is computed.

    Returns:
        `dice` of each patient that has a value (None for a trial that diverged), `diverged` (why; empty where it did
        not), `steps`, and `wall_s`, the seconds of all stages and of scoring.

    Raises:
        ContrastsegError: A kind of it, of training, prediction or scoring; but for a loss that is not finite.
    """
    trained, steps, seconds = dict[str, str](), 0, 0.0
    for stage in stages:
        config, folder = config_of(stage, trained), output / stage
        checkpoint = folder / "checkpoints" / f"{LAST}.ckpt"
        began = time.perf_counter()
        try:
            done = _finished(checkpoint, config)
            if done is None:
                record = train(config, folder, on_step=_after(on_step, steps), on_note=on_note)
                done = int(record["steps"])
        except TrainingError as error:
            if error.file is None or error.file.name != DUMP:
                raise
            return _record(None, error.reason, steps, seconds + time.perf_counter() - began)
        steps, seconds = steps + done, seconds + _seconds(folder, time.perf_counter() - began)
        trained[stage] = str(checkpoint)
    began = time.perf_counter()
    predicted = predict_prepared(checkpoint, config.data, validating, output / "predictions").parent
    scores = score_folder(predicted, config.data, (SELECTED_BY,), convention)
    return _record(validation_dice_of(scores), "", steps, seconds + time.perf_counter() - began)


def _record(dice: Mapping[str, float] | None, diverged: str, steps: int, seconds: float) -> dict[str, Any]:
    return {
        "dice": None if dice is None else dict(dice),
        "diverged": diverged,
        "steps": steps,
        "wall_s": round(seconds, 3),
    }


def _finished(checkpoint: Path, config: RunConfig) -> int | None:
    """Steps of a stage that this trial has finished before; None where it is to be trained."""
    if not (checkpoint.parents[1] / "run.json").is_file() or not checkpoint.is_file():
        return None
    try:
        content = checkpoints.load(checkpoint)
    except CheckpointError:
        return None
    same = RunConfig.model_validate(content["config"]).identity == config.identity
    return int(content["step"]) if same else None


def _seconds(folder: Path, measured: float) -> float:
    """Seconds of a stage, with those of attempts that were stopped before this one."""
    return max(measured, float(read_json(folder / "run.json")["wall_s"]))


def _after(on_step: Callable[[int], None], steps: int) -> Callable[[int], None]:
    return lambda step: on_step(steps + step)
