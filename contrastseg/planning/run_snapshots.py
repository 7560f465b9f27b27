"""The snapshots of a run: the oracle is selected from them and from its last checkpoint."""

from __future__ import annotations

from contrastseg.suite import Suite
from contrastseg.training.snapshots import snapshot_names


def snapshots_of(suite: Suite, entry: str, method: str, variant: str) -> tuple[str, ...]:
    """Names of the snapshots of a run, in the order of training; none where its settings ask for none.

    Args:
        suite: The suite.
        entry: Name of the entry that the run trains on.
        method: Name of its method.
        variant: Name of its variant.
    """
    return snapshot_names(suite.stage_training(suite.entry(entry), suite.method(method), variant, "train"))
