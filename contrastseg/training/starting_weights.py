"""A file of weights that networks start from, and what the run's record says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from contrastseg.files import sha256
from contrastseg.networks.features import FeatureNetwork
from contrastseg.networks.weight_files import load_weights, read_weights
from contrastseg.networks.weight_settings import weight_file

CARD = "contrastseg"
"""Name of our card in the metadata of a file."""


def starting_weights(
    settings: Mapping[str, Any], on_loaded: Callable[[dict[str, Any]], None]
) -> Callable[[FeatureNetwork], None] | None:
    """Read the file that a network's settings name.

    Args:
        settings: Of the network.
        on_loaded: Called with the record of every network that the file goes into: file, hash, what is stated of its
            source, its data and test cases, the split and fold of a file of ours, and which tensors were loaded.

    Returns:
        What loads it into a network; None where there is no file.

    Raises:
        CheckpointError: It cannot be read.
    """
    _, file = weight_file(settings)
    if file is None:
        return None
    state, described = read_weights(file.path)
    card = json.loads(described.get(CARD, "{}"))
    record = {
        "file": file.path,
        "sha256": sha256(file.path),
        "source": file.source or str(card.get("source", "")),
        "data": file.data or str(card.get("data", "")),
        "test_cases": file.test_cases,
        "split": card.get("split"),
    }

    def load(network: FeatureNetwork) -> None:
        loaded = load_weights(network, state, file.path, file.prefix)
        on_loaded(
            {
                **record,
                "encoder_share": loaded.encoder_share,
                "matched": len(loaded.matched),
                "missing": list(loaded.missing),
                "skipped": list(loaded.skipped),
            }
        )

    return load
