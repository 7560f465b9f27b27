"""What a run depends on in prepared data, splits and pools, as digests of their content."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from contrastseg.errors import SplitError
from contrastseg.files import digest, read_json, sha256
from contrastseg.paths import MANIFEST


def data_digest(folder: Path) -> str:
    """Content of prepared data; empty before it is prepared."""
    manifest = folder / MANIFEST
    return _content(manifest, _stamp(manifest)) if manifest.is_file() else ""


def names_digest(folder: Path) -> str:
    """What the classes of prepared data are called; empty before it is prepared."""
    card = folder / "dataset.json"
    return digest(_json(card, _stamp(card))["classes"]) if card.is_file() else ""


def split_digest(file: Path, fold: int, draw: int | None = None) -> str:
    """Who trains and validates in a fold, in the order of a draw, or without one who is tested; empty before the split.

    Other folds and draws of the same file do not count: adding a draw to a suite retrains nothing.
    """
    return _split_part(file, _stamp(file), fold, draw) if file.is_file() else ""


def pool_digest(file: Path, prepared: Mapping[str, Path]) -> str:
    """Which cases a pre-training pool holds, and their content in the prepared folders; empty before it is made."""
    if not file.is_file():
        return ""
    pool = _json(file, _stamp(file))
    return digest([pool["hash"], [data_digest(prepared[entry]) for entry in pool["sources"]]])


def content_text(inputs: Mapping[str, str]) -> str:
    """What a run is made from, as the plan writes it and as the run finds it: data, split and pool."""
    return " ".join(inputs[part] for part in ("data", "split", "pool") if part in inputs)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


@cache
def _content(path: Path, stamp: tuple[int, int]) -> str:
    return sha256(path)[:16]


@cache
def _json(path: Path, stamp: tuple[int, int]) -> Any:
    return read_json(path)


@cache
def _split_part(path: Path, stamp: tuple[int, int], fold: int, draw: int | None) -> str:
    split = _json(path, stamp)
    if fold >= len(split["folds"]):
        raise SplitError(
            f"fold {fold} does not exist",
            file=path,
            remedy=f"choose folds from 0 to {len(split['folds']) - 1} in the suite",
        )
    part = split["folds"][fold]
    if draw is None:
        return digest(part["test"])
    bare = [split["unlabelled"]] if split.get("unlabelled") else []
    return digest([part["train"], part["val"], split["orders"][str(fold)][str(draw)], *bare])
