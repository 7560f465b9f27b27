"""Names of checkpoints: the same in a run's folder, in paths of predictions and scores, and in tables."""

from __future__ import annotations

import re

LAST = "last"
BEST_VAL = "best_val"
ORACLE = "best_test"
"""The checkpoint with the best test score. Selected from score files; it has no file of weights."""
ORACLE_MARK = "oracle, not comparable"
"""What every output prints beside results of `ORACLE`."""
SNAPSHOT_PATTERN = "step[1-9][0-9]*"
SELECTED_BY = "dice"
"""The metric that selects the oracle."""
_SNAPSHOT = re.compile(SNAPSHOT_PATTERN)


def snapshot_name(step: int) -> str:
    """The name of the snapshot that is due after so many steps.

    Example:
        >>> snapshot_name(400)
        'step400'
    """
    return f"step{step}"


def is_snapshot(name: str) -> bool:
    """Whether a checkpoint of this name is a snapshot.

    Example:
        >>> is_snapshot("step400"), is_snapshot("last")
        (True, False)
    """
    return _SNAPSHOT.fullmatch(name) is not None
