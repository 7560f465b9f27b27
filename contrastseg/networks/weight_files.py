"""Weights of elsewhere into a network, and a network's encoder into a file that others can read."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contrastseg.errors import CheckpointError
from contrastseg.files import atomic_path
from contrastseg.networks.features import FeatureNetwork

LEAST_SHARE = 0.8
"""Of the encoder's tensors that a file must have; fewer are a file of another network."""
_NESTED = ("state_dict", "model_state_dict", "modules", "model", "net", "network", "encoder")
_REMEDY = "give the state dict of a network with the same settings, as safetensors or as torch.save writes it"
_FEW = 20


@dataclass(frozen=True)
class LoadedWeights:
    """How a file's tensors went into a network. Names of the network are those of its own package.

    Attributes:
        matched: Tensors of the network that were loaded.
        missing: Tensors of the encoder that the file does not have, or has in another shape.
        skipped: Tensors of the file that went nowhere.
        encoder_share: Share of the encoder's tensors that were loaded.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    skipped: tuple[str, ...]
    encoder_share: float


def read_weights(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the tensors of a file. Nothing in it is executed.

    Args:
        path: Safetensors, or a file of torch with a state dict, alone or under a usual name such as `state_dict`.

    Returns:
        Tensors by name, and what the file says of itself (safetensors alone).

    Raises:
        CheckpointError: It is missing, damaged, holds code, or no tensors by name.

    Example:
        >>> import tempfile
        >>> from contrastseg.networks.unet import build
        >>> network = build(spatial_dims=2, in_channels=1, num_classes=3, channels=(4, 8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     names = write_encoder(network, f"{folder}/encoder.safetensors", {"source": "an example"})
        ...     tensors, card = read_weights(f"{folder}/encoder.safetensors")
        >>> sorted(names) == sorted(tensors), card
        (True, {'source': 'an example'})
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("the file of weights is missing", file=path, remedy="correct `weights` of the network")
    described: dict[str, str] = {}
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                described = dict(file.metadata() or {})
                return {name: file.get_tensor(name) for name in file.keys()}, described  # noqa: SIM118
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if damaged := archive.testzip():  # torch does not compare the checksums it writes
                    raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "the file holds Python objects beside tensors, or is damaged; reading it could run their code",
            file=path,
            remedy="save the state dict alone (torch.save(model.state_dict(), FILE) or safetensors) where you trust it",
        ) from error
    except Exception as error:  # what is damaged raises errors of every kind
        said = (str(error).splitlines() or ["empty file"])[0]
        raise CheckpointError(
            f"the file of weights cannot be read ({type(error).__name__}: {said[:200]})",
            file=path,
            remedy="get the file again: it is incomplete, damaged or of another format",
        ) from error
    return _tensors(content, path), described


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in what a file of torch holds."""
    if isinstance(content, Mapping):
        for name in _NESTED:
            if isinstance(inner := content.get(name), Mapping) and any(map(torch.is_tensor, inner.values())):
                content = inner
                break
        tensors = {str(name): value for name, value in content.items() if torch.is_tensor(value)}
        if tensors:
            return tensors
    raise CheckpointError("the file holds no tensors by name", file=path, remedy=_REMEDY)


