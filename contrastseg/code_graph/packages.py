"""The sources of a package, all read at once: what one process says of its code is said of one state of it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple


class SourceFile(NamedTuple):
    """A module's file."""

    path: Path
    content: bytes


@dataclass(frozen=True)
class Package:
    """The Python files of a package, or of a module that lies in none.

    Attributes:
        modules: By dotted name, in the order of the files' names.
        digest: Of all files, by their place in the package: 64 hex digits.
    """

    modules: dict[str, SourceFile]
    digest: str


@cache
def package(name: str) -> Package:
    """The package of this name; one without modules where there is none, or no Python file.

    Args:
        name: Of a package that lies in no other.
    """
    modules: dict[str, SourceFile] = {}
    hashed = hashlib.sha256()
    for place in _places(name):
        here: dict[str, SourceFile] = {}
        for parts, path in sorted(_files(place)):
            with contextlib.suppress(FileNotFoundError):  # it was removed since it was listed
                file = SourceFile(path, path.read_bytes())
                hashed.update(f"{'/'.join(parts)} {len(file.content)}\n".encode() + file.content)
                dotted = ".".join((name, *parts[:-1], *([] if parts[-1] == "__init__" else parts[-1:])))
                if dotted not in here or parts[-1] != "__init__":  # of a module and a package, the module
                    here[dotted] = file
        modules = {**modules, **{dotted: file for dotted, file in here.items() if dotted not in modules}}
    return Package(modules, hashed.hexdigest())


def _places(name: str) -> list[Path]:
    """The folders of a package, or the file of a module."""
    if name == "__main__":  # a script's own data set
        file = getattr(sys.modules[name], "__file__", None)
        return [] if file is None else [Path(file)]
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") else []


def _files(place: Path) -> Iterator[tuple[tuple[str, ...], Path]]:
    """The Python files below a folder with the names that lead to them; a file alone is its package's `__init__`."""
    if place.is_file():
        yield ("__init__",), place
        return
    seen = set()
    for folder, folders, files in os.walk(place, followlinks=True):
        if (real := os.path.realpath(folder)) in seen:  # links in a circle
            folders.clear()
            continue
        seen.add(real)
        # What a dot is in the name of cannot be imported.
        folders[:] = [name for name in folders if "." not in name and name != "__pycache__"]
        inside = Path(folder).relative_to(place).parts
        for file in files:
            stem, dot, suffix = file.partition(".")
            if dot and suffix == "py":
                yield (*inside, stem), Path(folder, file)
