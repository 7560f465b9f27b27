"""Small prepared data sets for tests of pre-training pools: the same images under several names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from contrastseg.data.faults import Faults
from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.prepare.preparation import prepare_dataset
from contrastseg.data.readers.specs import DatasetSpec, RawCase
from contrastseg.data.registry import registry

SIZE = [32, 40]


def renamed(prefix: str) -> DatasetSpec:
    """The generated lesions as another data set, with other case names, all in the publisher's test part."""
    lesions = registry.get("phantom_lesions")

    def discover(raw: Path | None, options: Any, faults: Faults) -> list[RawCase]:
        return [
            dataclasses.replace(case, case=name, patient=name, part="test")
            for case in lesions.discover(raw, options, faults)
            for name in [case.case.replace("lesion", prefix)]
        ]

    return dataclasses.replace(lesions, name=prefix, discover=discover)


def prepared(folder: Path, entry: str, dataset: str | DatasetSpec, rule: Any = None, **options: Any) -> PreparedDataset:
    """A data set prepared under the name of an entry."""
    prepare_dataset(entry, dataset, {"size": SIZE, **options}, rule, None, folder / "prepared" / entry)
    return PreparedDataset(folder / "prepared" / entry)
