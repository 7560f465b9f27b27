"""Snapshots: checkpoints along a run, as part of what the run is. When each is due; torch-free, planning reads it."""

from __future__ import annotations

from typing import Literal

from contrastseg.checkpoint_names import snapshot_name
from contrastseg.errors import TrainingError
from contrastseg.training.settings import TrainingSettings

MOST_SNAPSHOTS = 50
"""Each of them is a file of weights, a prediction of the test cases and a part of a file of scores."""


def snapshot_names(training: TrainingSettings) -> tuple[str, ...]:
    """The snapshots that a run keeps, in order. The end of the run is `last`, and no snapshot.

    `snapshot_every` counts what the length counts: steps or epochs.

    Args:
        training: Settings of the stage `train`.

    Raises:
        TrainingError: More than `MOST_SNAPSHOTS`.

    Example:
        >>> snapshot_names(TrainingSettings(steps=1000, snapshot_every=300))
        ('step300', 'step600', 'step900')
        >>> snapshot_names(TrainingSettings(epochs=50, snapshot_every=20))
        ('epoch20', 'epoch40')
    """
    if training.snapshot_every is None:
        return ()
    length = training.length if training.epochs is None else training.epochs
    due = range(training.snapshot_every, length, training.snapshot_every)
    unit: Literal["step", "epoch"] = "step" if training.epochs is None else "epoch"
    if len(due) > MOST_SNAPSHOTS:
        raise TrainingError(
            f"snapshot_every: {training.snapshot_every} keeps {len(due)} snapshots of {length} {unit}s; at most"
            f" {MOST_SNAPSHOTS} are possible",
            remedy=f"set snapshot_every to {-(-length // (MOST_SNAPSHOTS + 1))} or more",
        )
    return tuple(snapshot_name(number, unit) for number in due)


def snapshots_due(training: TrainingSettings) -> dict[int, str]:
    """The snapshots of a run by the number of steps after which each is due.

    Args:
        training: Settings of the stage `train`, its length in steps (`training.length.in_steps`).

    Raises:
        TrainingError: More than `MOST_SNAPSHOTS`.

    Example:
        >>> snapshots_due(TrainingSettings(epochs=5, snapshot_every=2).model_copy(update={"steps": 35}))
        {14: 'epoch2', 28: 'epoch4'}
    """
    names = snapshot_names(training)
    if not names:
        return {}
    steps = 1 if training.epochs is None else training.length // training.epochs
    return {(at + 1) * (training.snapshot_every or 0) * steps: name for at, name in enumerate(names)}
