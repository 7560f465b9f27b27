"""Everything there is to say about a folder of data before anybody trains on it: all faults, and what is odd.

A fault keeps the data from being prepared. A dataset warning does not: it is what a careful colleague would mention.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from contrastseg.data.faults import Faults
from contrastseg.data.files.formats import is_turned
from contrastseg.data.inspect import dataset_warnings, unread
from contrastseg.data.inspect.dataset_warnings import CaseFacts, DatasetWarning
from contrastseg.data.prepare.checks import has_foreground, label_values, native_faults, no_foreground
from contrastseg.data.prepare.extremes import require_contrast, unusable_voxels
from contrastseg.data.prepare.mask_survey import decide_masks
from contrastseg.data.prepare.recipe import check as check_rule
from contrastseg.data.prepare.recipe import resolve, wrap_case_errors
from contrastseg.data.readers.specs import DatasetSpec, NativeCase, RawCase
from contrastseg.data.registry import nnunet, registry
from contrastseg.data.settings import PreparationSettings
from contrastseg.errors import DataError

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class DatasetCheck:
    """What was found in a folder.

    Attributes:
        dataset: The data set its layout was read as.
        folder: The folder.
        cases: How many cases could be read.
        patients: How many patients these show.
        unlabelled: How many of the cases have no label.
        faults: What keeps it from being prepared, each with case, file, reason and remedy as far as they are known.
        warnings: What is no fault but worth knowing.
    """

    dataset: str
    folder: Path
    cases: int
    patients: int
    faults: tuple[DataError, ...]
    warnings: tuple[DatasetWarning, ...]
    unlabelled: int = 0

    def to_json(self) -> dict[str, Any]:
        """The same as JSON-able values."""
        faults = [
            {
                "case": fault.case,
                "file": None if fault.file is None else str(fault.file),
                "reason": fault.reason,
                "remedy": fault.remedy,
            }
            for fault in self.faults
        ]
        warnings = [dataclasses.asdict(item) for item in self.warnings]
        counts = {"cases": self.cases, "patients": self.patients, "unlabelled": self.unlabelled}
        return {
            "dataset": self.dataset,
            "folder": str(self.folder),
            **counts,
            "faults": faults,
            "observations": warnings,
        }


def dataset_of(folder: Path) -> str:
    """The data set whose layout a folder is expected to have: by its name, else nnU-Net's layout.

    Raises:
        DataError: Neither says anything.
    """
    for name in registry.names():
        if folder.resolve().name in registry.get(name).folder_names:
            return name
    if (folder / nnunet.DESCRIPTION).is_file() or (folder / "imagesTr").is_dir():
        return nnunet.NAME
    raise DataError(
        "neither a data set's folder by its name nor nnU-Net's layout (dataset.json, imagesTr, labelsTr)",
        file=folder,
        remedy="name the data set with --dataset",
    )


def check_dataset(
    folder: str | Path,
    dataset: str | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    preparation: Mapping[str, Any] | None = None,
) -> DatasetCheck:
    """Discover and load every case of a folder; nothing is written.

    Args:
        folder: The folder with the published files, or in nnU-Net's layout.
        dataset: Whose layout it has; found by the folder where it is None.
        options: Options of the data set.
        progress: Called with (cases done, cases in all), as in `prepare_dataset`.
        preparation: What a suite says of it, over the data set's own rule: an image may fit one rule and not another.

    Raises:
        DataError: There is no such folder or data set, its layout is unknown, or `preparation` is no rule.
    """
    raw = Path(folder)
    if not raw.is_dir():
        known = f"; {raw} is a data set's name, and this wants its folder" if str(raw) in registry.names() else ""
        raise DataError(f"folder not found{known}", file=raw, remedy="name the folder that holds the data set")
    name = registry.check(dataset) if dataset is not None else dataset_of(raw)
    check_rule(preparation)
    faults, facts, warnings = Faults(), [], []
    with faults.collect():
        given = {"path": str(raw), **(options or {})} if name == nnunet.NAME else options
        spec = registry.get(name, given)
        parsed, rule = spec.parse_options(given), resolve(spec, preparation)
        cases: list[RawCase] = []
        with faults.collect():
            cases = spec.discover(raw, parsed, faults)
        before = len(faults.found)
        cases, coding = decide_masks(spec, cases, parsed, faults, progress=progress)
        decided = coding is not None and len(faults.found) == before
        for done, case in enumerate(cases, start=1):
            with faults.collect():
                facts.append(_facts(spec, case, parsed, rule, faults))
            if progress is not None:
                progress(done, len(cases))
        labelled = [fact for fact in facts if fact.labels is not None]
        if labelled and not faults.found and not any(has_foreground(fact.labels or ()) for fact in labelled):
            faults.found.append(no_foreground(raw, len(labelled)))
        # What is said of the whole set would be wrong of the part that could be read.
        skipped = dataset_warnings.OF_ALL if faults.found else ()
        warnings = [DatasetWarning("masks", f"masks: {coding}")] if decided else []
        ruled = dataclasses.replace(spec, preparation=rule)
        warnings += [warning for warning in dataset_warnings.warnings_of(ruled, facts) if warning.kind not in skipped]
        warnings += unread.warnings_of(raw, cases, faults)
    return DatasetCheck(
        dataset=name,
        folder=raw,
        cases=len(facts),
        patients=len({fact.patient for fact in facts}),
        faults=tuple(sorted(faults.found, key=lambda fault: (fault.case or "", str(fault.file or "")))),
        warnings=tuple(warnings),
        unlabelled=sum(fact.labels is None for fact in facts),
    )


def _facts(spec: DatasetSpec, raw: RawCase, options: Any, rule: PreparationSettings, faults: Faults) -> CaseFacts:
    with wrap_case_errors(raw):
        native = spec.load(raw, options)
    faults.found.extend(native_faults(spec, raw, native))
    if unusable_voxels(native.image) is None:
        with faults.collect(), wrap_case_errors(raw):
            require_contrast(native.image, rule)
    return facts_of(raw, native)


def facts_of(raw: RawCase, native: NativeCase) -> CaseFacts:
    """What dataset warnings need to know of a case; its arrays need not be kept."""
    return CaseFacts(
        case=raw.case,
        patient=raw.patient,
        shape=native.image.shape[1:],
        spacing=native.spacing,
        affine=native.affine,
        ranges=tuple(_range(channel) for channel in native.image),
        image_hash=native.image_hash,
        labels=None if native.label is None else tuple(label_values(native.label)),
        notes=native.notes,
        turned=any(map(is_turned, raw.files)),
        header=native.header,
    )


def _range(channel: np.ndarray) -> tuple[float, float]:
    finite = np.isfinite(channel)
    values = channel if finite.all() else channel[finite]
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
