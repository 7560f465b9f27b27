"""Paths of prepared data and splits. Their names end in a digest of the settings that they are made with."""

from __future__ import annotations

from pathlib import Path

from contrastseg.data.prepare.stores import prepared_name, split_name
from contrastseg.data.settings import SplitSettings
from contrastseg.paths import RESOURCES, prepared_folder, split_file
from contrastseg.suite import DatasetEntry, Suite


def prepared_of(entry: DatasetEntry, resources: Path = RESOURCES) -> Path:
    """The prepared folder of an entry."""
    name = prepared_name(entry.name, entry.spec, entry.options, entry.preparation, resources)
    return prepared_folder(name, resources)


def split_of(suite: Suite, entry: DatasetEntry, resources: Path = RESOURCES) -> Path:
    """The split file of an entry."""
    prepared = prepared_of(entry, resources).name
    return split_file(split_name(entry.name, prepared, split_settings(suite, entry), bool(entry.subset)), resources)


def split_settings(suite: Suite, entry: DatasetEntry) -> SplitSettings:
    """The split of an entry, with at least as many draws as the suite and its methods run."""
    draws = max(entry.split.draws, max(suite.all_draws) + 1)
    return entry.split.model_copy(update={"draws": draws})