def load_weights(
    network: FeatureNetwork, state: Mapping[str, Tensor], path: str | Path, prefix: str | None = None
) -> LoadedWeights:
    """Load a file's tensors into a network, as far as names and shapes are the same.

    Args:
        network: Changed in place.
        state: Tensors by name.
        path: Of the file, for messages.
        prefix: What names in the file begin with; None: found, with the part of the network that the file is of.

    Returns:
        What went where.

    Raises:
        CheckpointError: A tensor is not finite, or fewer than `LEAST_SHARE` of the encoder's tensors are there; the
            message lists the missing ones. The network is as it was.

    Example:
        >>> from contrastseg.networks.unet import build
        >>> sizes = {"spatial_dims": 2, "in_channels": 1, "num_classes": 3, "channels": (4, 8)}
        >>> state = {f"module.{name}": value for name, value in build(**sizes).state_dict().items()}
        >>> load_weights(build(**sizes), state, "weights.pt").encoder_share
        1.0
    """
    network.require_maps()
    own = network.state_dict()
    names = {network.foreign_name(key): key for key in own}
    encoder = [name for name, key in names.items() if key.startswith("encoder.") and torch.is_floating_point(own[key])]

    def found(name: str, theirs: str, ours: str) -> Tensor | None:
        tensor = state.get(theirs + name.removeprefix(ours)) if name.startswith(ours) else None
        return tensor if tensor is not None and tensor.shape == own[names[name]].shape else None

    theirs, ours = max(
        ((a, b) for a in (_prefixes(state) if prefix is None else [prefix]) for b in _prefixes(encoder)),
        key=lambda pair: (sum(found(name, *pair) is not None for name in encoder), -len(pair[0]) - len(pair[1])),
    )
    loaded = {name: tensor for name in names if (tensor := found(name, theirs, ours)) is not None}
    missing = [name for name in encoder if name not in loaded]
    share = 1 - len(missing) / len(encoder)
    if share < LEAST_SHARE:
        raise CheckpointError(
            f"the file has {len(encoder) - len(missing)} of the encoder's {len(encoder)} tensors, under"
            f" {LEAST_SHARE:.0%}; missing or of another shape: {', '.join(missing[:_FEW])}"
            + (f" and {len(missing) - _FEW} more" if len(missing) > _FEW else "")
            + f"; the file has {', '.join(list(state)[:3])} …",
            file=path,
            remedy=_REMEDY + "; `weights_map: {prefix: …}` says what its names begin with",
        )
    for name, tensor in loaded.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{name} is not finite", file=path, remedy="get the file again, or another one")
    network.load_state_dict({names[name]: tensor for name, tensor in loaded.items()}, strict=False)
    used = {theirs + name.removeprefix(ours) for name in loaded}
    return LoadedWeights(tuple(loaded), tuple(missing), tuple(name for name in state if name not in used), share)


def _prefixes(names: Iterable[str], depth: int = 4) -> list[str]:
    """What a tenth of the names or more begin with, up to a dot; nothing among it."""
    counts: dict[str, int] = {}
    total = 0
    for name in names:
        total += 1
        parts = name.split(".")
        for length in range(min(depth, len(parts))):
            prefix = "".join(f"{part}." for part in parts[:length])
            counts[prefix] = counts.get(prefix, 0) + 1
    return [prefix for prefix, count in counts.items() if count * 10 >= total]


def write_encoder(network: FeatureNetwork, path: str | Path, card: Mapping[str, str]) -> list[str]:
    """Write a network's encoder as safetensors, under the names that its package gives the tensors.

    Args:
        network: Whose encoder is written; blocks attached to it are not.
        path: The file.
        card: What the file says of itself.

    Returns:
        The names of the tensors.

    Raises:
        SuiteError: The network has no encoder.
        FileError: The disk is full or cannot be written to.

    Example:
        >>> import tempfile
        >>> from contrastseg.networks.unet import build
        >>> network = build(spatial_dims=2, in_channels=1, num_classes=3, channels=(4, 8))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     names = write_encoder(network, f"{folder}/encoder.safetensors", {"source": "an example"})
        ...     tensors, card = read_weights(f"{folder}/encoder.safetensors")
        >>> sorted(names) == sorted(tensors), card
        (True, {'source': 'an example'})
    """
    from safetensors.torch import save

    network.require_maps()
    state = {
        network.foreign_name(key): value.detach().cpu().contiguous()
        for key, value in network.state_dict().items()
        if key.startswith("encoder.")
    }
    with atomic_path(path) as temporary:
        Path(temporary).write_bytes(save(state, metadata=dict(card)))
    return list(state)
