"""Digests of the content of prepared data, splits, pools and files of weights, which a run depends on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from contrastseg.errors import SplitError
from contrastseg.files import digest, read_json, sha256
from contrastseg.methods import registry as methods
from contrastseg.networks.weight_settings import weight_file
from contrastseg.paths import MANIFEST


def data_digest(folder: Path) -> str:
    """Digest of prepared data; empty before it is prepared."""
    manifest = folder / MANIFEST
    return _content(manifest, _stamp(manifest)) if manifest.is_file() else ""


def names_digest(folder: Path) -> str:
    """Digest of the names of the classes; empty before the data is prepared."""
    card = folder / "dataset.json"
    return digest(_json(card, _stamp(card))["classes"]) if card.is_file() else ""


def split_digest(file: Path, fold: int, draw: int | None = None) -> str:
    """Digest of a fold's training and validation patients in the order of a draw; without a draw, of its test patients.

    Other folds and draws of the file do not count, so adding a draw to a suite retrains nothing.
    Empty before the split.
    """
    return _fold_digest(file, _stamp(file), fold, draw) if file.is_file() else ""


def pool_digest(file: Path, prepared: Mapping[str, Path]) -> str:
    """Digest of a pool's cases and of their prepared data; empty before the pool is made."""
    if not file.is_file():
        return ""
    pool = _json(file, _stamp(file))
    return digest([pool["hash"], [data_digest(prepared[entry]) for entry in pool["sources"]]])


def weights_digest(*networks: Mapping[str, Any] | None) -> dict[str, str]:
    """Digest of the files of weights that networks start from, by the name `weights`; nothing where there is no file.

    Args:
        networks: Settings of networks, as `training` and the settings of a stage have them.

    A file that is missing counts as one that is empty: training says that it is missing.
    """
    files = [weight_file(network)[1] for network in networks if isinstance(network, Mapping)]
    paths = [Path(file.path) for file in files if file is not None]
    contents = [_content(path, _stamp(path)) if path.is_file() else "" for path in paths]
    return {"weights": digest(contents)} if contents else {}


def config_weights(method: str, *configs: Mapping[str, Any]) -> dict[str, str]:
    """`weights_digest` of stages, from their configurations as `--config` of `contrastseg train` has them.

    Args:
        method: Its own settings may name a file, too.
        configs: One for each stage.
    """
    networks: list[Mapping[str, Any] | None] = []
    for config in configs:
        settings = {**methods.get(method).defaults, **config.get("settings", {})}
        parts = (
            config.get("training", {}),
            config.get("stage_training", {}),
            methods.get(method).own_training(settings),
        )
        networks += [part.get("network") for part in parts]
    return weights_digest(*networks)


def stage_config(config: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """The configuration of one stage of a trial, as `--config` of `contrastseg train` has it.

    Args:
        config: The trial's, as `--config` of `contrastseg tune` has it.
        stage: One of the method's stages.
    """
    return {**config, "stage_training": config.get("stages", {}).get(stage, {})}


def content_text(inputs: Mapping[str, str]) -> str:
    """The digests of a run's data, split, pool and weights in one text, which the plan writes and the run compares."""
    return " ".join(inputs[name] for name in ("data", "split", "pool", "weights") if name in inputs)


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
def _fold_digest(path: Path, stamp: tuple[int, int], fold: int, draw: int | None) -> str:
    split = _json(path, stamp)
    if fold >= len(split["folds"]):
        raise SplitError(
            f"fold {fold} does not exist",
            file=path,
            remedy=f"choose folds from 0 to {len(split['folds']) - 1} in the suite",
        )
    patients = split["folds"][fold]
    if draw is None:
        return digest(patients["test"])
    bare = [split["unlabelled"]] if split.get("unlabelled") else []
    return digest([patients["train"], patients["val"], split["orders"][str(fold)][str(draw)], *bare])
