"""The classes that `score --classes` names: in words, or in a dataset.json of nnU-Net or of a prepared data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastseg.data.registry.nnunet_description import labels_by_value
from contrastseg.errors import ScoringError
from contrastseg.files import read_json
from contrastseg.labels import IGNORE


@dataclass(frozen=True)
class ClassNames:
    """Named classes.

    Attributes:
        names: Of the labels 0..K-1, background first.
        values: Whether class k is said to have the value k in the files; names in words do not say so.
        ignore: The references' value of voxels without truth; None where none is declared.
    """

    names: tuple[str, ...]
    values: bool = False
    ignore: int | None = None


def read_class_names(argument: str) -> ClassNames:
    """What the argument names.

    Args:
        argument: Names separated by commas, background first; or a JSON file: nnU-Net's dataset.json of either version,
            whose `ignore` label is declared, or that of a prepared data set, whose references have 255 for it.

    Raises:
        ScoringError: There is no class beside the background, a name is empty or there twice, or the file names none.
        DataError: nnU-Net's labels are regions, or not numbered as it asks for.
        FileError: The file is missing or no JSON.
    """
    if argument.lower().endswith(".json"):
        return _of_file(Path(argument))
    return ClassNames(_checked([name.strip() for name in argument.split(",")], None))


def _of_file(path: Path) -> ClassNames:
    value: Any = read_json(path)
    described: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    if "labels" in described:
        names = labels_by_value(described["labels"], path)
        ignore = next((number for number, name in names.items() if name == "ignore"), None)
        kept = [name for number, name in names.items() if number != ignore]
        return ClassNames(_checked(["background", *kept[1:]], path), True, ignore)
    classes: Any = described.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        keys = ", ".join(map(str, described)) or "no JSON object"
        raise ScoringError(
            f"the file names no classes: found {keys}; expected `labels` (nnU-Net) or `classes` (a prepared data set)",
            file=path,
            remedy='give such a dataset.json, or the names themselves: --classes "background,organ"',
        )
    return ClassNames(_checked(classes, path), True, IGNORE)


def _checked(names: list[str], path: Path | None) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1 and name})
    if len(names) < 2 or "" in names or twice:
        reason = f"named twice: {', '.join(twice)}" if twice else "a class without a name"
        reason = "no class beside the background" if len(names) < 2 else reason
        raise ScoringError(
            f"{reason}, in {', '.join(map(repr, names))}",
            file=path,
            remedy='name every label once, the background first: --classes "background,organ"',
        )
    return tuple(names)
