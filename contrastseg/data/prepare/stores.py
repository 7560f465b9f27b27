"""Under which names prepared data and splits lie: the entry's, with a short digest of what makes them.

Suites in one folder share what is made in the same way, and never what is made in another. A default that is spelled
out makes no difference. Nor does the content of the published files: data that was edited is prepared again in place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contrastseg.data.prepare import recipe
from contrastseg.data.readers.specs import DatasetOptions, DatasetSpec
from contrastseg.data.registry.described import path_below, portable_path
from contrastseg.data.settings import PreparationSettings, SplitSettings
from contrastseg.errors import SuiteError
from contrastseg.files import digest
from contrastseg.paths import MANIFEST, RESOURCES, prepared_folder, split_file

_DIGITS = 8
_KEYED = re.compile(rf"(?P<entry>.+)-[0-9a-f]{{{_DIGITS}}}")


def prepared_name(
    entry: str,
    spec: DatasetSpec,
    options: Mapping[str, Any] | DatasetOptions | None,
    preparation: PreparationSettings | Mapping[str, Any] | None,
    resources: Path = RESOURCES,
) -> str:
    """The name of an entry's prepared folder.

    Args:
        entry: The suite's name for the data set.
        spec: The data set. Two folders of one's own are two data sets, even under one name.
        options: Options of the data set.
        preparation: The rule, over the data set's own.
        resources: The project's resources folder.
    """
    own, rule = spec.preparation.model_dump(mode="json"), recipe.resolve(spec, preparation).model_dump(mode="json")
    made_by = {
        "dataset": spec.name,
        "folder": None if spec.folder is None else portable_path(spec.folder, resources),
        "options": _said(spec, options),
        "preparation": {name: value for name, value in rule.items() if value != own.get(name)},
    }
    return f"{entry}-{digest(made_by)[:_DIGITS]}"


def split_name(entry: str, prepared: str, settings: SplitSettings, subset: bool = False) -> str:
    """The name of an entry's split.

    Args:
        entry: The suite's name for the data set.
        prepared: The name of the prepared folder whose patients are split.
        settings: The split.
        subset: Whether a published split may be restricted to the patients present.
    """
    made_by = [prepared, settings.model_dump(mode="json", exclude_defaults=True), subset]
    return f"{entry}-{digest(made_by)[:_DIGITS]}"


def spelled(spec: DatasetSpec, options: Mapping[str, Any] | DatasetOptions | None) -> dict[str, Any]:
    """The options of a data set in one spelling, however they were written: without defaults, a folder from here."""
    said = _said(spec, options)
    return said if spec.folder is None else {**said, "path": path_below(spec.folder, os.getcwd())}


def _said(spec: DatasetSpec, options: Mapping[str, Any] | DatasetOptions | None) -> dict[str, Any]:
    """Options other than the defaults, also those that are no part of the rule of preparation; not the folder."""
    parsed = spec.parse_options(options)
    beside = {name: field.default for name, field in type(parsed).model_fields.items() if field.exclude}
    settings = {name: value for name, default in beside.items() if (value := getattr(parsed, name)) != default}
    settings.pop("path", None)
    return {**parsed.model_dump(mode="json", exclude_defaults=True), **settings}


def find_prepared(entry: str, resources: Path = RESOURCES) -> Path:
    """The one prepared folder of an entry, for commands that are called by hand; where it would lie, if there is none.

    Raises:
        SuiteError: There are several.
    """
    folder = prepared_folder("", resources)
    folders = [path for path in _of(entry, folder, "") if (path / MANIFEST).is_file()]
    return _only(folders, f"prepared data of {entry!r}", "--prepared") or prepared_folder(entry, resources)


def find_split(entry: str, resources: Path = RESOURCES) -> Path:
    """The one split of an entry, likewise.

    Raises:
        SuiteError: There are several.
    """
    files = _of(entry, split_file("", resources).parent, ".json")
    return _only(files, f"splits of {entry!r}", "--split") or split_file(entry, resources)


def _of(entry: str, folder: Path, suffix: str) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    names = {path: path.name.removesuffix(suffix) for path in paths if path.name.endswith(suffix)}
    keyed = {path: _KEYED.fullmatch(name) for path, name in names.items()}
    return [path for path, name in names.items() if name == entry or ((key := keyed[path]) and key["entry"] == entry)]


def _only(stores: list[Path], what: str, option: str) -> Path | None:
    if len(stores) > 1:
        raise SuiteError(
            f"there are several {what}: {', '.join(map(str, stores))}",
            remedy=f"choose one with {option}, or delete the unused ones",
        )
    return stores[0] if stores else None
