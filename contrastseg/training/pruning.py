"""Removal of the snapshots that no selection needs any more. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contrastseg.checkpoint_names import is_snapshot
from contrastseg.errors import CheckpointError
from contrastseg.files import read_json, write_json

PRUNED = "pruned.json"
"""In a run's `checkpoints`: which snapshots were removed, and which were kept."""


def prune(folder: str | Path, selections: Sequence[str | Path]) -> dict[str, list[str]]:
    """Remove the snapshots that were selected from, but for the selected ones. `last` and `best_val` stay.

    Args:
        folder: The run's `checkpoints`.
        selections: `best_test.json` of every evaluation set of the run.

    Returns:
        What it writes to `pruned.json`: `kept`, `removed`, and `lost`, the selected snapshots whose weights were
        removed by an earlier selection.
    """
    folder = Path(folder)
    choices: list[dict[str, Any]] = [read_json(path) for path in selections]
    selected = {str(choice["checkpoint"]) for choice in choices}
    candidates = [name for choice in choices for name in choice["mean_dice"] if is_snapshot(name)]
    record: dict[str, list[str]] = {"kept": [], "removed": [], "lost": []}
    for name in dict.fromkeys(candidates):
        file = folder / f"{name}.ckpt"
        if name in selected:
            record["kept" if file.is_file() else "lost"].append(name)
        else:
            file.unlink(missing_ok=True)
            record["removed"].append(name)
    write_json(folder / PRUNED, record)
    return record


def require_snapshots(files: Sequence[Path]) -> None:
    """Check that no snapshot is missing that is to predict.

    Raises:
        CheckpointError: Some are missing. Where they were pruned, the error says how to have them again.
    """
    gone = [file for file in files if not file.is_file()]
    if not gone:
        return
    names = ", ".join(file.stem for file in gone)
    folder = gone[0].parent
    if (folder / PRUNED).is_file():
        raise CheckpointError(
            f"this prediction needs snapshots that were removed after the oracle was selected: {names}",
            file=folder / PRUNED,
            remedy=f"delete {folder.parent / 'run.json'} to train the run again, or restore the snapshots",
        )
    raise CheckpointError(f"snapshots not found: {names}", file=folder, remedy="train the run again")
