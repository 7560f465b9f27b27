"""The configuration of a run, and settings as an argument of a command."""

from __future__ import annotations

import json
from typing import Any

from contrastseg.planning.runs import spatial_dims
from contrastseg.suite import Suite


def run_config(suite: Suite, entry_name: str, method: str, variant: str) -> dict[str, Any]:
    """The resolved configuration of a run: suite, dimensions, settings of the method and of training."""
    entry, item = suite.entry(entry_name), suite.method(method)
    return {
        "suite": suite.name,
        "spatial_dims": spatial_dims(entry),
        "settings": item.resolve(variant),
        "training": suite.training_of(entry, item, variant).model_dump(mode="json"),
    }


def to_argument(value: Any) -> str:
    """A value as one command line argument."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
