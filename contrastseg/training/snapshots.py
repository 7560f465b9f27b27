"""Snapshots: checkpoints along a run, as part of what the run is. When each is due; torch-free, planning reads it."""

from __future__ import annotations

from contrastseg.errors import TrainingError
from contrastseg.training.settings import TrainingSettings

MOST_SNAPSHOTS = 50
"""Each of them is a file of weights, a prediction of the test cases and a file of scores."""


def snapshot_steps(training: TrainingSettings) -> tuple[int, ...]:
    """The numbers of steps after which a run keeps a snapshot. The end of the run is `last`, and no snapshot.

    Args:
        training: Settings of the stage `train`, its length in steps.

    Raises:
        TrainingError: More than `MOST_SNAPSHOTS`, or a length in epochs, whose steps only the data tells.

    Example:
        >>> snapshot_steps(TrainingSettings(steps=1000, snapshot_every=300))
        (300, 600, 900)
    """
    if training.snapshot_every is None:
        return ()
    if training.steps is None:
        raise TrainingError(
            f"snapshot_every: {training.snapshot_every} counts steps, and the length is {training.epochs} epochs",
            remedy="give the length in `steps`, or leave snapshot_every out",
        )
    due = range(training.snapshot_every, training.steps, training.snapshot_every)
    if len(due) > MOST_SNAPSHOTS:
        raise TrainingError(
            f"snapshot_every: {training.snapshot_every} keeps {len(due)} snapshots of {training.steps} steps; at most"
            f" {MOST_SNAPSHOTS} are possible",
            remedy=f"set snapshot_every to {-(-training.steps // (MOST_SNAPSHOTS + 1))} or more",
        )
    return tuple(due)
