"""Makes pre-training pools: the cases of several data sets, without any that is tested on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contrastseg.data.prepare.cases import PreparedDataset
from contrastseg.data.splits.pool_files import PoolCase, Tested, pool_cases, pool_hash
from contrastseg.data.splits.split_files import Split
from contrastseg.errors import PoolError
from contrastseg.files import write_if_changed


class PoolSettings(BaseModel):
    """Which pool to make.

    Attributes:
        entry: The entry whose stages without labels draw from it.
        fold: Of its split.
        sources: Entries to draw from; the entry itself stands for its training patients, others for all their cases.
        patients: The entry's own training patients to draw from; all of them if unset.
        tests: Entries whose test patients must stay out, with the folds of their splits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    entry: str
    fold: int = Field(0, ge=0)
    sources: tuple[str, ...] = Field(min_length=1)
    patients: tuple[str, ...] | None = None
    tests: Mapping[str, tuple[int, ...]]


def write_pool(
    settings: PoolSettings, prepared: Mapping[str, Path], splits: Mapping[str, Path], output_file: str | Path
) -> Path:
    """Write a pool; an unchanged one keeps its file.

    Args:
        settings: Which pool.
        prepared: Prepared folders of the sources and of the entries tested on.
        splits: Split files of the entry and of the entries tested on.
        output_file: The pool's file.

    Returns:
        `output_file`.

    Raises:
        PoolError: No case is left.
    """
    datasets = {entry: PreparedDataset(folder) for entry, folder in prepared.items()}
    value = make_pool(settings, datasets, {entry: Split.from_file(file) for entry, file in splits.items()})
    write_if_changed(output_file, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    return Path(output_file)


def make_pool(
    settings: PoolSettings, datasets: Mapping[str, PreparedDataset], splits: Mapping[str, Split]
) -> dict[str, Any]:
    """The contents of a pool's file; see `write_pool`."""
    tests = [
        test
        for entry, folds in settings.tests.items()
        for fold in folds
        for test in pool_cases(entry, datasets[entry], datasets[entry].cases_of(splits[entry].test(fold)))
    ]
    tests = list(dict.fromkeys(tests))
    own = splits[settings.entry]
    training = {*own.train(settings.fold), *own.unlabelled}
    listed = training if settings.patients is None else set(settings.patients)
    tested, seen = Tested(tests), dict[str, PoolCase]()
    used: list[PoolCase] = []
    left_out: list[dict[str, str]] = []
    for case in _candidates(settings, datasets):
        reason = tested.why_not(case)
        if reason is None and case.entry == settings.entry and case.patient not in training:
            reason = f"no training patient of {settings.entry}, fold {settings.fold}"
        if reason is None and case.entry == settings.entry and case.patient not in listed:
            reason = "not in the list of patients to pre-train on"
        if reason is None and (first := seen.get(case.image)):
            reason = f"the same image as {first.entry}/{first.case}, which is used"
        if reason is None:
            used.append(seen.setdefault(case.image, case))
        else:
            left_out.append({"entry": case.entry, "case": case.case, "image": case.image, "reason": reason})
    if not used:
        raise PoolError(
            f"no case of {', '.join(settings.sources)} is left to pre-train on",
            case=settings.entry,
            remedy="draw from other entries, or test on fewer",
        )
    return {
        "entry": settings.entry,
        "fold": settings.fold,
        "sources": list(settings.sources),
        "hash": pool_hash(used),
        "used": [dataclasses.asdict(case) for case in used],
        "left_out": left_out,
        "tests": [dataclasses.asdict(case) for case in tests],
    }


def _candidates(settings: PoolSettings, datasets: Mapping[str, PreparedDataset]) -> Sequence[PoolCase]:
    return [case for entry in settings.sources for case in pool_cases(entry, datasets[entry], datasets[entry].cases)]
