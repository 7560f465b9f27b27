"""Small made-up copies of every data set's published layout: right names, formats and odd values, random content.

One module per data set, each with `MINIATURE`; a data set without one fails the contract tests. A module also serves as
the description of a layout that a test can run.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Miniature:
    """A published layout in small.

    Attributes:
        make: Writes it below the folder it is given, which it creates: the same bytes at every call.
        cases: The cases it holds, by name.
        victim: The case whose files the tests of bad input spoil.
        image: The file of the victim's image, relative to the folder; of one channel where each has its own.
        mask: The file of its mask; None where masks are not files (or are the image's own file, as in h5).
        duplicate: Where a second file of the victim's image would lie; None where the layout leaves no place for one.
        options: Options of the data set this layout is read with.
        preparation: Settings that prepare it in a moment.
        split: A split that the miniature's patients can fill.
        bound_by_affine: Whether the mask's affine must be the image's.
    """

    make: Callable[[Path], None]
    cases: tuple[str, ...]
    victim: str
    image: str
    mask: str | None = None
    duplicate: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    preparation: Mapping[str, Any] = dataclasses.field(default_factory=lambda: {"size": [24, 24]})
    split: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    bound_by_affine: bool = True


def names() -> list[str]:
    """Data sets with a miniature."""
    found = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return [name for name in found if not name.startswith("_")]


def get(name: str) -> Miniature:
    """The miniature of a data set."""
    return importlib.import_module(f"{__name__}.{name}").MINIATURE
