"""The checkpoints that a run's oracle is selected from."""

from __future__ import annotations

from contrastseg.checkpoint_names import LAST, snapshot_name
from contrastseg.suite import Suite
from contrastseg.training.snapshots import snapshot_steps


def candidates(suite: Suite, entry: str, method: str, variant: str) -> tuple[str, ...]:
    """The snapshots of a run and its last checkpoint, in the order of training.

    Args:
        suite: The suite.
        entry: Name of the entry that the run trains on.
        method: Name of its method.
        variant: Name of its variant.
    """
    training = suite.stage_training(suite.entry(entry), suite.method(method), variant, "train")
    return (*map(snapshot_name, snapshot_steps(training)), LAST)
