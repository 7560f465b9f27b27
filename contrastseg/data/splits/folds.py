"""Who trains, validates and tests: at random, as the publisher or a published list says, or as nnU-Net draws it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from contrastseg.data.settings import NNUNET_FOLDS, SplitSettings
from contrastseg.data.splits.split_files import PARTS, check_folds
from contrastseg.errors import SplitError, unknown_name
from contrastseg.files import read_json, wrap_parse_errors
from contrastseg.paths import SHIPPED

SPLITS_FOLDER = SHIPPED / "benchmarks" / "splits"
BUILT_IN = ("random", "official", "nnunet")
_NNUNET_SEED = 12345


class _Published(BaseModel):
    """What a published split's file holds."""

    model_config = ConfigDict(extra="forbid")

    name: str
    dataset: str = ""
    unit: str = "patient"
    source: str
    folds: list[dict[Literal["train", "val", "test"], list[str]]] = Field(min_length=1)
    orders: dict[str, dict[str, list[str]]] = Field(default_factory=dict)
    pools: dict[str, list[str]] = Field(default_factory=dict)


def shuffled(patients: Iterable[str], *key: int | str) -> list[str]:
    """The patients in an order that depends on them and the key alone, not on platform, library or their order.

    Sorting by hashes rather than drawing a permutation also leaves the others' order as it is when a patient joins.
    """
    prefix = "/".join(map(str, key))
    return sorted(set(patients), key=lambda patient: hashlib.sha256(f"{prefix}/{patient}".encode()).hexdigest())


