"""Names of runs: the axes in a run's path, without the suite."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

AXES = ("dataset", "method", "variant", "labels", "draw", "fold", "seed")
_LAST = re.compile(r"draw(\d+)-fold(\d+)-seed(\d+)")


def run_key(axes: Mapping[str, Any]) -> str:
    """Such as `acdc/pdcr/rf/r0.1/draw0-fold0-seed1`, from a `run.json` or any mapping with the axes."""
    path = "/".join(str(axes[name]) for name in AXES[:4])
    return f"{path}/draw{axes['draw']}-fold{axes['fold']}-seed{axes['seed']}"


def parse_run_key(key: str) -> dict[str, Any]:
    """The axes of a key; draw, fold and seed as integers.

    Raises:
        ValueError: `run_key` did not make it.
    """
    *names, last = key.split("/")
    match = _LAST.fullmatch(last)
    if match is None or len(names) != 4:
        raise ValueError(
            f"{key!r} is not the key of a run; expected dataset/method/variant/labels/draw<d>-fold<f>-seed<k>"
        )
    numbers = (int(digits) for digits in match.groups())
    return dict(zip(AXES, (*names, *numbers), strict=True))
