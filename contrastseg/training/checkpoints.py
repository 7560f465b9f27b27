"""Checkpoints that are whole or not there, and that know which run they belong to."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from contrastseg.errors import CheckpointError
from contrastseg.files import atomic_path, digest

RESUME = "resume.ckpt"
PREVIOUS = "resume.previous.ckpt"


def save(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically."""
    with atomic_path(path) as temporary:
        torch.save(dict(content), temporary)


def load(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint on the CPU. Nothing in it is executed: tensors and plain values only.

    Raises:
        CheckpointError: It is missing, incomplete, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("no checkpoint here", file=path, remedy="train the run first, or correct the path")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError, OSError) as error:
        raise CheckpointError(
            f"the checkpoint cannot be read ({type(error).__name__}: {(str(error).splitlines() or ['empty file'])[0]})",
            file=path,
            remedy="delete it; the run resumes from an earlier one or starts again",
        ) from error
    if not isinstance(content, dict) or "modules" not in content or "config" not in content:
        raise CheckpointError("this is not a checkpoint of contrastseg", file=path)
    return content


def save_resumable(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the checkpoint a killed run resumes from, and keep the one before it."""
    newest = folder / RESUME
    if newest.exists():
        os.replace(newest, folder / PREVIOUS)
    save(newest, content)


def load_resumable(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The newest whole checkpoint of the same run, or None: the one before is used when the newest is damaged.

    A checkpoint of another configuration, of other data or of other code is not this run's and is left out.
    """
    for name in (RESUME, PREVIOUS):
        try:
            content = load(folder / name)
        except CheckpointError:
            continue
        if content.get("identity") == digest(identity):
            return content
    return None


def discard_resumable(folder: Path) -> None:
    """Remove what only a killed run needs, and what it was writing when it was killed."""
    for path in (folder / RESUME, folder / PREVIOUS, *folder.glob(".*.ckpt")):
        path.unlink(missing_ok=True)
