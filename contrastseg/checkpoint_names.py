"""Names of checkpoints: the same in a run's folder, in paths of predictions and scores, and in tables."""

from __future__ import annotations

import re
from typing import Literal

LAST = "last"
BEST_VAL = "best_val"
ORACLE = "best_test"
"""The checkpoint with the best test score. Selected from score files; it has no file of weights."""
ORACLE_MARK = "oracle, not comparable"
"""What every output prints beside results of `ORACLE`."""
SNAPSHOTS = "snapshots"
"""What files that are of all snapshots of a run are called: their scores, and the index of their predictions."""
SELECTED_BY = "dice"
"""The metric that selects the oracle."""
_SNAPSHOT = re.compile("(?:step|epoch)([1-9][0-9]*)")


def snapshot_name(number: int, unit: Literal["step", "epoch"] = "step") -> str:
    """The name of the snapshot that is due after so many steps or epochs.

    Example:
        >>> snapshot_name(400), snapshot_name(20, "epoch")
        ('step400', 'epoch20')
    """
    return f"{unit}{number}"


def snapshot_number(name: str) -> int | None:
    """The steps or epochs that a snapshot's name counts; None where no snapshot has such a name.

    Example:
        >>> snapshot_number("step400"), snapshot_number("epoch20"), snapshot_number("last")
        (400, 20, None)
    """
    match = _SNAPSHOT.fullmatch(name)
    return int(match[1]) if match else None


def is_snapshot(name: str) -> bool:
    """Whether a checkpoint of this name is a snapshot.

    Example:
        >>> is_snapshot("step400"), is_snapshot("last")
        (True, False)
    """
    return snapshot_number(name) is not None
