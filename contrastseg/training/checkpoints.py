"""Checkpoints that are whole or not there, and that know which run they belong to."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from contrastseg.checkpoint_names import is_snapshot
from contrastseg.errors import CheckpointError, TrainingError
from contrastseg.files import atomic_path, digest
from contrastseg.training.pruning import PRUNED

RESUME = "resume.ckpt"
PREVIOUS = "resume.previous.ckpt"
BEST = "best_val.ckpt"
KEPT_BEST = "resume.best_val.ckpt"


def save(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    Raises:
        TrainingError: A weight is not finite; what was saved before stays.
        FileError: The disk is full or cannot be written to; what was saved before stays.
    """
    if wrong := not_finite(content["modules"]):
        raise TrainingError(
            f"weights that are not finite are not saved: {', '.join(wrong)}",
            file=path,
            remedy="lower optimiser.learning_rate; the last good checkpoint is kept",
        )
    # Through a file of Python's: torch's own says that writing failed, and not why.
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.save(dict(content), file)


def load(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU. Nothing in it is executed: tensors and plain values only.

    Raises:
        CheckpointError: It is missing, incomplete, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("checkpoint not found", file=path, remedy="train the run first, or correct the path")
    try:
        # torch does not compare the checksums it writes: a bit that flipped on the disk would be a weight.
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises errors of every kind on what was damaged
        raise CheckpointError(
            f"the checkpoint cannot be read ({type(error).__name__}: {(str(error).splitlines() or ['empty file'])[0]})",
            file=path,
            remedy="delete it; the run resumes from an earlier one or starts again",
        ) from error
    if not isinstance(content, dict) or "modules" not in content or "config" not in content:
        raise CheckpointError(
            "this is not a checkpoint of contrastseg",
            file=path,
            remedy="give a file from the `checkpoints` folder of a run, such as last.ckpt",
        )
    return content


def not_finite(state: Mapping[str, Any], most: int = 20) -> list[str]:
    """List the names of tensors that hold NaN or infinite values, the first few."""
    tensors = {name: value for name, value in state.items() if torch.is_tensor(value) and value.is_floating_point()}
    if not tensors or bool(torch.stack([value.isfinite().all() for value in tensors.values()]).all()):
        return []  # asked once: every answer makes the processor wait for the device
    return [name for name, value in tensors.items() if not value.isfinite().all()][:most]


def save_resumable(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the checkpoint a killed run resumes from, and keep the one before it."""
    newest = folder / RESUME
    if newest.exists():
        os.replace(newest, folder / PREVIOUS)
    save(newest, content)


def save_best(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the best weights so far, and keep them under a second name for a run that is killed.

    `best_val.ckpt` is an output of the workflow's rule: Snakemake removes it before a killed run starts again.
    """
    save(folder / BEST, content)
    _same_file(folder / BEST, folder / KEPT_BEST)


def restore_best(folder: Path) -> None:
    """Put the best weights so far back where they were removed since."""
    if (folder / KEPT_BEST).is_file() and not (folder / BEST).is_file():
        _same_file(folder / KEPT_BEST, folder / BEST)


def _same_file(source: Path, target: Path) -> None:
    """A second name of a file, atomically; a copy where the file system has no hard links."""
    with atomic_path(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def checkpoint_file(folder: Path, name: str) -> Path:
    """The file of a checkpoint in a run's `checkpoints`."""
    return folder / f"{name}.ckpt"


def done_by(snapshots: Mapping[int, str], step: int) -> list[str]:
    """Names of the snapshots that were due by a step."""
    return [name for due, name in snapshots.items() if due <= step]


def save_snapshot(folder: Path, name: str, content: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Write a snapshot atomically; `identity` says which run it belongs to."""
    save(checkpoint_file(folder, name), {**content, "identity": digest(identity)})


def discard_snapshots(folder: Path, kept: Collection[str]) -> None:
    """Remove every snapshot but `kept`: those of a run before, and those after the step that this one resumes at."""
    (folder / PRUNED).unlink(missing_ok=True)
    for path in folder.glob("*.ckpt"):
        if is_snapshot(path.stem) and path.stem not in kept:
            path.unlink(missing_ok=True)


def _has_snapshots(folder: Path, names: Collection[str], identity: str) -> bool:
    """Whether these snapshots are there, whole, and of this run."""
    try:
        return all(load(checkpoint_file(folder, name)).get("identity") == identity for name in names)
    except CheckpointError:
        return False


def load_resumable(
    folder: Path, identity: Mapping[str, Any], snapshots: Mapping[int, str] = MappingProxyType({})
) -> dict[str, Any] | None:
    """Load the newest whole checkpoint of the same run, or None: the one before is used when the newest is damaged.

    A checkpoint of another configuration, of other data or of other code is not this run's and is left out. So is one
    that lacks a snapshot of an earlier step: the run could not make it again from there.

    Args:
        folder: The run's `checkpoints`.
        identity: What makes two runs the same run.
        snapshots: Names of the run's snapshots by the number of steps after which each is due.
    """
    damaged = []
    for path in (folder / RESUME, folder / PREVIOUS):
        try:
            content = load(path)
        except CheckpointError:
            damaged.append(path)
            continue
        if content.get("identity") == digest(identity):
            if not _has_snapshots(folder, done_by(snapshots, content["step"]), digest(identity)):
                damaged.append(path)
                continue
            # Else the next checkpoint would push the damaged one into the place of the whole one.
            for other in damaged:
                other.unlink(missing_ok=True)
            return content
    return None


def discard_resumable(folder: Path) -> None:
    """Remove what only a killed run needs, and what it was writing when it was killed."""
    for path in (folder / RESUME, folder / PREVIOUS, folder / KEPT_BEST, *folder.glob(".*.ckpt")):
        path.unlink(missing_ok=True)
