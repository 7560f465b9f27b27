"""Moving modules of a copy of the package, as somebody who tidies up does: files, imports and names at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def move(package: Path, files: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
    """Move files inside the package, and let every import and every name follow.

    Args:
        package: The package's folder.
        files: New places by old ones, relative to the package.
        names: New names by old ones, for functions and classes whose names are nothing else's.
    """
    modules = {}
    for old, new in files.items():
        (package / new).parent.mkdir(parents=True, exist_ok=True)
        (package / new).parent.joinpath("__init__.py").touch()
        (package / old).rename(package / new)
        modules[_dotted(package, old)] = _dotted(package, new)
    for path in package.rglob("*.py"):
        path.write_text(_followed(path.read_text(encoding="utf-8"), modules, names or {}), encoding="utf-8")


def _dotted(package: Path, file: str) -> str:
    return ".".join((package.name, *Path(file).with_suffix("").parts)).removesuffix(".__init__")


def _followed(text: str, modules: Mapping[str, str], names: Mapping[str, str]) -> str:
    for old, new in modules.items():
        (place, last), (there, now) = old.rsplit(".", 1), new.rsplit(".", 1)
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
        for line in re.findall(rf"^ *from {re.escape(place)} import (?:[^()\n]*|\([^)]*\))$", text, re.MULTILINE):
            indent, bound = line[: line.index("from")], re.findall(r"\w+(?: as \w+)?", line.partition(" import ")[2])
            if last in bound:
                kept = "".join(f"{indent}from {place} import {name}\n" for name in bound if name != last)
                text = text.replace(line, f"{kept}{indent}from {there} import {now} as {last}")
    for old, new in names.items():
        text = re.sub(rf"\b{old}\b", new, text)
    return text