def apportion(sizes: Sequence[int], totals: Sequence[int]) -> list[list[int]]:
    """Divides groups over parts in proportion, in whole numbers.

    Args:
        sizes: Members of each group.
        totals: Members each part gets; they add up to as many as the sizes do.

    Returns:
        A row per group, a column per part: rows add up to `sizes`, columns to `totals`, and every number is within one
        of size x total / everybody. What rounding down leaves goes to the parts that lack most, then to the largest
        remainder.
    """
    everybody = max(1, sum(sizes))
    table = [[size * total // everybody for total in totals] for size in sizes]
    lacking = [total - sum(row[part] for row in table) for part, total in enumerate(totals)]
    for size, row in zip(sizes, table, strict=True):
        remainders = [size * total % everybody for total in totals]
        ranked = sorted(range(len(totals)), key=lambda part: (-lacking[part], -remainders[part], part))
        for part in ranked[: size - sum(row)]:
            row[part] += 1
            lacking[part] -= 1
    return table


def divide(order: Sequence[str], strata: Mapping[str, str], totals: Sequence[int]) -> list[list[str]]:
    """Gives each part so many patients, the first of the order first, and every stratum in proportion."""
    names = sorted({strata[patient] for patient in order})
    groups = [[patient for patient in order if strata[patient] == name] for name in names]
    part_of: dict[str, int] = {}
    for group, counts in zip(groups, apportion([len(group) for group in groups], totals), strict=True):
        parts = [part for part, count in enumerate(counts) for _ in range(count)]
        part_of.update(zip(group, parts, strict=True))
    return [[patient for patient in order if part_of[patient] == part] for part in range(len(totals))]


def random_folds(strata: Mapping[str, str], settings: SplitSettings) -> list[dict[str, list[str]]]:
    """Random folds by patient: one by the fractions, or k with disjoint tests that cover everybody.

    Every part of a single fold, and every fold's test, holds of each stratum within one of its share of all patients;
    validation and training of k folds within one of its share of those that the test leaves.

    Args:
        strata: The stratum of every patient.
        settings: Fractions, folds and seed.

    Raises:
        SplitError: Too few patients for a part that was asked for.
    """
    order = shuffled(strata, "split", settings.seed)
    total, shares = len(order), settings.fractions
    n_val = _count(shares.val, total)
    folds = []
    if settings.folds == 1:
        n_test = _count(shares.test, total)
        n_val = min(n_val, total - n_test)
        test, val, train = divide(order, strata, [n_test, n_val, total - n_test - n_val])
        folds.append({"train": train, "val": val, "test": test})
    else:
        by_stratum = sorted(order, key=lambda patient: strata[patient])
        for number in range(settings.folds):
            test = by_stratum[number :: settings.folds]
            rest = [patient for patient in order if patient not in test]
            n_here = min(n_val, len(rest))
            val, train = divide(rest, strata, [n_here, len(rest) - n_here])
            folds.append({"train": train, "val": val, "test": test})
    for fold in folds:
        if empty := [part for part in PARTS if getattr(shares, part) > 0 and not fold[part]]:
            raise SplitError(f"{total} patients leave no one for {' and '.join(empty)}", remedy="give more patients")
    return folds


def nnunet_folds(patients: Iterable[str]) -> list[dict[str, list[str]]]:
    """The five folds that nnU-Net draws (v1 and v2): of the sorted names, shuffled by NumPy's generator from 12345.

    A fold's held-out fifth, which nnU-Net prints as its cross-validation, is the test part; nobody validates.

    Raises:
        SplitError: There are fewer than five patients.
    """
    import numpy as np

    names = sorted(set(patients))
    if len(names) < NNUNET_FOLDS:
        raise SplitError(
            f"{len(names)} patients do not make nnU-Net's {NNUNET_FOLDS} folds",
            remedy="choose the split `random` with fewer folds, or give more patients",
        )
    order = np.arange(len(names))
    np.random.RandomState(_NNUNET_SEED).shuffle(order)  # what scikit-learn's KFold does
    folds = []
    for held_out in np.array_split(order, NNUNET_FOLDS):
        test = {names[index] for index in held_out}
        folds.append(
            {"train": [name for name in names if name not in test], "val": [], "test": sorted(test)},
        )
    return folds


def official_fold(parts: Mapping[str, str], strata: Mapping[str, str], settings: SplitSettings) -> dict[str, list[str]]:
    """The publisher's parts; validation patients are taken out of the training part where the settings ask for them.

    Args:
        parts: The part of every patient.
        strata: The stratum of every patient; the validation patients taken out keep them in proportion.
        settings: Share of the training patients to take, and seed.

    Raises:
        SplitError: Validation is to be taken out of a data set that comes with it, or of one without enough patients.
    """
    fold = {part: sorted(patient for patient, of in parts.items() if of == part) for part in PARTS}
    if settings.val > 0:
        if fold["val"]:
            raise SplitError(
                f"the publisher names {len(fold['val'])} validation patients; no others are taken",
                remedy="leave split.val out",
            )
        order = shuffled(fold["train"], "split", settings.seed)
        n_val = _count(settings.val, len(order))
        if n_val >= len(order):
            raise SplitError(
                f"{len(order)} training patients leave no one for validation", remedy="leave split.val out"
            )
        fold["val"], fold["train"] = divide(order, strata, [n_val, len(order) - n_val])
    return fold


def _count(fraction: float, total: int) -> int:
    return max(1, round(fraction * total)) if fraction > 0 else 0


def read_published(name: str, splits_folder: Path = SPLITS_FOLDER) -> dict[str, Any]:
    """A published split: {name, dataset, source, folds, orders (per fold and draw), pools (lists of patients)}.

    Raises:
        SplitError: There is no such file, it is no split, or a patient is in two parts of it.
    """
    path = splits_folder / f"{name}.json"
    if not path.is_file():
        known = [file.stem for file in splits_folder.glob("*.json")]
        raise SplitError(unknown_name("split", name, [*BUILT_IN, *known]), file=path)
    with wrap_parse_errors(path, SplitError, "restore the file"):
        value = _Published.model_validate(read_json(path)).model_dump()
        check_folds(value["folds"], path)
    return value


def pool_patients(split: str, name: str, splits_folder: Path = SPLITS_FOLDER) -> list[str]:
    """The patients of a published split that its source pre-trains on without labels.

    Args:
        split: Name of the split.
        name: Of the list.
        splits_folder: Where the published splits lie.

    Raises:
        SplitError: There is no such split or list.
    """
    pools: dict[str, list[str]] = read_published(split, splits_folder)["pools"]
    if name not in pools:
        raise SplitError(unknown_name(f"pool of split {split}", name, list(pools)))
    return pools[name]


def restrict(
    fold: Mapping[str, Sequence[str]], present: Iterable[str], name: str, subset: bool
) -> dict[str, list[str]]:
    """A published fold's patients that are present, in its order.

    Raises:
        SplitError: Some are absent and no subset is declared, or a part of it has nobody left.
    """
    known = set(present)
    absent = [patient for part in PARTS for patient in fold[part] if patient not in known]
    if absent and not subset:
        raise SplitError(
            f"{len(absent)} patients of split {name!r} are absent: {', '.join(absent)}",
            remedy="complete the data, or declare `subset:` in the suite to use the patients present",
        )
    kept = {part: [patient for patient in fold[part] if patient in known] for part in PARTS}
    if empty := [part for part in ("train", "test") if fold[part] and not kept[part]]:
        raise SplitError(
            f"no patient of split {name!r} is present for {' and '.join(empty)}", remedy="complete the data"
        )
    return kept
